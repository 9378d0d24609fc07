"""pods/NAME/exec and attach: a command in a container, or what runs in it, with its streams in the client's hands.

The session ends when the command exits; the command is killed when the client goes or the daemon stops. Of an attached
container only the looking ends.
"""

import signal
from collections.abc import Mapping
from contextlib import suppress

import trio
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from orchestr.api.errors import BadRequest
from orchestr.runtime.seam import ExecSession, RuntimeFailure
from orchestr.server.channels import FORMS, Channels, agreed
from orchestr.server.node import Command, Node
from orchestr.server.query import flag
from orchestr.server.session import ERROR, STDERR, STDOUT, Emit, Session, converse

PIECE = 64 * 1024  # bytes of one message
LINGER = 2.0  # seconds to read what is left in the pipes after the exit: a child of the command may hold them open
SHELL_CODES = (126, 127)


def command(query: QueryParams, part: str = "exec") -> Command:
    """Of Kubernetes' PodExecOptions and PodAttachOptions. Who names no stream gets both outputs."""
    args = tuple(query.getlist("command"))
    if part == "exec" and not args:
        raise BadRequest("cannot exec: no command (give command=...)")
    stdin, stdout, stderr, tty = (flag(query, name) for name in ("stdin", "stdout", "stderr", "tty"))
    if not (stdin or stdout or stderr):
        stdout = stderr = True
    ours = {"user": query.get("user") or None, "directory": query.get("directory") or None}  # not Kubernetes'
    env = dict(pair.partition("=")[::2] for pair in query.getlist("env"))
    return Command(args, query.get("container") or None, tty, stdin, stdout, stderr and not tty, env, **ours)


async def begin(node: Node, part: str, namespace: str, pod: str, wanted: Command) -> Session:
    """Raises what the node does; a command that is not there, or cannot be run, is a session that ends at once."""
    if part == "attach":
        return await node.attach(namespace, pod, wanted)
    try:
        return Running(await node.exec(namespace, pod, wanted), wanted)
    except RuntimeFailure as error:
        if error.exit_code not in SHELL_CODES:
            raise
        return Refused(str(error), error.exit_code)


async def serve(node: Node, socket: WebSocket, part: str, namespace: str, pod: str) -> None:
    """Over a WebSocket. Raises what goes wrong before it is accepted, so that the client gets a `Status` by HTTP."""
    protocol = agreed(socket.scope["subprotocols"], FORMS)
    if protocol is None:
        raise BadRequest(f"cannot {part}: no sub-protocol in common (offer {next(iter(FORMS))})")
    wanted = command(socket.query_params, part)
    session = await begin(node, part, namespace, pod, wanted)
    carrier = Channels(socket, protocol)
    try:
        await carrier.accept(STDOUT if wanted.stdout else STDERR if wanted.stderr else ERROR)
    except BaseException:
        with trio.CancelScope(shield=True):
            await session.hang_up()
        session.close()
        raise
    await converse(carrier, session, socket.scope["state"]["stopping"])


class Refused:
    """Ends as in a shell: 127 or 126, and why on stderr."""

    def __init__(self, why: str, code: int) -> None:
        self.why, self.code = why, code

    async def outputs(self, emit: Emit) -> int:
        await emit(STDERR, self.why.encode() + b"\n")
        return self.code

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def resize(self, rows: int, columns: int) -> None:
        await trio.lowlevel.checkpoint()

    async def end_input(self) -> None:
        await trio.lowlevel.checkpoint()

    async def hang_up(self) -> None:
        await trio.lowlevel.checkpoint()

    async def stop(self) -> bool:
        await trio.lowlevel.checkpoint()
        return False

    def close(self) -> None:
        """Nothing is open."""


class Running:
    """The Session of a command."""

    def __init__(self, session: ExecSession, wanted: Command) -> None:
        self.session = session
        streams = {fd: trio.lowlevel.FdStream(fd) for fd in {session.stdin, session.stdout, session.stderr} - {-1}}
        self.sources: Mapping[int, trio.lowlevel.FdStream | None] = {
            STDOUT: streams.get(session.stdout),
            STDERR: streams.get(session.stderr),
        }
        # A pty's master is both ways.
        self.stdin = self.sources[STDOUT] if wanted.tty else streams.get(session.stdin)
        self.tty = wanted.tty
        self.wanted = {STDOUT: wanted.stdout or wanted.tty, STDERR: wanted.stderr}
        self.streams = list(streams.values())
        if not wanted.stdin:
            self._end_input()

    async def outputs(self, emit: Emit) -> int:
        async with trio.open_nursery() as readers:
            for channel, stream in self.sources.items():
                if stream is not None:
                    readers.start_soon(self._read, channel, stream, emit)
            code = await self.session.wait()
            readers.cancel_scope.deadline = trio.current_time() + LINGER
        return code

    async def _read(self, channel: int, stream: trio.lowlevel.FdStream, emit: Emit) -> None:
        with suppress(trio.BrokenResourceError):  # a pty's master says EIO when the last user of its other end is gone
            while data := await stream.receive_some(PIECE):
                if self.wanted[channel]:  # else read all the same: the command must not wait for room
                    await emit(channel, data)

    async def write(self, data: bytes) -> None:
        if self.stdin is not None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the command reads no more
                await self.stdin.send_all(data)

    async def end_input(self) -> None:
        await trio.lowlevel.checkpoint()
        self._end_input()

    def _end_input(self) -> None:
        if self.stdin is not None and not self.tty:
            self.stdin.close()

    async def resize(self, rows: int, columns: int) -> None:
        await self.session.resize(rows, columns)

    async def hang_up(self) -> None:
        await self.session.kill(signal.SIGKILL)

    async def stop(self) -> bool:
        await self.session.kill(signal.SIGKILL)
        return False

    def close(self) -> None:
        for stream in self.streams:
            stream.close()
