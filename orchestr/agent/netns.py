"""Sockets that live in a pod's network namespace, used from the daemon's loop.

A socket belongs for ever to the namespace that its thread was in when it was made (setns(2), socket(2)); connecting
and talking then work from anywhere. So a worker thread enters, makes the socket and goes back.
"""

import os
import socket
from typing import Protocol

import trio

_CLONE_NEWNET = 0x40000000  # linux/sched.h


class Netns(Protocol):
    address: str

    def netns(self) -> int:
        """A new descriptor of the namespace, -1 for the machine's own; the caller closes it."""
        ...


def _setns(descriptor: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def make_socket(netns: int, family: int) -> socket.socket:
    """A TCP socket in the namespace; closes the descriptor. Raises OSError."""
    if netns < 0:
        return socket.socket(family, socket.SOCK_STREAM)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(netns)
        try:
            return socket.socket(family, socket.SOCK_STREAM)
        finally:
            _setns(home)
    finally:
        os.close(home)
        os.close(netns)


async def connect(target: Netns, host: str | None, port: int) -> trio.SocketStream:
    """A connection to host (default: the pod's own address) from inside the pod's network."""
    address = "127.0.0.1" if host == "localhost" else host or target.address
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    raw = await trio.to_thread.run_sync(make_socket, target.netns(), family)
    raw.setblocking(False)
    wrapped = trio.socket.from_stdlib_socket(raw)
    try:
        await wrapped.connect((address, port))
    except BaseException:
        wrapped.close()
        raise
    return trio.SocketStream(wrapped)
