"""One client of the supervisor: frames in, frames out, without ever blocking the loop."""

import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from orchestr.runtime.supervisor.loop import Loop
from orchestr.runtime.supervisor.protocol import (
    RECEIVE,
    Decoder,
    Message,
    ProtocolError,
    close,
    encode,
    received,
    rights,
)

_BACKLOG = 64 << 20  # bytes that a client may leave unread before it is dropped


def trusted(peer: socket.socket) -> bool:
    """Root, or whoever runs the supervisor (SO_PEERCRED)."""
    _, uid, _ = struct.unpack("iII", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid in (0, os.geteuid())


class Connection:
    """`take` gets every message and owns its descriptors; `lost` is called once, at the end."""

    def __init__(
        self,
        loop: Loop,
        peer: socket.socket,
        take: Callable[["Connection", Message], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        self._loop, self._peer, self._take, self._lost = loop, peer, take, lost
        self._decoder = Decoder()
        self._out: deque[tuple[bytes, tuple[int, ...]]] = deque()  # descriptors are ours, closed once sent
        self._unsent = 0
        self._waits = False  # for room to write
        self.open = True
        self.watching = False  # has said hello
        peer.setblocking(False)
        loop.add(peer.fileno(), select.EPOLLIN, self._ready)

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if self.open and events & ~select.EPOLLOUT:
            self._read()

    def _read(self) -> None:
        try:
            data, ancillary, flags, _ = self._peer.recvmsg(*RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        try:
            messages = self._decoder.feed(data, received(ancillary), flags)
        except ProtocolError:
            self.close()
            return
        for message in messages:
            self._take(self, message)
        if not data:
            self.close()

    def send(self, body: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Queues a frame; `fds` stay the caller's."""
        if not self.open:
            return
        data = encode(body, len(fds))
        self._out.append((data, tuple(os.dup(fd) for fd in fds)))
        self._unsent += len(data)
        self._flush()
        if self._unsent > _BACKLOG:
            self.close()  # it stopped reading; when it comes back it is told everything anew

    def _flush(self) -> None:
        try:
            while self._out:
                data, fds = self._out[0]
                sent = self._peer.sendmsg([data], rights(fds))
                close(fds)
                self._unsent -= sent
                self._out.popleft()
                if sent < len(data):
                    self._out.appendleft((data[sent:], ()))
        except BlockingIOError:
            self._wait(True)
        except OSError:
            self.close()
        else:
            self._wait(False)

    def _wait(self, waits: bool) -> None:
        if waits != self._waits:
            self._loop.modify(self._peer.fileno(), select.EPOLLIN | (select.EPOLLOUT if waits else 0))
            self._waits = waits

    def flush_blocking(self) -> None:
        """Before the supervisor's own end: the last reply must get out."""
        self._peer.settimeout(1.0)
        self._flush()

    def close(self) -> None:
        if not self.open:
            return
        self.open = False
        self._loop.remove(self._peer.fileno())
        self._peer.close()
        self._decoder.close()
        for _, fds in self._out:
            close(fds)
        self._out.clear()
        self._lost(self)
