"""`orch cp SERVICE:PATH DEST`, `orch cp SRC SERVICE:PATH`: files out of and into a container, by the tar that is in it.

What comes out is unpacked here without following links out of the destination, and without owners unless -a is said.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, cast

from orchestr.cli import OK, context, targets
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.options import add_namespace
from orchestr.client.websocket import Channel

if TYPE_CHECKING:
    from orchestr.client.exec import ExecStream

EXAMPLES = """examples:
  orch cp web:/etc/nginx/nginx.conf .     out of a service's container
  orch cp page.html web:/srv/             into each of a service's containers
  orch cp db:/data - | gzip > data.tgz    as a tar archive"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="PATH or TARGET:PATH; - is a tar archive as input")
    parser.add_argument("target", metavar="DEST", help="PATH or TARGET:PATH; - is a tar archive as output")
    parser.add_argument("-a", "--archive", action="store_true", help="keep owners")
    parser.add_argument("-L", "--follow-link", action="store_true", help="what a link of the source leads to")
    parser.add_argument("--index", type=int, metavar="N", help="the Nth container of the service, from 1")
    parser.add_argument("-c", "--container", metavar="NAME", help="the container (default: the first)")
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    source, target = _split(args.source), _split(args.target)
    if bool(source[0]) == bool(target[0]):
        raise Bad("orch cp: one of SRC and DEST must be in a container (write SERVICE:PATH)")
    if source[0]:
        return _out(args, _pods(args, source[0])[0], source[1], target[1])
    pods = _pods(args, target[0])
    if source[1] == "-" and len(pods) > 1:
        raise Bad("orch cp: an archive as input goes into one container (say which with --index)")
    for pod in pods:
        _into(args, pod, source[1], target[1])
    return OK


def _split(word: str) -> tuple[str, str]:
    """("web", "/etc"), or ("", PATH) for one of this machine: a path that begins with . or / is never a target."""
    target, colon, path = word.partition(":")
    if not colon or word.startswith((".", "/")):
        return "", word
    return target, path or "/"


def _pods(args: argparse.Namespace, target: str) -> list[targets.Pod]:
    found = targets.pods(context.client(args), context.namespace(args), [target])
    running = [pod for pod in found if (pod.get("status") or {}).get("phase") == "Running"]
    if not running:
        raise Failed(f"orch cp: no pod of {target} is running (orch status says why)")
    return targets.indexed(running, args.index) if args.index else running


def _stream(args: argparse.Namespace, pod: targets.Pod, command: list[str], *, stdin: bool) -> "ExecStream":
    client, name = context.client(args), pod["metadata"]["name"]
    container = targets.container(pod, args.container)
    return client.exec(context.namespace(args), name, command, container=container, stdin=stdin)


def _out(args: argparse.Namespace, pod: targets.Pod, path: str, target: str) -> int:
    folder, name = os.path.split(path.rstrip("/") or "/")
    words = ["tar", "-C", folder or "/", *(["-h"] if args.follow_link else []), "-cf", "-", "--", name or "."]
    reader = Output(_stream(args, pod, words, stdin=False))
    if target == "-":
        while data := reader.read(1 << 20):
            sys.stdout.buffer.write(data)
    else:
        _unpack(args, reader, target, name)
        while reader.read(1 << 20):
            pass
    reader.check(f"{pod['metadata']['name']}:{path}")
    return OK


def _unpack(args: argparse.Namespace, reader: "Output", target: str, name: str) -> None:
    """As cp(1): into a directory that is there, else under the name of the target.

    Symbolic links come last and the deepest first, so that nothing is ever written through one that the container
    gave: the checks of tarfile's filters have been got around by chains of them (CVE-2025-4517).
    """
    import tarfile

    inside = os.path.isdir(target)
    if not inside and (target.endswith("/") or not os.path.isdir(os.path.dirname(os.path.abspath(target)))):
        raise Failed(f"orch cp: {target} cannot be made: its directory is not there (make it first)")
    filter_ = tarfile.tar_filter if args.archive else tarfile.data_filter
    folder, new = (target, name) if inside else os.path.split(os.path.abspath(target))
    links: list[tarfile.TarInfo] = []
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r|") as archive:
            for member in archive:
                first, _, rest = member.name.partition("/")
                renamed = member.replace(
                    name="/".join(filter(None, (new if first == name else first, rest))), deep=False
                )
                if renamed.issym():
                    links.append(renamed)
                else:
                    archive.extract(renamed, folder, filter=filter_, numeric_owner=True)
            for link in sorted(links, key=lambda each: -each.name.count("/")):
                archive.extract(link, folder, filter=filter_, numeric_owner=True)
    except tarfile.FilterError as error:
        raise Failed(f"orch cp: the container gave what leads out of {target}: {error}") from error
    except OSError as error:
        raise Failed(f"orch cp: cannot write {error.filename or target}: {error.strerror or error}") from error
    except tarfile.ReadError as error:
        reader.check(target)
        raise Failed(f"orch cp: cannot read what the container gave: {error}") from error


