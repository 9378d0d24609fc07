"""`orch exec [-it] TARGET -- COMMAND`: a command in a running container; its exit code is ours."""

import argparse
import os
import sys

from orchestr.cli import context, targets
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.options import Parser, add_namespace
from orchestr.client.exec import ExecStream
from orchestr.client.websocket import Channel

EXAMPLES = """examples:
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
    parser.add_argument("-c", "--container", metavar="NAME", help="the container (default: the first)")
    add_namespace(parser, all_=False)


def _command(args: argparse.Namespace) -> list[str]:
    """What stands behind `--`; options between TARGET and `--` are ours, as in kubectl."""
    words: list[str] = args.command
    if "--" not in words:
        return words
    at = words.index("--")
    if at:
        between = Parser(prog="orch exec", allow_abbrev=False, add_help=False)
        _options(between)
        between.parse_args(words[:at], args)
    return words[at + 1 :]


def run(args: argparse.Namespace) -> int:
    command = _command(args)
    if not command:
        raise Bad(f"orch exec: no command (for example: orch exec {args.target} -- ls)")
    client, namespace = context.client(args), context.namespace(args)
    pod = targets.running(targets.pods(client, namespace, [args.target]))
    if pod is None:
        raise Failed(f"orch exec: no pod of {args.target} is running (orch status says why)")
    tty = args.tty and not args.no_tty
    if tty and not sys.stdin.isatty():
        raise Bad("orch exec: -t needs a terminal as input (leave -t out)")
    stream = client.exec(
        namespace, pod["metadata"]["name"], command, container=targets.container(pod, args.container),
        stdin=args.stdin or tty, tty=tty,
    )  # fmt: skip
    try:
        code = raw(stream) if tty else pump(stream, 0 if args.stdin else -1)
    finally:
        stream.close()
    if stream.error:
        print(f"orch exec: {stream.error}", file=sys.stderr)
    return code


def pump(stream: ExecStream, stdin: int, wake: int = -1) -> int:
    """Moves bytes both ways until the command ends; its exit code. `stdin` -1: none; `wake` is readable on a resize."""
    import select

    output(stream.received())
    reading = {stdin, wake} - {-1}
    while not stream.closed:
        held = {stdin} if stream.pending else set()  # what the daemon does not take yet, we do not read yet
        readable, writable, _ = select.select(
            [stream.fileno(), *(reading - held)], [stream.fileno()] if stream.pending else [], []
        )
        if writable:
            stream.flush()
        if wake in readable and os.read(wake, 4096):
            resize(stream)
        if stdin in readable:
            data = os.read(stdin, 65536)
            if data:
                stream.send(data)
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


def raw(stream: ExecStream) -> int:
    """With our terminal in raw mode, its size passed on whenever it changes."""
    import signal
    import termios
    import tty

    before = termios.tcgetattr(0)
    wake, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    handler = signal.signal(signal.SIGWINCH, lambda *_: None)  # the byte that it leaves in the pipe is enough
    signal.set_wakeup_fd(told)
    try:
        tty.setraw(0, termios.TCSADRAIN)  # TCSAFLUSH would drop what was typed ahead
        resize(stream)
        return pump(stream, 0, wake)
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGWINCH, handler)
        termios.tcsetattr(0, termios.TCSADRAIN, before)
        os.close(wake)
        os.close(told)
