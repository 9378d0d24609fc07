"""RFC 6455 framing without IO, the client's side, and the channels of v5.channel.k8s.io.

A message's first byte is its channel: 0 stdin, 1 stdout, 2 stderr, 3 the end as a `Status`, 4 resize as
{"Width": columns, "Height": rows}, 255 "this channel is closed" with the channel's number.
"""

import os
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

PROTOCOL = "v5.channel.k8s.io"
LIMIT = 16 * 1024 * 1024  # bytes of one frame; the daemon sends 64 KiB


class Channel(IntEnum):
    STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


class Opcode(IntEnum):
    CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Frame(NamedTuple):
    opcode: Opcode
    payload: bytes
    final: bool


class ProtocolError(Exception):
    """The other side does not speak WebSocket as it should."""


def encode(opcode: Opcode, payload: bytes) -> bytes:
    """A whole masked frame, as a client must send it."""
    size = len(payload)
    head = bytes([0x80 | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
    mask = os.urandom(4)
    return head + mask + _xor(payload, mask)


def _xor(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


class Decoder:
    """Bytes in, frames out."""

    def __init__(self, received: bytes = b"") -> None:
        self.buffer = received

    def feed(self, data: bytes) -> None:
        self.buffer += data

    def frames(self) -> Iterator[Frame]:
        """The whole frames received by now."""
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        buffer = self.buffer
        if len(buffer) < 2:
            return None
        start, size = 2, buffer[1] & 0x7F
        if size >= 126:
            width = 2 if size == 126 else 8
            start += width
            size = int.from_bytes(buffer[2:start], "big")
        if buffer[1] & 0x80 or size > LIMIT:
            raise ProtocolError("a masked or oversized frame from the server")
        if len(buffer) < start + size:
            return None
        self.buffer = buffer[start + size :]
        try:
            return Frame(Opcode(buffer[0] & 0x0F), buffer[start : start + size], bool(buffer[0] & 0x80))
        except ValueError as error:
            raise ProtocolError(f"unknown opcode {buffer[0] & 0x0F}") from error
