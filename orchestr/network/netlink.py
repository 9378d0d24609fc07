"""rtnetlink and ctnetlink without a library: encode, send many in one call, read the answers.

Why not pyroute2: importing any part of it costs 22 MB and 110-200 ms in the daemon and again in the resolver, and its
encoder is slower than the kernel's own work on a message. What is needed are a dozen messages of fixed layout.
Layouts: netlink(7), rtnetlink(7), linux/netlink.h. Errors are OSError with the kernel's errno and words.
"""

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

ROUTE, NETFILTER = 0, 12  # NETLINK_ROUTE, NETLINK_NETFILTER
REQUEST, ACK, DUMP, REPLACE, EXCL, CREATE = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400
ERROR, DONE = 2, 3
SOL_NETLINK, ADD_MEMBERSHIP, EXT_ACK, CAP_ACK = 270, 1, 11, 10
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
CHUNK = 32  # messages in one send: their acknowledgements must fit the default receive buffer
NESTED = 0x8000
ACK_TLVS = 0x200
MESSAGE_TEXT = 1  # NLMSGERR_ATTR_MSG


class Message(NamedTuple):
    kind: int
    flags: int
    body: bytes
    what: str  # for errors: "create link v1"


def attr(kind: int, payload: bytes) -> bytes:
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + bytes(-length % 4)


def text(kind: int, value: str) -> bytes:
    return attr(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    return attr(kind, struct.pack("=I", value))


def nest(kind: int, *inner: bytes) -> bytes:
    return attr(kind | NESTED, b"".join(inner))


def attributes(data: bytes, start: int = 0) -> dict[int, bytes]:
    """The attributes of a message or nest, by kind without flags; the last of a kind wins."""
    found = {}
    while start + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, start)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[start + 4 : start + length]
        start += length + (-length % 4)
    return found


def messages(data: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """(type, flags, sequence, port, body) of each message of one datagram."""
    start = 0
    while start + HEADER.size <= len(data):
        length, kind, flags, sequence, port = HEADER.unpack_from(data, start)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, port, data[start + HEADER.size : start + length]
        start += length + (-length % 4)


class Netlink:
    """One blocking socket in the network namespace of the thread that opened it."""

    def __init__(self, protocol: int = ROUTE) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self.socket.bind((0, 0))
        self.socket.setsockopt(SOL_NETLINK, EXT_ACK, 1)
        self.socket.setsockopt(SOL_NETLINK, CAP_ACK, 1)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def subscribe(self, group: int) -> None:
        self.socket.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)

    def send(self, batch: Sequence[Message]) -> list[OSError | None]:
        """Carries out every message in order, also after one failed; what became of each."""
        results: list[OSError | None] = []
        for start in range(0, len(batch), CHUNK):
            results += self._send(batch[start : start + CHUNK])
        return results

    def call(self, *batch: Message, ignore: tuple[int, ...] = ()) -> None:
        """Carries out all; raises the first error whose errno is not in `ignore`."""
        for error in self.send(batch):
            if error is not None and error.errno not in ignore:
                raise error

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """The body of each message of a dump."""
        self._sequence += 1
        header = HEADER.pack(HEADER.size + len(body), kind, REQUEST | DUMP, self._sequence, 0)
        self.socket.send(header + body)
        while True:
            for answer, _, sequence, _, payload in messages(self.socket.recv(1 << 18)):
                if sequence != self._sequence:
                    continue
                if answer in (DONE, ERROR):
                    code = struct.unpack_from("=i", payload)[0] if len(payload) >= 4 else 0
                    if code:
                        raise OSError(-code, os.strerror(-code))
                    return
                yield payload

    def _send(self, batch: Sequence[Message]) -> list[OSError | None]:
        first, parts = self._sequence + 1, []
        for message in batch:
            self._sequence += 1
            size = HEADER.size + len(message.body)
            flags = message.flags | REQUEST | ACK
            parts += [HEADER.pack(size, message.kind, flags, self._sequence, 0), message.body, bytes(-size % 4)]
        self.socket.send(b"".join(parts))
        answers: dict[int, OSError | None] = {}
        while len(answers) < len(batch):
            for kind, flags, sequence, _, payload in messages(self.socket.recv(1 << 18)):
                if kind == ERROR and first <= sequence <= self._sequence:
                    answers[sequence] = _error(payload, flags, batch[sequence - first].what)
        return [answers[first + index] for index in range(len(batch))]


def _error(payload: bytes, flags: int, what: str) -> OSError | None:
    code = -int(struct.unpack_from("=i", payload)[0])
    if not code:
        return None
    said = ""
    if flags & ACK_TLVS:  # after the errno and the header of the request, linux/netlink.h
        said = attributes(payload, 20).get(MESSAGE_TEXT, b"").rstrip(b"\0").decode(errors="replace")
    return OSError(code, f"cannot {what}: {os.strerror(code)}" + (f" ({said})" if said else ""))
