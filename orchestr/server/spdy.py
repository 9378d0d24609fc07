"""SPDY/3.1 frames without IO, the server's side: as much of draft-mbelshe-httpbis-spdy-00 as Kubernetes' clients use.

A control frame has its first bit set, then version (15 bits), type (16), flags (8) and length (24); a data frame
has a stream (31), flags (8) and length (24). Headers are one zlib stream a direction, with the dictionary of section
2.6.10.1. Neither Kubernetes nor its clients do flow control; WINDOW_UPDATE and SETTINGS are passed over.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

VERSION = 3
FIN = 1
CONTROL_LIMIT = 64 * 1024  # bytes of a control frame
HEADERS_LIMIT = 64 * 1024  # bytes of its headers
_HEAD = struct.Struct("!II")


class Kind(IntEnum):
    SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9


class Opened(NamedTuple):
    stream: int
    headers: Mapping[str, str]  # names in lower case
    end: bool


class Data(NamedTuple):
    """A frame, or a part of one: only the last part may end the stream."""

    stream: int
    data: bytes
    end: bool


class Reset(NamedTuple):
    stream: int


class Ping(NamedTuple):
    number: int


class GoAway(NamedTuple):
    last: int


Event = Opened | Data | Reset | Ping | GoAway


class SpdyError(Exception):
    """The client does not speak SPDY/3.1: the connection is of no more use."""


_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_REST = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _counted(text: str) -> bytes:
    return struct.pack("!I", len(text)) + text.encode()


DICTIONARY = b"".join(_counted(word.replace("_", " ")) for word in _WORDS.split()) + _REST.encode()


class Decoder:
    """Bytes in, events out."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)
        self._within: tuple[int, int, bool] | None = None  # a data frame: its stream, bytes to come, whether it ends it

    def feed(self, data: bytes) -> Iterator[Event]:
        self._data += data
        while True:
            if self._within is not None:
                if (event := self._part(*self._within)) is None:
                    return
                yield event
                continue
            if len(self._data) < _HEAD.size:
                return
            first, second = _HEAD.unpack_from(self._data)
            flags, size = second >> 24, second & 0xFFFFFF
            if not first >> 31:
                del self._data[: _HEAD.size]
                self._within = first, size, bool(flags & FIN)
                continue
            if size > CONTROL_LIMIT or first >> 16 & 0x7FFF != VERSION:
                raise SpdyError(f"a control frame of {size} bytes, version {first >> 16 & 0x7FFF}")
            if len(self._data) < _HEAD.size + size:
                return
            payload = bytes(self._data[_HEAD.size : _HEAD.size + size])
            del self._data[: _HEAD.size + size]
            if (control := self._control(first & 0xFFFF, flags, payload)) is not None:
                yield control

    def _part(self, stream: int, left: int, end: bool) -> Data | None:
        """What is there of a data frame; None when nothing is, and more must come."""
        data = bytes(self._data[:left])
        if left and not data:
            return None
        del self._data[:left]
        left -= len(data)
        self._within = (stream, left, end) if left else None
        return Data(stream, data, end and not left)

    def _control(self, kind: int, flags: int, payload: bytes) -> Event | None:
        try:
            match kind:
                case Kind.SYN_STREAM:
                    (stream,) = struct.unpack_from("!I", payload)
                    return Opened(stream & 0x7FFFFFFF, self._headers(payload[10:]), bool(flags & FIN))
                case Kind.RST_STREAM:
                    return Reset(struct.unpack_from("!I", payload)[0] & 0x7FFFFFFF)
                case Kind.PING:
                    return Ping(struct.unpack_from("!I", payload)[0])
                case Kind.GOAWAY:
                    return GoAway(struct.unpack_from("!I", payload)[0])
                case Kind.HEADERS | Kind.SYN_REPLY:
                    self._headers(payload[4:])  # read all the same: what comes next builds on it
        except struct.error as error:
            raise SpdyError(f"a frame is too short: {error}") from None
        return None

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            data = self._zlib.decompress(block, HEADERS_LIMIT)
        except zlib.error as error:
            raise SpdyError(f"headers cannot be decompressed: {error}") from None
        if self._zlib.unconsumed_tail:
            raise SpdyError(f"headers are over {HEADERS_LIMIT} bytes")
        (count,) = struct.unpack_from("!I", data)
        found, at = {}, 4
        for _ in range(min(count, HEADERS_LIMIT)):
            name, at = _string(data, at)
            value, at = _string(data, at)
            found[name.lower()] = value.split("\0")[0]
        return found


def _string(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("!I", data, at)
    if at + 4 + size > len(data):
        raise SpdyError("a header is longer than its frame")
    return data[at + 4 : at + 4 + size].decode("utf-8", "replace"), at + 4 + size


class Encoder:
    def __init__(self) -> None:
        self._zlib = zlib.compressobj(zdict=DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """A stream is accepted; no headers."""
        block = self._zlib.compress(struct.pack("!I", 0)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)
        return _control(Kind.SYN_REPLY, struct.pack("!I", stream) + block)


def _control(kind: Kind, payload: bytes) -> bytes:
    return _HEAD.pack(1 << 31 | VERSION << 16 | kind, len(payload)) + payload


def data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    return _HEAD.pack(stream, (FIN if end else 0) << 24 | len(payload)) + payload


def reset(stream: int) -> bytes:
    return _control(Kind.RST_STREAM, struct.pack("!II", stream, 5))  # CANCEL


def ping(number: int) -> bytes:
    return _control(Kind.PING, struct.pack("!I", number))


def go_away(last: int) -> bytes:
    return _control(Kind.GOAWAY, struct.pack("!II", last, 0))
