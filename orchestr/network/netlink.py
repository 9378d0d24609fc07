"""Netlink by pyroute2's messages over a socket of our own: many messages in one send, one acknowledgement for all.

Why not IPRoute: it runs an event loop of its own behind every call, waits for an answer to each message, and has no
way into a namespace that is only a descriptor. What is left to do here is the framing of a batch, see netlink(7).

Only the daemon may import this: pyroute2 takes 10 MB and 150 ms. Errors are OSError with the kernel's errno and words.
"""

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

from pyroute2.netlink import (
    NETLINK_EXT_ACK,
    NETLINK_NETFILTER,
    NETLINK_ROUTE,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
)
from pyroute2.netlink.marshal import Marshal
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

NETFILTER, ROUTE = NETLINK_NETFILTER, NETLINK_ROUTE
CHUNK = 32  # messages in one send: if all fail, the errors must fit the default receive buffer
RECEIVE = 1 << 18  # bytes
_FLAGS, _SEQUENCE = struct.Struct("=H"), struct.Struct("=I")  # at 6 and 8 of struct nlmsghdr


class Message(NamedTuple):
    """Encoded once, sent as often as wanted; flags and sequence number are filled in then."""

    data: bytes
    what: str  # for errors: "create link v1"


def message(encodable: Any, kind: int, flags: int, what: str) -> Message:
    """Encodes a pyroute2 nlmsg."""
    encodable["header"]["type"], encodable["header"]["flags"] = kind, flags | NLM_F_REQUEST
    encodable.encode()
    return Message(bytes(encodable.data), what)


class Netlink:
    """One blocking socket in the network namespace of the thread that opened it."""

    def __init__(self, protocol: int = ROUTE, marshal: type[Marshal] = MarshalRtnl) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self.socket.bind((0, 0))
        self.socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._marshal = marshal()
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

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

    def dump(self, request: Message) -> list[Any]:
        """Each message of a dump, as pyroute2 decodes it: attributes only when they are asked for.

        Always to its end: the socket refuses another dump (EBUSY) while there is more of the first.
        """
        data, self._sequence = bytearray(request.data), self._sequence + 1
        _FLAGS.pack_into(data, 6, NLM_F_REQUEST | NLM_F_DUMP)
        _SEQUENCE.pack_into(data, 8, self._sequence)
        self.socket.send(data)
        found: list[Any] = []
        while True:
            for answer in self._receive():
                if answer["header"]["sequence_number"] != self._sequence:
                    continue
                if answer["header"]["type"] == NLMSG_ERROR:
                    raise _error(answer, request.what)
                if answer["header"]["type"] == NLMSG_DONE:
                    return found
                found.append(answer)

    def _send(self, batch: Sequence[Message]) -> list[OSError | None]:
        """The kernel tells of each that fails, and of the last one in any case: until then all that come are errors."""
        first, data = self._sequence + 1, bytearray()
        for each in batch:
            self._sequence += 1
            start = len(data)
            data += each.data + bytes(-len(each.data) % 4)
            _SEQUENCE.pack_into(data, start + 8, self._sequence)
        _FLAGS.pack_into(data, start + 6, _FLAGS.unpack_from(data, start + 6)[0] | NLM_F_ACK)
        self.socket.send(data)
        results: list[OSError | None] = [None] * len(batch)
        while True:
            for answer in self._receive():
                number = answer["header"]["sequence_number"] - first
                if answer["header"]["type"] != NLMSG_ERROR or not 0 <= number < len(batch):
                    continue
                if answer["error"]:
                    results[number] = _error(answer, batch[number].what)
                if number == len(batch) - 1:
                    return results

    def _receive(self) -> Iterator[Any]:
        return iter(self._marshal.parse(self.socket.recv(RECEIVE)))


def _error(answer: Any, what: str) -> OSError:
    code = -int(answer["error"])
    said = answer.get_attr("NLMSGERR_ATTR_MSG")
    return OSError(code, f"cannot {what}: {os.strerror(code)}" + (f" ({said})" if said else ""))
