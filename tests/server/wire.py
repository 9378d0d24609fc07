"""WebSockets and SPDY from a client's side, by hand."""

import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from orchestr.client.websocket import Decoder, Frame, Opcode, encode
from orchestr.server import spdy
from tests.server.daemon import read

HEAD = "host: x\r\nconnection: Upgrade\r\n"


Connection = tuple[trio.SocketStream, Mapping[str, str]]  # and the headers of the answer


class WebSocket:
    def __init__(self, stream: trio.SocketStream, head: bytes) -> None:
        self.stream, self.head, self._decoder = stream, head, Decoder(head.partition(b"\r\n\r\n")[2])
        self._frames: list[Frame] = []

    @property
    def protocol(self) -> str:
        lines = self.head.decode(errors="replace").lower().split("\r\n")
        return next((line.split(": ")[1] for line in lines if line.startswith("sec-websocket-protocol")), "")

    async def send(self, data: bytes, opcode: Opcode = Opcode.BINARY) -> None:
        await self.stream.send_all(encode(opcode, data))

    async def receive(self) -> Frame | None:
        """The next frame; None at the end of the connection."""
        while not (self._frames or list(map(self._frames.append, self._decoder.frames()))):
            data = await self.stream.receive_some()
            if not data:
                return None
            self._decoder.feed(data)
        return self._frames.pop(0)

    async def messages(self) -> list[bytes]:
        """All up to the close; its code last."""
        found = []
        while (frame := await self.receive()) is not None:
            found.append(frame.payload)
            if frame.opcode is Opcode.CLOSE:
                break
        return found


@asynccontextmanager
async def websocket(place: str, path: str, *protocols: str) -> AsyncIterator[WebSocket]:
    offered = f"sec-websocket-protocol: {', '.join(protocols)}\r\n" if protocols else ""
    key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    async with await trio.open_unix_socket(place) as stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\n{HEAD}upgrade: websocket\r\n{key}{offered}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some()
        assert head.startswith(b"HTTP/1.1 101"), head
        yield WebSocket(stream, head)


class Spdy:
    """Frames out, events in. Streams are odd numbers, in the order in which they are opened."""

    def __init__(self) -> None:
        self._zlib, self._decoder = zlib.compressobj(zdict=spdy.DICTIONARY), spdy.Decoder()
        self._last = -1

    def open(self, **headers: str) -> tuple[int, bytes]:
        self._last += 2
        texts = [text.encode() for pair in headers.items() for text in pair]
        pairs = b"".join(struct.pack("!I", len(text)) + text for text in texts)
        block = self._zlib.compress(struct.pack("!I", len(headers)) + pairs) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        payload = struct.pack("!IIH", self._last, 0, 0) + block
        return self._last, struct.pack("!II", 0x80030001, len(payload)) + payload

    def events(self, data: bytes) -> list[spdy.Event]:
        return list(self._decoder.feed(data))


@asynccontextmanager
async def upgraded(place: str, path: str, *protocols: str) -> AsyncIterator[Connection]:
    """The bytes of a connection that has become SPDY."""
    offered = "".join(f"x-stream-protocol-version: {each}\r\n" for each in protocols)
    async with await trio.open_unix_socket(place) as stream:
        await stream.send_all(f"POST {path} HTTP/1.1\r\n{HEAD}upgrade: SPDY/3.1\r\n{offered}\r\n".encode())
        status, headers, body = await read(stream)
        assert (status, body) == (101, b""), body
        yield stream, headers
