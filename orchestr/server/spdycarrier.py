"""A session's channels as SPDY streams: the client opens one for each, named by the header `streamtype`."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import trio

from orchestr.server.answer import dump
from orchestr.server.node import Command
from orchestr.server.session import ERROR, RESIZE, STDERR, STDIN, STDOUT, Piece
from orchestr.server.spdylink import Gone, Link, Stream

# By version: what v4 adds is the `Status`, what v3 adds the size of the terminal.
VERSIONS = {"v5.channel.k8s.io": 5, "v4.channel.k8s.io": 4, "v3.channel.k8s.io": 3, "v2.channel.k8s.io": 2}
CHANNELS = {"error": ERROR, "stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "resize": RESIZE}
PATIENCE = 30.0  # seconds for the client to open all its streams


def expected(wanted: Command, version: int) -> frozenset[int]:
    """The channels for which a client opens a stream."""
    optional = {
        STDIN: wanted.stdin,
        STDOUT: wanted.stdout,
        STDERR: wanted.stderr and not wanted.tty,
        RESIZE: wanted.tty and version >= 3,
    }
    return frozenset({ERROR, *(channel for channel, there in optional.items() if there)})


class SpdyStreams:
    """A Carrier. `ready` comes first."""

    def __init__(self, link: Link, wanted: Command, version: int) -> None:
        self.link, self.version = link, version
        self._expected = expected(wanted, version)
        self._streams: dict[int, Stream] = {}
        self._all = trio.Event()
        self._inbox, self._outbox = trio.open_memory_channel[Piece](0)

    def opened(self, stream: Stream) -> None:
        channel = CHANNELS.get(stream.headers.get("streamtype", ""))
        if channel is not None and channel not in self._streams:
            self._streams[channel] = stream
        if self._expected <= self._streams.keys():
            self._all.set()

    async def run(self) -> None:
        """Brings in what the client sends, until it is gone."""
        async with self._inbox, trio.open_nursery() as nursery:
            nursery.start_soon(self._read_inputs)
            await self.link.run(self.opened)
            nursery.cancel_scope.cancel()
        self._all.set()  # or they never will be

    async def _read_inputs(self) -> None:
        await self._all.wait()
        async with trio.open_nursery() as nursery:
            for channel in (STDIN, RESIZE):
                if (stream := self._streams.get(channel)) is not None:
                    nursery.start_soon(self._read, channel, stream)

    async def _read(self, channel: int, stream: Stream) -> None:
        with suppress(Gone, trio.BrokenResourceError):
            while data := await stream.receive():
                await self._inbox.send(Piece(channel, data))
            await self._inbox.send(Piece(channel, end=True))

    async def ready(self) -> bool:
        """Whether the client has opened all its streams in good time."""
        with trio.move_on_after(PATIENCE):
            await self._all.wait()
        return self._expected <= self._streams.keys()

    async def receive(self) -> Piece | None:
        try:
            return await self._outbox.receive()
        except trio.EndOfChannel:
            return None

    async def send(self, channel: int, data: bytes) -> None:
        stream = self._streams.get(channel)
        with suppress(Gone):  # the session hears of it by `receive`
            if stream is not None:
                await stream.send(data)
                return
        await trio.lowlevel.checkpoint()

    async def finish(self, status: Mapping[str, Any]) -> None:
        if self.version >= 4:
            await self.send(ERROR, dump(status))
        elif status["status"] != "Success":
            await self.send(ERROR, str(status["message"]).encode())
        for stream in self._streams.values():
            await stream.end()
        await self.link.close()

    async def abort(self) -> None:
        await self.link.close()
