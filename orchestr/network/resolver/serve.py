"""The name server: UDP and TCP port 53 on the bridge's gateway addresses, and only there."""

import socket
import struct
from collections.abc import Callable
from typing import Any

from orchestr.network.resolver import wire
from orchestr.network.resolver.loop import READ, Loop
from orchestr.network.resolver.upstream import Forwarder
from orchestr.network.resolver.zone import DOMAIN, Zone

FREEBIND = 15  # IP_FREEBIND: the bridge may be made again under us
PORT, CONNECTIONS, IDLE, BURST = 53, 256, 10.0, 64
APEX = wire.encode(DOMAIN)

Reply = Callable[[bytes], None]


class NameServer:
    def __init__(self, loop: Loop, zone: Zone, addresses: tuple[str, ...]) -> None:
        self.zone = zone
        self._loop = loop
        self._forwarder = Forwarder(loop, frozenset(addresses))
        self._connections = 0
        for address in addresses:
            self._listen(address)

    def answer(self, data: bytes, client: str, reply: Reply, *, udp: bool) -> None:
        """Calls `reply` now or later, or never for what is no question at all."""
        try:
            query = wire.parse(data)
        except wire.BadMessage as bad:
            if len(data) >= 4 and not data[2] & 0x80:  # never answer an answer
                reply(wire.refuse(data, bad.rcode))
            return
        found = self.zone.answer(query.labels, query.kind, self.zone.client(client))
        if found is not None:
            reply(wire.answer(query, found.rcode, found.records, zone=APEX, udp=udp))
            return

        def done(answer: bytes | None) -> None:
            reply(wire.answer(query, wire.SERVFAIL, (), udp=udp) if answer is None else answer)

        self._forwarder.forward(data, done, tcp=not udp)

    def _listen(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            sock = socket.socket(family, kind)
            sock.setsockopt(socket.IPPROTO_IP, FREEBIND, 1)
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setblocking(False)
            sock.bind((address, PORT))
            if kind == socket.SOCK_DGRAM:
                self._loop.watch(sock, READ, lambda _, sock=sock: self._datagrams(sock))  # type: ignore[misc]
            else:
                sock.listen(128)
                self._loop.watch(sock, READ, lambda _, sock=sock: self._accept(sock))  # type: ignore[misc]

    def _datagrams(self, sock: socket.socket) -> None:
        for _ in range(BURST):
            try:
                data, peer = sock.recvfrom(4096)
            except OSError:
                return
            self.answer(data, peer[0], lambda answer, peer=peer: _send(sock, answer, peer), udp=True)  # type: ignore[misc]

    def _accept(self, sock: socket.socket) -> None:
        try:
            connection, peer = sock.accept()
        except OSError:
            return
        if self._connections >= CONNECTIONS:
            connection.close()
            return
        self._connections += 1
        _Connection(self, self._loop, connection, peer[0])

    def ended(self) -> None:
        self._connections -= 1


class _Connection:
    """One TCP client: length, question, again (RFC 7766); ended when idle."""

    def __init__(self, server: NameServer, loop: Loop, sock: socket.socket, client: str) -> None:
        self._server, self._loop, self._sock, self._client = server, loop, sock, client
        self._buffer = b""
        self._sock.setblocking(False)
        self._timer = loop.later(IDLE, self._end)
        loop.watch(sock, READ, self._read)

    def _read(self, _: int) -> None:
        try:
            data = self._sock.recv(65535)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._timer.cancel()
        self._timer = self._loop.later(IDLE, self._end)
        self._buffer += data
        while len(self._buffer) >= 2:
            size = struct.unpack_from("!H", self._buffer)[0]
            if len(self._buffer) < 2 + size:
                return
            message, self._buffer = self._buffer[2 : 2 + size], self._buffer[2 + size :]
            self._server.answer(message, self._client, self._reply, udp=False)

    def _reply(self, answer: bytes) -> None:
        if self._sock.fileno() < 0:
            return
        try:
            self._sock.sendall(struct.pack("!H", len(answer)) + answer)
        except OSError:  # gone, or it does not read: a client's own fault
            self._end()

    def _end(self) -> None:
        if self._sock.fileno() >= 0:
            self._timer.cancel()
            self._loop.close(self._sock)
            self._server.ended()


def _send(sock: socket.socket, answer: bytes, peer: tuple[Any, ...]) -> None:
    try:
        sock.sendto(answer, peer)
    except OSError:
        return  # its queue is full or it is gone; it asks again
