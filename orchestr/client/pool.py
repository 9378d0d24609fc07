"""HTTP/1.1 on trio streams by h11: a pool of kept-alive connections for requests, a connection each for streams."""

import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any

import h11
import trio

from orchestr.api.errors import ApiError, Unavailable, from_status
from orchestr.client.paths import Address

CHUNK = 256 * 1024
IDLE = 8  # connections kept for later
TIMEOUT = 60.0  # seconds for a request's whole answer
CONNECT_TIMEOUT = 5.0


class Lost(Unavailable):
    """The connection ended before the answer did; a write may have been carried out."""


Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class Connection:
    def __init__(self, stream: Stream) -> None:
        self.stream, self.http = stream, h11.Connection(h11.CLIENT)

    async def send(self, request: h11.Request, body: bytes) -> h11.Response:
        """Sends a request; the response's head."""
        data = self.http.send(request) + self.http.send(h11.Data(body)) + self.http.send(h11.EndOfMessage())
        with suppress(trio.BrokenResourceError):  # it may have answered before the body's end
            await self.stream.send_all(data)
        while not isinstance(event := await self._event(), h11.Response):
            if isinstance(event, h11.ConnectionClosed):
                raise Lost("the server closed the connection before it answered")
        return event

    async def piece(self) -> bytes:
        """The next piece of the body, b"" at its end."""
        while isinstance(event := await self._event(), h11.Data):
            if event.data:
                return bytes(event.data)
        return b""

    async def body(self) -> bytes:
        pieces = []
        while piece := await self.piece():
            pieces.append(piece)
        return b"".join(pieces)

    async def lines(self) -> AsyncGenerator[bytes]:
        rest = b""
        while piece := await self.piece():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line

    async def _event(self) -> h11.Event:
        try:
            while (event := self.http.next_event()) is h11.NEED_DATA:
                self.http.receive_data(bytes(await self.stream.receive_some(CHUNK)))
        except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
            raise Lost(f"the server closed the connection: {error}") from error
        assert not isinstance(event, type)
        return event

    def reuse(self) -> bool:
        """Makes it ready for the next request, if that can be."""
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
            return True
        return False


class Pool:
    """Requests to one address. Use as an async context manager."""

    def __init__(self, address: Address) -> None:
        self.address, self.idle = address, list[Connection]()
        self.host = f"{address.host}:{address.port}" if address.port else "localhost"
        self._tls = address.tls.context() if address.tls else None

    async def __aenter__(self) -> "Pool":
        return self

    async def __aexit__(self, *exc: object) -> None:
        while self.idle:
            await trio.aclose_forcefully(self.idle.pop().stream)

    async def request(
        self, method: str, target: str, body: bytes = b"", content_type: str = "application/json"
    ) -> bytes:
        """The answer's body. ApiError for a Status; Unavailable when nobody answers."""
        with _timed():
            while self.idle:
                try:
                    return await self._on(self.idle.pop(), self._request(method, target, body, content_type), body)
                except Lost:
                    # A kept connection that the server has closed meanwhile. A write is asked again only if it
                    # cannot have been carried out, which nobody knows here.
                    if method != "GET":
                        raise
            return await self._on(await self._connect(), self._request(method, target, body, content_type), body)

    async def _on(self, connection: Connection, request: h11.Request, body: bytes) -> bytes:
        kept = False
        try:
            response = await connection.send(request, body)
            data = await connection.body()
            if connection.reuse() and len(self.idle) < IDLE:
                self.idle.append(connection)
                kept = True
        finally:
            if not kept:
                await trio.aclose_forcefully(connection.stream)
        if response.status_code >= 400:
            raise _error(data, response.status_code)
        return data

    @asynccontextmanager
    async def lines(self, target: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of an endless answer, on a connection of its own."""
        connection = await self._connect()
        try:
            with _timed():
                response = await connection.send(self._request("GET", target, b"", ""), b"")
                if response.status_code >= 400:
                    raise _error(await connection.body(), response.status_code)
            async with aclosing(connection.lines()) as lines:
                yield lines
        finally:
            await trio.aclose_forcefully(connection.stream)

    def _request(self, method: str, target: str, body: bytes, content_type: str) -> h11.Request:
        headers = [("host", self.host), ("accept", "application/json"), ("content-length", str(len(body)))]
        if body:
            headers.append(("content-type", content_type))
        if self.address.tls:
            headers += self.address.tls.headers().items()
        return h11.Request(method=method, target=target, headers=headers)

    async def _connect(self) -> Connection:
        try:
            with trio.fail_after(CONNECT_TIMEOUT):
                if self.address.port:
                    stream = await trio.open_tcp_stream(self.address.host, self.address.port)
                    return Connection(stream if self._tls is None else await self._secured(stream, self._tls))
                return Connection(await trio.open_unix_socket(self.address.host))
        except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
            reason = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
            cause = getattr(reason, "strerror", None) or str(reason) or "it does not accept connections"
            raise Unavailable(f"cannot reach {self.address.host}: {cause} (start the daemon)") from error

    async def _secured(self, stream: trio.SocketStream, tls: ssl.SSLContext) -> "trio.SSLStream[trio.SocketStream]":
        name = (self.address.tls.server_name if self.address.tls else "") or self.address.host
        secured = trio.SSLStream(stream, tls, server_hostname=name, https_compatible=True)
        try:
            await secured.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secured


@contextmanager
def _timed() -> Iterator[None]:
    try:
        with trio.fail_after(TIMEOUT):
            yield
    except trio.TooSlowError:
        raise Unavailable(f"cannot get an answer: none in {TIMEOUT:.0f} s (look at the server's log)") from None


def _error(data: bytes, code: int) -> ApiError:
    try:
        status: Mapping[str, Any] = json.loads(data)
        return from_status(dict(status), code)
    except (ValueError, TypeError):
        return from_status({"message": data[:256].decode(errors="replace").strip()}, code)
