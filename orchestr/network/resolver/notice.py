"""What the kernel tells of its own accord about links and nftables: just enough of netlink(7) to hear that something of
ours was touched. Nothing is asked for or changed by it.

Why not pyroute2: it would take twice the memory of this whole process; `repair`, which lives for a moment, uses it.
"""

import socket
import struct
from collections.abc import Iterator

ROUTE, NETFILTER = 0, 12  # NETLINK_ROUTE, NETLINK_NETFILTER
SOL_NETLINK, ADD_MEMBERSHIP = 270, 1
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
RECEIVE = 1 << 18  # bytes


def listener(protocol: int, group: int) -> socket.socket:
    """A non-blocking socket that hears one multicast group, in the network namespace of the caller."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    sock.bind((0, 0))
    sock.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
    return sock


def heard(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    """(type, body) of each message that is there. OSError (ENOBUFS) when some were missed."""
    while True:
        try:
            data = sock.recv(RECEIVE)
        except BlockingIOError:
            return
        start = 0
        while start + HEADER.size <= len(data):
            length, kind, *_ = HEADER.unpack_from(data, start)
            yield kind, data[start + HEADER.size : start + length]
            start += max(length, HEADER.size) + (-length % 4)


def attributes(data: bytes, start: int) -> dict[int, bytes]:
    """By number; `start`: bytes of the fixed part before them."""
    found = {}
    while start + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, start)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[start + 4 : start + length]
        start += length + (-length % 4)
    return found
