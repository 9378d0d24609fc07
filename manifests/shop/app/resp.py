"""A client for Redis in thirty lines: RESP, the protocol that it speaks (redis.io/docs/reference/protocol-spec)."""

import socket
from typing import BinaryIO


class RedisError(Exception):
    """Redis refused a command."""


class Redis:
    def __init__(self, host: str, port: int = 6379, timeout: float = 10.0) -> None:
        self._socket = socket.create_connection((host, port), timeout)
        self._file: BinaryIO = self._socket.makefile("rb")

    def __call__(self, *words: object) -> object:
        """Sends one command; its answer as str, int, None or list. Raises RedisError, OSError."""
        parts = [str(word).encode() for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(request)
        return self._answer()

    def _answer(self) -> object:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return None if rest == b"-1" else [self._answer() for _ in range(int(rest))]
        return None if rest == b"-1" else self._file.read(int(rest) + 2)[:-2].decode()
