"""A Kubernetes API server that is not orch's: a proxy before an instance's https that knows nothing of orchestr.dev.

TLS ends here, with a certificate of the proxy's own, so clients are known by tokens. Below /orchestr.dev and in the
group orchestr.dev there is nothing, told as kube-apiserver tells it.
"""

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import trio

from orchestr.server import pki

OWN = re.compile(rb"^\w+ (/apis)?/orchestr\.dev[/? ]")
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
NOTHING = b"404 page not found\n"
ANSWER = b"HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(NOTHING), NOTHING)
CLOSED = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Foreign(NamedTuple):
    server: str  # its URL
    ca: str  # PEM


Secure = trio.SSLStream[trio.SocketStream]


class Proxy:
    def __init__(self, tls: ssl.SSLContext, upstream: tuple[str, int], up: ssl.SSLContext) -> None:
        self.tls, self.upstream, self.up = tls, upstream, up

    async def connection(self, plain: trio.SocketStream) -> None:
        client: Secure = trio.SSLStream(plain, self.tls, server_side=True, https_compatible=True)
        async with plain, await trio.open_tcp_stream(*self.upstream) as raw:
            server: Secure = trio.SSLStream(raw, self.up, server_hostname=self.upstream[0], https_compatible=True)
            with suppress(*CLOSED):
                await client.do_handshake()
                await server.do_handshake()
                await Pair(client, server).run()


class Pair:
    def __init__(self, client: Secure, server: Secure) -> None:
        self.client, self.server, self.sending = client, server, trio.Lock()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._back, nursery.cancel_scope)
            with suppress(*CLOSED):
                await self._requests()
            nursery.cancel_scope.cancel()

    async def _requests(self) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                data += await self._some()
            head, _, data = data.partition(b"\r\n\r\n")
            size = LENGTH.search(head)
            length = int(size[1]) if size else 0
            while len(data) < length:
                data += await self._some()
            if OWN.match(head):
                await self._answer(ANSWER)
            else:
                await self.server.send_all(head + b"\r\n\r\n" + data[:length])
            data = data[length:]
            while b"\r\nupgrade:" in head.lower():  # no requests follow any more
                await self.server.send_all(data or await self._some())
                data = b""

    async def _some(self) -> bytes:
        data = bytes(await self.client.receive_some(65536))
        if not data:
            raise trio.ClosedResourceError
        return data

    async def _answer(self, data: bytes) -> None:
        async with self.sending:
            await self.client.send_all(data)

    async def _back(self, end: trio.CancelScope) -> None:
        with suppress(*CLOSED):
            while data := bytes(await self.server.receive_some(65536)):
                await self._answer(data)
        end.cancel()


@contextmanager
def foreign(upstream: tuple[str, int], up: ssl.SSLContext, folder: Path) -> Iterator[Foreign]:
    """Serves in a thread; `up` trusts the instance."""
    now = datetime.now(UTC)
    authority = pki.authority(now)
    pair = pki.serving(authority, ("127.0.0.1",), now)
    file = folder / "proxy.pem"
    file.write_bytes(pair.pem + pair.key_pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    begun, found = threading.Event(), dict[str, object]()

    async def serve() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        found["port"], found["token"] = listeners[0].socket.getsockname()[1], trio.lowlevel.current_trio_token()
        with trio.CancelScope() as scope:
            found["scope"] = scope
            begun.set()
            await trio.serve_listeners(Proxy(tls, upstream, up).connection, listeners)

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    begun.wait()
    try:
        yield Foreign(f"https://127.0.0.1:{found['port']}", authority.pem.decode())
    finally:
        token, scope = found["token"], found["scope"]
        assert isinstance(token, trio.lowlevel.TrioToken)
        assert isinstance(scope, trio.CancelScope)
        token.run_sync_soon(scope.cancel)
        thread.join()
