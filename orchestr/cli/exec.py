"""`orch exec [-it] TARGET -- COMMAND`: a command in a running container; its exit code is ours.

`orch exec SERVICE COMMAND`, as Compose writes it, passes our input on, and has a terminal where we have one.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestr.cli import context, targets
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.options import Parser, add_namespace
from orchestr.client.exec import ExecStream
from orchestr.client.websocket import Channel

EXAMPLES = """examples:
  orch exec web sh                 a shell, as with Compose
  orch exec -u redis -e A=b db id  as another user, with another variable
  orch exec web -- nginx -t        a command in a service's container
  orch exec -it db -- /bin/sh      an interactive shell"""


def add(parser: argparse.ArgumentParser) -> None:
    _options(parser)
    parser.add_argument("target", metavar="TARGET", help="a service, a pod or kind/name")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-i", "--stdin", action="store_true", help="pass our input on")
    parser.add_argument("-t", "--tty", action="store_true", help="with a terminal")
    parser.add_argument("-T", "--no-tty", action="store_true", help="without a terminal, as Compose's -T")
    parser.add_argument(
        "-d", "--detach", action="store_true", help="behind, without its output; the container needs sh"
    )
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="another variable")
    parser.add_argument("-u", "--user", metavar="USER[:GROUP]", help="instead of the container's own")
    parser.add_argument("-w", "--workdir", metavar="DIR", help="where the command begins")
    parser.add_argument("--index", type=int, metavar="N", help="in the Nth container of the service, from 1")
    parser.add_argument("-c", "--container", metavar="NAME", help="the container (default: the first)")
    add_namespace(parser, all_=False)


def _command(args: argparse.Namespace) -> list[str]:
    """What stands behind `--`; options between TARGET and `--` are ours, as in kubectl."""
    words: list[str] = args.command
    if as_compose(args) or "--" not in words:
        return words
    at = words.index("--")
    if at:
        between = Parser(prog="orch exec", allow_abbrev=False, add_help=False)
        _options(between)
        between.parse_args(words[:at], args)
    return words[at + 1 :]


def as_compose(args: argparse.Namespace) -> bool:
    """Whether no `--` stands between TARGET and COMMAND: one that comes later is the command's own."""
    words: list[str] = args.words
    if "--" not in words:
        return True
    before = words[: words.index("--")]
    last = max((at for at, word in enumerate(before) if word == args.target), default=len(before))
    return last + 1 < len(before) and not before[last + 1].startswith("-")


def run(args: argparse.Namespace) -> int:
    plain = as_compose(args)
    command = _command(args)
    if not command:
        raise Bad(f"orch exec: no command (for example: orch exec {args.target} -- ls)")
    client, namespace = context.client(args), context.namespace(args)
    found = targets.pods(client, namespace, [args.target])
    pod = targets.running(targets.indexed(found, args.index) if args.index else found)
    if pod is None:
        raise Failed(f"orch exec: no pod of {args.target} is running (orch status says why)")
    both = sys.stdin.isatty() and sys.stdout.isatty()
    tty = (args.tty or (plain and both)) and not (args.no_tty or args.detach)
    if tty and not sys.stdin.isatty():
        raise Bad("orch exec: -t needs a terminal as input (leave -t out)")
    if args.detach:
        command = ["sh", "-c", '"$@" </dev/null >/dev/null 2>&1 &', "sh", *command]
    stdin = (args.stdin or plain or tty) and not args.detach
    stream = client.exec(
        namespace, pod["metadata"]["name"], command, container=targets.container(pod, args.container),
        stdin=stdin, tty=tty, ours=_ours(args, client.foreign),
    )  # fmt: skip
    try:
        code = raw(stream) if tty else pump(stream, 0 if stdin else -1)
    finally:
        stream.close()
    if stream.error:
        print(f"orch exec: {stream.error}", file=sys.stderr)
    return code


def _ours(args: argparse.Namespace, foreign: bool) -> dict[str, object]:
    """What Kubernetes' exec has no place for."""
    env = [
        word if "=" in word else f"{word}={os.environ[word]}" for word in args.env if "=" in word or word in os.environ
    ]
    given = {"env": env or None, "user": args.user, "directory": args.workdir}
    if foreign and any(given.values()):
        raise Bad("orch exec: -e, -u and -w are not supported on a server that is not orch's (use env, su and cd)")
    return given if any(given.values()) else {}


LEAVE = b"\x10\x11"  # Ctrl-P Ctrl-Q


class Detached(Exception):
    """The keys that leave a terminal were typed."""


class Leaving:
    """Finds the keys among what is typed. What may be their beginning is held back until more is there."""

    def __init__(self, keys: bytes) -> None:
        self.keys, self.held = keys, b""

    def typed(self, data: bytes) -> bytes:
        """What is passed on. Detached raised when all keys were there."""
        if not self.keys:
            return data
        data, self.held = self.held + data, b""
        if self.keys in data:
            raise Detached
        length = next((n for n in range(len(self.keys) - 1, 0, -1) if data.endswith(self.keys[:n])), 0)
        self.held = data[len(data) - length :]
        return data[: len(data) - length]


def pump(
    stream: ExecStream,
    stdin: int,
    wake: int = -1,
    woken: Callable[[ExecStream], None] | None = None,
    keys: bytes = b"",
) -> int:
    """Moves bytes both ways until the command ends; its exit code.

    `stdin` -1: none; when `wake` is readable `woken` is called. Raises Detached when `keys` are typed.
    """
    import select

    leaving = Leaving(keys)

    output(stream.received())
    reading = {stdin, wake} - {-1}
    while not stream.closed:
        held = {stdin} if stream.pending else set()  # what the daemon does not take yet, we do not read yet
        readable, writable, _ = select.select(
            [stream.fileno(), *(reading - held)], [stream.fileno()] if stream.pending else [], []
        )
        if writable:
            stream.flush()
        if wake in readable and os.read(wake, 4096) and woken:
            woken(stream)
        if stdin in readable:
            data = os.read(stdin, 65536)
            if data:
                stream.send(leaving.typed(data))
            else:
                stream.end_stdin()
                reading.discard(stdin)
        if stream.fileno() in readable:
            output(stream.receive())
    return 1 if stream.exit_code is None else stream.exit_code


def output(pieces: list[tuple[Channel, bytes]]) -> None:
    for channel, data in pieces:
        target = 2 if channel is Channel.STDERR else 1
        while data:
            data = data[os.write(target, data) :]


def resize(stream: ExecStream) -> None:
    size = os.get_terminal_size(0)
    stream.resize(size.lines, size.columns)


@contextmanager
def woken_by(*numbers: int, told: Callable[[int], object] = lambda number: None) -> Iterator[int]:
    """A descriptor that is readable when one of the signals has come, of which `told` hears."""
    import signal

    wake, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before = {number: signal.signal(number, lambda got, _: told(got)) for number in numbers}
    signal.set_wakeup_fd(write)
    try:
        yield wake
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake)
        os.close(write)


def raw(stream: ExecStream, keys: bytes = b"") -> int:
    """With our terminal in raw mode, its size passed on whenever it changes; `keys` leave it."""
    import signal
    import termios
    import tty

    before = termios.tcgetattr(0)
    with woken_by(signal.SIGWINCH) as wake:
        try:
            tty.setraw(0, termios.TCSADRAIN)  # TCSAFLUSH would drop what was typed ahead
            resize(stream)
            return pump(stream, 0, wake, resize, keys)
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
