"""HTTP/1.1 on a blocking socket: just what the daemon speaks. http.client would cost a command 20 ms to import."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from os import fstat
from typing import BinaryIO

from orchestr.client.credentials import Credentials
from orchestr.client.paths import Address

CONNECT_TIMEOUT = 5.0  # seconds; the daemon accepts at once or is stuck
CHUNK = 256 * 1024


class NoDaemon(Exception):
    """Nobody answers at the address; the CLI exits with 5. The text names the command that starts it."""


def connect(address: Address, start: str) -> socket.socket:
    """A connected socket. NoDaemon with the cause and `start`, the command that starts a daemon there ("": none)."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family if address.port else socket.AF_UNIX)
    sock.settimeout(CONNECT_TIMEOUT)
    try:
        sock.connect((address.host, address.port) if address.port else address.host)
    except OSError as error:
        sock.close()
        where = f"{address.host}:{address.port}" if address.port else address.host
        hint = f"start it: {start}" if start else "is it the right one, and does it run?"
        hint = "be root or in the group orch" if isinstance(error, PermissionError) else hint
        who, cause = "daemon" if start else "server", error.strerror or error
        raise NoDaemon(f"cannot reach the {who} at {where}: {cause} ({hint})") from error
    return sock if address.tls is None else _secured(sock, address, address.tls)


def _secured(sock: socket.socket, address: Address, credentials: Credentials) -> socket.socket:
    try:
        context = credentials.context()
        return context.wrap_socket(sock, server_hostname=credentials.server_name or address.host)
    except OSError as error:  # ssl.SSLError is one
        sock.close()
        cause = getattr(error, "verify_message", "") or getattr(error, "reason", "") or error
        raise NoDaemon(
            f"cannot reach the daemon at {address.host}:{address.port}: TLS: {cause} (make a new kubeconfig)"
        ) from error


class Response:
    """A response whose head is read; the body comes by read(), chunks() or lines(), once."""

    def __init__(self, connection: "Connection", status: int, headers: Mapping[str, str]) -> None:
        self.connection, self.status, self.headers = connection, status, headers
        self.last = headers.get("connection", "").lower() == "close"  # the connection ends with the body

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives."""
        try:
            yield from self._chunks()
        finally:
            if self.last:
                self.close()

    def _chunks(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self.connection.line().split(b";")[0], 16):
                yield self.connection.exactly(size)
                self.connection.line()
            while self.connection.line():
                pass  # trailers
        elif "content-length" in self.headers:
            left = int(self.headers["content-length"])
            while left:
                data = self.connection.some(left)
                left -= len(data)
                yield data
        elif self.status not in (204, 304):
            yield from self.connection.rest()

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def lines(self) -> Iterator[bytes]:
        """The body's lines as they arrive, without their newline."""
        rest = b""
        for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines
        if rest:
            yield rest

    def fileno(self) -> int:
        return self.connection.socket.fileno()

    def close(self) -> None:
        self.connection.close()


class Connection:
    """A connection and what was received of it but not yet read."""

    def __init__(self, address: Address, start: str, timeout: float | None) -> None:
        self.address = address
        self.socket = connect(address, start)
        self.socket.settimeout(timeout)
        self.buffer = b""

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: "bytes | BinaryIO" = b"", before: bytes = b""
    ) -> Response:
        """Sends a request and reads the response's head. NoDaemon when the connection ends before one came.

        `body` may be an open regular file: it is sent from where it stands to its end, without being read into memory.
        `before` is sent as its beginning.
        """
        size = (
            len(before) + len(body)
            if isinstance(body, bytes)
            else len(before) + fstat(body.fileno()).st_size - body.tell()
        )
        host = "localhost" if not self.address.port else f"{self.address.host}:{self.address.port}"
        own = self.address.tls.headers() if self.address.tls else {}
        fields = {"host": host, **own, **headers, **({"content-length": str(size)} if size or method != "GET" else {})}
        head = "".join(
            [f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {text}\r\n" for name, text in fields.items()), "\r\n"]
        )
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before the body's end, with 413
            if isinstance(body, bytes):
                self.socket.sendall(head.encode("latin-1") + before + body)
            else:
                self.socket.sendall(head.encode("latin-1") + before)
                self.socket.sendfile(body, body.tell())
        return self._head()

    def _head(self) -> Response:
        status_line = self.line()
        try:
            version, status = status_line.split(b" ", 2)[:2]
            if not version.startswith(b"HTTP/1."):
                raise ValueError(version)
            headers: dict[str, str] = {}
            while line := self.line():
                name, _, value = line.partition(b":")
                key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
                headers[key] = f"{headers[key]}, {text}" if key in headers else text
            return Response(self, int(status), headers)
        except ValueError as error:
            raise NoDaemon(
                f"cannot read the answer of {self.address.host}: no HTTP (give the daemon's own address)"
            ) from error

    def _fill(self) -> None:
        try:
            data = self.socket.recv(CHUNK)
        except TimeoutError as error:
            waited = f"no byte in {self.socket.gettimeout() or 0:.0f} s"
            raise NoDaemon(f"cannot get an answer from {self.address.host}: {waited} (look at its log)") from error
        except ConnectionResetError:
            data = b""
        if not data:
            raise NoDaemon(
                f"cannot get an answer from the daemon at {self.address.host}: it closed the connection (try again)"
            )
        self.buffer += data

    def line(self) -> bytes:
        while b"\n" not in self.buffer:
            self._fill()
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._fill()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def some(self, limit: int) -> bytes:
        """At least one byte, at most `limit`."""
        if not self.buffer:
            self._fill()
        data, self.buffer = self.buffer[:limit], self.buffer[limit:]
        return data

    def rest(self) -> Iterator[bytes]:
        """Everything up to the end of the connection."""
        while True:
            try:
                yield self.some(CHUNK)
            except NoDaemon:
                return

    def close(self) -> None:
        self.socket.close()