class Output:
    """What a command writes to stdout, as a file to read from."""

    def __init__(self, stream: "ExecStream") -> None:
        self._pieces = self._received(stream)
        self._stream, self._left = stream, b""
        self.complaint = b""

    def _received(self, stream: "ExecStream") -> Iterator[bytes]:
        pieces = stream.received()
        while pieces or not stream.closed:
            for channel, data in pieces:
                if channel is Channel.STDERR:
                    self.complaint += data[:4096]
                else:
                    yield data
            pieces = [] if stream.closed else stream.receive()

    def read(self, count: int) -> bytes:
        while len(self._left) < count and (piece := next(self._pieces, b"")):
            self._left += piece
        data, self._left = self._left[:count], self._left[count:]
        return data

    def check(self, what: str) -> None:
        """Failed unless the command ended well."""
        for _ in self._pieces:
            pass
        _check(self._stream, self.complaint, what)


def _check(stream: "ExecStream", complaint: bytes, what: str) -> None:
    if stream.exit_code == 127:
        raise Failed(f"orch cp: cannot copy {what}: there is no tar in the container (mount a volume instead)")
    if stream.exit_code or stream.error:
        text = complaint.decode(errors="replace").strip() or stream.error
        raise Failed(f"orch cp: cannot copy {what}: {text}")


def _into(args: argparse.Namespace, pod: targets.Pod, source: str, path: str) -> None:
    """As cp(1): into a directory that is there, else under the name of the target."""
    if source != "-" and not os.path.lexists(source):
        raise Failed(f"orch cp: {source}: no such file or directory")
    folder, new = os.path.split(path)
    if not new or source == "-" or _is_directory(args, pod, path):
        folder, new = path, os.path.basename(os.path.abspath(source))
    stream = _stream(args, pod, ["tar", "-C", folder or "/", "-xf", "-", *([] if args.archive else ["-o"])], stdin=True)
    sink = Input(stream)
    if source == "-":
        while data := sys.stdin.buffer.read(1 << 16):
            sink.write(data)
    else:
        _pack(args, sink, source, new)
    stream.end_stdin()
    complaint = sink.drain(whole=True)
    _check(stream, complaint, f"to {pod['metadata']['name']}:{path}")


def _is_directory(args: argparse.Namespace, pod: targets.Pod, path: str) -> bool:
    stream = _stream(args, pod, ["test", "-d", path], stdin=False)
    while not stream.closed:
        stream.receive()
    return stream.exit_code == 0


def _pack(args: argparse.Namespace, sink: "Input", source: str, name: str) -> None:
    import tarfile

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo:
        if not args.archive:
            member.uid = member.gid = 0
            member.uname = member.gname = ""
        return member

    with tarfile.open(fileobj=cast("IO[bytes]", sink), mode="w|", dereference=args.follow_link) as archive:
        archive.add(source, arcname=name, filter=owned)


class Input:
    """What a command reads, as a file to write to; nothing is held back for long."""

    def __init__(self, stream: "ExecStream") -> None:
        self._stream, self._complaint = stream, b""

    def write(self, data: bytes) -> int:
        self._stream.send(data)
        while len(self._stream.pending) > 1 << 20 and not self._stream.closed:
            self.drain()
        return len(data)

    def drain(self, *, whole: bool = False) -> bytes:
        """Sends and receives once, or until the command has ended; what it complained of."""
        import select

        while True:
            pending = [self._stream.fileno()] if self._stream.pending else []
            readable, writable, _ = select.select([self._stream.fileno()], pending, [])
            if writable:
                self._stream.flush()
            if readable:
                for channel, data in self._stream.receive():
                    self._complaint += data[:4096] if channel is Channel.STDERR else b""
            if self._stream.closed or not whole:
                return self._complaint
