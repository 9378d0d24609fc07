"""Forwarding to the machine's own name servers, as resolv.conf(5) lists them: each in turn, two seconds each."""

import os
import socket
import struct
from collections.abc import Callable

from orchestr.network.resolver.loop import READ, WRITE, Loop

PATIENCE = 2.0  # seconds for one server
IN_FLIGHT = 1024
RETRY_ELSEWHERE = (2, 5)  # SERVFAIL, REFUSED

Done = Callable[[bytes | None], None]  # None: nobody answered


class Forwarder:
    def __init__(self, loop: Loop, own: frozenset[str], path: str = "/etc/resolv.conf") -> None:
        self._loop, self._own, self._path = loop, own, path
        self._read: tuple[int, int] | None = None
        self._servers: tuple[str, ...] = ()
        self.busy = 0

    def servers(self) -> tuple[str, ...]:
        """Read again when the file changed. Our own addresses are left out: a loop would answer nobody."""
        try:
            found = os.stat(self._path)
            if (found.st_mtime_ns, found.st_ino) != self._read:
                with open(self._path, encoding="utf-8", errors="replace") as file:
                    lines = [line.split() for line in file]
                self._servers = tuple(
                    p[1] for p in lines if p[:1] == ["nameserver"] and len(p) > 1 and p[1] not in self._own
                )
                self._read = (found.st_mtime_ns, found.st_ino)
        except OSError:
            self._servers = ()
        return self._servers

    def forward(self, query: bytes, done: Done, *, tcp: bool) -> None:
        servers = self.servers()
        if not servers or self.busy >= IN_FLIGHT:
            done(None)
            return
        self.busy += 1
        _Attempt(self, self._loop, query, done, tcp, servers).next()


class _Attempt:
    """One query on its way through the servers."""

    def __init__(
        self, owner: Forwarder, loop: Loop, query: bytes, done: Done, tcp: bool, servers: tuple[str, ...]
    ) -> None:
        self._owner, self._loop, self._query, self._done, self._tcp = owner, loop, query, done, tcp
        self._servers = list(servers)
        self._sock: socket.socket | None = None
        self._last: bytes | None = None  # a refusal, passed on when nobody else answers
        self._buffer = b""

    def next(self) -> None:
        self._drop()
        if not self._servers:
            self._finish(self._last)
            return
        server = self._servers.pop(0)
        self._number = os.urandom(2)  # a fresh one and a fresh port each time, RFC 5452
        message = self._number + self._query[2:]
        self._timer = self._loop.later(PATIENCE, self.next)
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        try:
            self._sock = socket.socket(family, socket.SOCK_STREAM if self._tcp else socket.SOCK_DGRAM)
            self._sock.setblocking(False)
            self._buffer = struct.pack("!H", len(message)) + message if self._tcp else b""
            self._sock.connect_ex((server, 53))
            if self._tcp:
                self._loop.watch(self._sock, WRITE, self._write)
            else:
                self._sock.send(message)
                self._loop.watch(self._sock, READ, self._datagram)
        except OSError:
            self.next()

    def _datagram(self, _: int) -> None:
        assert self._sock
        try:
            self._check(self._sock.recv(65535))
        except OSError:  # refused
            self.next()

    def _write(self, _: int) -> None:
        assert self._sock
        try:
            self._sock.sendall(self._buffer)  # below one segment, on a fresh connection
        except OSError:
            self.next()
            return
        self._buffer = b""
        self._loop.watch(self._sock, READ, self._stream)

    def _stream(self, _: int) -> None:
        assert self._sock
        try:
            data = self._sock.recv(65535)
        except OSError:
            data = b""
        self._buffer += data
        if not data:
            self.next()
        elif len(self._buffer) >= 2 and len(self._buffer) - 2 >= struct.unpack_from("!H", self._buffer)[0]:
            self._check(self._buffer[2:])

    def _check(self, answer: bytes) -> None:
        """Only what answers our question counts; anything else is somebody's guess."""
        question = self._query[12 : self._query.find(b"\0", 12) + 5]
        if answer[:2] != self._number or answer[12 : 12 + len(question)].lower() != question.lower():
            return
        answer = self._query[:2] + answer[2:]
        if answer[3] & 0xF in RETRY_ELSEWHERE and self._servers:
            self._last = answer
            self.next()
        else:
            self._finish(answer)

    def _drop(self) -> None:
        if self._sock is not None:
            self._timer.cancel()
            self._loop.close(self._sock)
            self._sock = None

    def _finish(self, answer: bytes | None) -> None:
        self._drop()
        self._owner.busy -= 1
        self._done(answer)
