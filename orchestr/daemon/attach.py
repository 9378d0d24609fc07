"""A client at a running container: it sees what the container writes, and may type."""

from contextlib import aclosing, suppress
from typing import Any

import trio

from orchestr.runtime.seam import Runtime
from orchestr.runtime.tail import tail
from orchestr.runtime.terminal import set_size
from orchestr.server.node import Command
from orchestr.server.session import STDERR, STDOUT, Emit

LINGER = 0.2  # seconds for the answer to what was typed last, when the client leaves with it
STREAMS = {STDOUT: "stdout", STDERR: "stderr"}


class Attachment:
    """A server.session.Session. `whole`: what was written before is shown too."""

    def __init__(
        self, runtime: Runtime, identifier: str, directory: str, wanted: Command, *, once: bool, whole: bool
    ) -> None:
        """`wanted` is what the client asks for and the container has; `once`: its stdin ends with the client's."""
        self.runtime, self.id, self.directory, self.wanted = runtime, identifier, directory, wanted
        self.once, self.whole = once and wanted.stdin and not wanted.tty, whole
        self.left = trio.Event()
        fd = runtime.open_stdin(identifier) if wanted.stdin or wanted.tty else -1
        self.input = trio.lowlevel.FdStream(fd) if fd >= 0 else None

    async def outputs(self, emit: Emit) -> None:
        channels = [(STDOUT, self.wanted.stdout or self.wanted.tty), (STDERR, self.wanted.stderr)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._leave, nursery.cancel_scope)
            async with trio.open_nursery() as readers:
                for channel, wanted in channels:
                    # Without an output the end of the one that nobody looks at is still the end.
                    readers.start_soon(self._read, channel, emit if wanted else _nowhere)
            nursery.cancel_scope.cancel()

    async def _leave(self, scope: trio.CancelScope) -> None:
        await self.left.wait()
        scope.cancel()

    async def _read(self, channel: int, emit: Emit) -> None:
        pieces: Any = tail(self.directory, STREAMS[channel], whole=self.whole, line=self.wanted.tty)
        with suppress(FileNotFoundError):  # the container is being removed
            async with aclosing(pieces):
                async for piece in pieces:
                    await emit(channel, piece)

    async def write(self, data: bytes) -> None:
        if self.input is not None and self.wanted.stdin:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # nobody reads it any more
                await self.input.send_all(data)

    async def end_input(self) -> None:
        """The container's own stdin ends if that was asked for; else it is the client who leaves."""
        if self.once:
            self.close()
            await self.runtime.end_stdin(self.id)
        elif self.wanted.stdin:
            await trio.sleep(LINGER)
            self.left.set()

    async def resize(self, rows: int, columns: int) -> None:
        await trio.lowlevel.checkpoint()
        if self.wanted.tty and self.input is not None:
            set_size(self.input.fileno(), rows, columns)

    async def hang_up(self) -> None:
        if self.once:
            await self.end_input()
        self.left.set()

    async def stop(self) -> bool:
        await trio.lowlevel.checkpoint()
        self.left.set()
        return True

    def close(self) -> None:
        if self.input is not None:
            self.input.close()


async def _nowhere(_channel: int, _data: bytes) -> None:
    await trio.lowlevel.checkpoint()
