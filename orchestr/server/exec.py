"""GET pods/NAME/exec: a WebSocket that carries a command's streams (v5.channel.k8s.io, and v4 without stdin's end).

    first byte   0 stdin   1 stdout   2 stderr   3 the end, a `Status`   4 resize, {"Width", "Height"}   255 close
The session ends when the command exits; the command is killed when the client goes or the daemon stops.
"""

import json
import signal
from contextlib import suppress
from typing import Any

import trio
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from orchestr.api.errors import BadRequest
from orchestr.runtime.seam import ExecSession, RuntimeFailure
from orchestr.server.answer import dump
from orchestr.server.node import Command, Node
from orchestr.server.query import flag

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PIECE = 64 * 1024  # bytes of one message
LINGER = 2.0  # seconds to read what is left in the pipes after the exit: a child of the command may hold them open


def command(query: QueryParams) -> Command:
    """Of Kubernetes' PodExecOptions."""
    args = tuple(query.getlist("command"))
    if not args:
        raise BadRequest("cannot exec: no command (give command=...)")
    return Command(args, query.get("container") or None, tty=flag(query, "tty"), stdin=flag(query, "stdin"))


async def run(node: Node, socket: WebSocket, namespace: str, pod: str) -> None:
    """Raises what the node does before the WebSocket is accepted, so that the client gets a `Status` by HTTP."""
    protocol = next((each for each in PROTOCOLS if each in socket.scope["subprotocols"]), None)
    if protocol is None:
        raise BadRequest(f"cannot exec: no sub-protocol in common (offer {PROTOCOLS[0]})")
    wanted = command(socket.query_params)
    try:
        session = await node.exec(namespace, pod, wanted)
    except RuntimeFailure as error:
        if error.exit_code is None:
            raise
        await socket.accept(subprotocol=protocol)
        await refused(socket, str(error), error.exit_code)
        return
    pump = Pump(session, socket, wanted)
    try:
        await socket.accept(subprotocol=protocol)
        code = await pump.run()
        await socket.send_bytes(bytes([ERROR]) + dump(status(code)))
        await socket.close()
    finally:
        pump.close()


async def refused(socket: WebSocket, why: str, code: int) -> None:
    """A command that is not there, or cannot be run, ends as in a shell: 127 or 126, and why on stderr."""
    await socket.send_bytes(bytes([STDERR]) + why.encode() + b"\n")
    await socket.send_bytes(bytes([ERROR]) + dump(status(code)))
    await socket.close()


def status(code: int) -> dict[str, Any]:
    """The `Status` of channel 3, as client-go reads it."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


class Pump:
    """Moves bytes between a session's descriptors and a WebSocket, each way at the pace of the slower side."""

    def __init__(self, session: ExecSession, socket: WebSocket, wanted: Command) -> None:
        self.session, self.socket = session, socket
        streams = {fd: trio.lowlevel.FdStream(fd) for fd in {session.stdin, session.stdout, session.stderr} - {-1}}
        self.stdout, self.stderr = streams.get(session.stdout), streams.get(session.stderr)
        self.stdin = self.stdout if wanted.tty else streams.get(session.stdin)  # a pty's master is both ways
        self.tty = wanted.tty
        self.streams = list(streams.values())
        if not wanted.stdin:
            self._end_stdin()

    def close(self) -> None:
        for stream in self.streams:
            stream.close()

    async def run(self) -> int:
        """The command's exit code."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._inputs)
                nursery.start_soon(self._stopped)
                code = await self._outputs()
                nursery.cancel_scope.cancel()
            return code
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.session.kill(signal.SIGKILL)
            raise

    async def _outputs(self) -> int:
        async with trio.open_nursery() as readers:
            for channel, stream in ((STDOUT, self.stdout), (STDERR, self.stderr)):
                if stream is not None:
                    readers.start_soon(self._read, channel, stream)
            code = await self.session.wait()
            readers.cancel_scope.deadline = trio.current_time() + LINGER
        return code

    async def _read(self, channel: int, stream: trio.lowlevel.FdStream) -> None:
        with suppress(trio.BrokenResourceError):  # a pty's master says EIO when the last user of its other end is gone
            while data := await stream.receive_some(PIECE):
                await self.socket.send_bytes(bytes([channel]) + data)

    async def _inputs(self) -> None:
        while (message := await self.socket.receive())["type"] != "websocket.disconnect":
            data = message.get("bytes") or b""
            if data:
                await self._input(data[0], data[1:])
        await self.session.kill(signal.SIGKILL)

    async def _input(self, channel: int, data: bytes) -> None:
        if channel == STDIN and self.stdin is not None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the command reads no more
                await self.stdin.send_all(data)
        elif channel == CLOSE and data[:1] == bytes([STDIN]):
            self._end_stdin()
        elif channel == RESIZE:
            with suppress(ValueError, KeyError, TypeError):  # a size that makes no sense changes nothing
                size = json.loads(data)
                await self.session.resize(int(size["Height"]), int(size["Width"]))

    def _end_stdin(self) -> None:
        if self.stdin is not None and not self.tty:
            self.stdin.close()

    async def _stopped(self) -> None:
        await self.socket.scope["state"]["stopping"].wait()
        await self.session.kill(signal.SIGKILL)
