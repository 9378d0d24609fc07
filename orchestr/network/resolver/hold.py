"""Published ports as real sockets: nobody else can take them, and what nftables does not catch is passed on here.

nftables rewrites nearly everything before it reaches these sockets. What does arrive: [::1], and connections in the
moment in which somebody flushed our table.
"""

import random
import socket
import struct
from collections.abc import Iterable
from typing import Any

from orchestr.network.resolver.loop import READ, WRITE, Loop, Timer
from orchestr.network.services import Socket
from orchestr.network.statefile import Held

BUFFER, UDP_IDLE, UDP_CLIENTS, BACKLOG = 1 << 16, 60.0, 1024, 1024
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of zero: close(2) sends RST

Targets = tuple[tuple[str, int], ...]


class Holder:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._held: dict[Socket, _Listener | _Datagrams] = {}

    def hold(self, wanted: Iterable[Held]) -> list[tuple[Socket, int]]:
        """Binds what is new, releases what is gone; (socket, errno) of each that could not be bound."""
        targets = {Socket(held.protocol, held.address, held.port): held.targets for held in wanted}
        for key in [key for key in self._held if key not in targets]:
            self._held.pop(key).close()
        failed = []
        for key, behind in targets.items():
            try:
                if key not in self._held:
                    self._held[key] = (_Listener if key.protocol == "tcp" else _Datagrams)(self._loop, key)
                self._held[key].targets = behind
            except OSError as error:
                failed.append((key, error.errno or 0))
        return failed


def _bound(key: Socket, kind: int) -> socket.socket:
    sock = socket.socket(FAMILIES[key.family], kind)
    try:
        sock.setblocking(False)
        if key.family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((key.address, key.port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)  # it tells whether another has the port
    except OSError:
        sock.close()
        raise
    return sock


class _Listener:
    """Listens while there is a backend; else the port is bound and no more, so that the kernel refuses every client."""

    def __init__(self, loop: Loop, key: Socket) -> None:
        self._loop = loop
        self._targets: Targets = ()
        self._sock = _bound(key, socket.SOCK_STREAM)
        self._refuse()

    @property
    def targets(self) -> Targets:
        return self._targets

    @targets.setter
    def targets(self, targets: Targets) -> None:
        before, self._targets = self._targets, targets
        if targets and not before:
            self._open()
        elif before and not targets:
            self._refuse()

    def close(self) -> None:
        self._loop.close(self._sock)

    def _open(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # over TIME_WAIT; a listener still refuses
        self._sock.listen(BACKLOG)
        self._loop.watch(self._sock, READ, self._accept)

    def _refuse(self) -> None:
        self._loop.watch(self._sock, 0, self._accept)
        self._sock.shutdown(socket.SHUT_RDWR)  # of a listener: bound as before, see tcp_disconnect() in the kernel
        # Two sockets that both set it may be bound to one port if neither listens: ours must not let another in.
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def _accept(self, _: int) -> None:
        try:
            client, _peer = self._sock.accept()
        except OSError:
            return
        client.setblocking(False)
        backend = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        backend.setblocking(False)
        backend.connect_ex(random.choice(self._targets))
        _Pair(self._loop, client, backend)


class _Pair:
    """Two connected sockets, bytes going both ways, each end's close passed on."""

    def __init__(self, loop: Loop, client: socket.socket, backend: socket.socket) -> None:
        self._loop = loop
        self._ends = (client, backend)
        self._pending = {client: b"", backend: b""}  # bytes that wait to be sent to it
        self._open = {client: True, backend: True}  # more may come from it
        self._connected = False
        loop.watch(backend, WRITE, self._established)

    def _established(self, _: int) -> None:
        if self._ends[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._abort()
            return
        for end in self._ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connected = True
        self._rewatch()

    def _ready(self, end: socket.socket, events: int) -> None:
        other = self._ends[0] if end is self._ends[1] else self._ends[1]
        try:
            if events & WRITE and self._pending[end]:
                self._pending[end] = self._pending[end][end.send(self._pending[end]) :]
                self._pass_close(other, end)
            if events & READ and not self._pending[other]:
                data = end.recv(BUFFER)
                self._open[end] = bool(data)
                self._pending[other] = data[other.send(data) :] if data else b""
                self._pass_close(end, other)
        except BlockingIOError:
            return
        except OSError:
            self._abort()
            return
        if not any(self._open.values()) and not any(self._pending.values()):
            for sock in self._ends:
                self._loop.close(sock)
            return
        self._rewatch()

    def _pass_close(self, source: socket.socket, sink: socket.socket) -> None:
        if not self._open[source] and not self._pending[sink]:
            sink.shutdown(socket.SHUT_WR)

    def _rewatch(self) -> None:
        for end, other in (self._ends, self._ends[::-1]):
            events = (READ if self._open[end] and not self._pending[other] else 0) | (
                WRITE if self._pending[end] else 0
            )
            self._loop.watch(end, events, lambda ready, end=end: self._ready(end, ready))  # type: ignore[misc]

    def _abort(self) -> None:
        for sock in self._ends:
            self._loop.watch(sock, 0, lambda _: None)
            reset(sock)


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


class _Datagrams:
    """UDP: one socket to a backend for each client, forgotten after a minute of silence."""

    def __init__(self, loop: Loop, key: Socket) -> None:
        self._loop = loop
        self.targets: Targets = ()
        self._sock = _bound(key, socket.SOCK_DGRAM)
        self._clients: dict[tuple[Any, ...], tuple[socket.socket, Timer]] = {}
        loop.watch(self._sock, READ, self._receive)

    def close(self) -> None:
        for client in list(self._clients):
            self._forget(client)
        self._loop.close(self._sock)

    def _receive(self, _: int) -> None:
        try:
            data, client = self._sock.recvfrom(65535)
            if client not in self._clients:
                if not self.targets or len(self._clients) >= UDP_CLIENTS:
                    return
                backend = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                backend.setblocking(False)
                backend.connect(random.choice(self.targets))
                self._loop.watch(backend, READ, lambda _: self._answer(client, backend))
            else:
                backend, timer = self._clients[client]
                timer.cancel()
            self._clients[client] = (backend, self._loop.later(UDP_IDLE, lambda: self._forget(client)))
            backend.send(data)
        except OSError:
            return  # a datagram may get lost

    def _answer(self, client: tuple[Any, ...], backend: socket.socket) -> None:
        try:
            self._sock.sendto(backend.recv(65535), client)
        except OSError:
            self._forget(client)

    def _forget(self, client: tuple[Any, ...]) -> None:
        backend, timer = self._clients.pop(client)
        timer.cancel()
        self._loop.close(backend)
