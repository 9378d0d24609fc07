"""One SPDY connection from the server's side: streams that a client opens, over whatever carries bytes."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import trio

from orchestr.server import spdy

BUFFER = 1024 * 1024  # bytes of one stream that wait to be read; then the connection waits
STREAMS = 4096  # of one connection at the same time
PIECE = 64 * 1024  # bytes of a frame that we send

Opened = Callable[["Stream"], None]


class Bytes:
    """What a link needs of its transport."""

    async def receive(self) -> bytes:
        """b"" at the end."""
        raise NotImplementedError

    async def send(self, data: bytes) -> None:
        """trio.BrokenResourceError when the client is gone."""
        raise NotImplementedError


class Gone(Exception):
    """The client has reset the stream, or the connection is over."""


class Stream:
    def __init__(self, link: "Link", number: int, headers: Mapping[str, str]) -> None:
        self.number, self.headers = number, headers
        self._link = link
        self._data = bytearray()
        self._changed = trio.Event()
        self._ended = self._told_end = False
        self.gone = trio.Event()

    async def receive(self) -> bytes:
        """What came; b"" at the end. Gone."""
        while not self._data:
            if self.gone.is_set():
                raise Gone
            if self._ended:
                return b""
            await self._changed.wait()
        data = bytes(self._data)
        self._data.clear()
        self._tell()
        return data

    async def put(self, data: bytes, end: bool) -> None:
        """By the link: waits while too much is unread."""
        self._data += data
        self._ended = self._ended or end
        self._tell()
        if self._ended and self._told_end:
            self._link.forget(self)
        while len(self._data) > BUFFER and not self.gone.is_set():
            await self._changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def send(self, data: bytes) -> None:
        """Gone."""
        for at in range(0, len(data), PIECE):
            if self.gone.is_set():
                raise Gone
            await self._link.send(spdy.data(self.number, data[at : at + PIECE]))

    async def end(self) -> None:
        """Nothing more is sent; once."""
        if not self._told_end and not self.gone.is_set():
            self._told_end = True
            with suppress(Gone):
                await self._link.send(spdy.data(self.number, b"", end=True))
        if self._ended:
            self._link.forget(self)

    def lose(self) -> None:
        self.gone.set()
        self._data.clear()
        self._tell()


class Link:
    def __init__(self, transport: Bytes) -> None:
        self._transport, self._encoder, self._decoder = transport, spdy.Encoder(), spdy.Decoder()
        self._sending = trio.Lock()
        self._streams: dict[int, Stream] = {}
        self._last = 0

    async def run(self, opened: Opened) -> None:
        """Until the client goes; then all its streams are gone."""
        try:
            while data := await self._transport.receive():
                for event in self._decoder.feed(data):
                    if isinstance(event, spdy.GoAway):
                        return
                    await self._take(event, opened)
        except (spdy.SpdyError, trio.BrokenResourceError, trio.ClosedResourceError, Gone):
            return
        finally:
            for stream in list(self._streams.values()):
                stream.lose()
            self._streams.clear()

    async def _take(self, event: spdy.Event, opened: Opened) -> None:
        match event:
            case spdy.Opened():
                await self._open(event, opened)
            case spdy.Data():
                if (stream := self._streams.get(event.stream)) is not None:
                    await stream.put(event.data, event.end)
            case spdy.Reset():
                if (stream := self._streams.pop(event.stream, None)) is not None:
                    stream.lose()
            case spdy.Ping():
                await self.send(spdy.ping(event.number))

    async def _open(self, event: spdy.Opened, opened: Opened) -> None:
        if len(self._streams) >= STREAMS or event.stream <= self._last:
            await self.send(spdy.reset(event.stream))
            return
        self._last = event.stream
        stream = self._streams[event.stream] = Stream(self, event.stream, event.headers)
        await self.send(self._encoder.reply(event.stream))
        if event.end:
            await stream.put(b"", True)
        opened(stream)

    async def send(self, frame: bytes) -> None:
        """Gone."""
        async with self._sending:
            try:
                await self._transport.send(frame)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise Gone from None

    async def close(self) -> None:
        """Says that nothing more comes."""
        with suppress(Gone):
            await self.send(spdy.go_away(self._last))

    def forget(self, stream: Stream) -> None:
        """Both sides have ended it."""
        self._streams.pop(stream.number, None)
