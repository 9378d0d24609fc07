"""RemoteClusters that reach a LocalCluster through the server: on a unix socket, and by https with a certificate."""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio

from orchestr.client.credentials import Credentials
from orchestr.client.paths import Address
from orchestr.client.remote import RemoteCluster
from orchestr.server import pki
from orchestr.server.access import Access
from orchestr.server.app import App
from orchestr.server.listen import serve, unix_socket
from orchestr.server.tls import Tls, tcp_socket
from orchestr.server.tokens import Issuer
from orchestr.store import LocalCluster
from tests.server.daemon import FakeNode

Local = Callable[[Path], AbstractAsyncContextManager[LocalCluster]]
Remote = Callable[[Path], AbstractAsyncContextManager[RemoteCluster]]


def over_http(local: Local) -> Remote:
    @asynccontextmanager
    async def remote(path: Path) -> AsyncIterator[RemoteCluster]:
        socket = str(path / "orch.sock")
        async with local(path) as cluster, trio.open_nursery() as nursery:
            started = trio.Event()
            listener = unix_socket(socket)
            nursery.start_soon(partial(serve, App(cluster, FakeNode(str(path))), [listener], started=started.set))
            await started.wait()
            async with RemoteCluster(socket) as client:
                yield client
            nursery.cancel_scope.cancel()

    return remote


def over_https(local: Local) -> Remote:
    """As an administrator, whom a certificate names."""

    @asynccontextmanager
    async def remote(path: Path) -> AsyncIterator[RemoteCluster]:
        async with local(path) as cluster, trio.open_nursery() as nursery:
            listener = tcp_socket("127.0.0.1", 0)
            port: int = listener.getsockname()[1]
            tls = Tls(pki.Directory(str(path / "pki")), ("127.0.0.1",), partial(datetime.now, UTC))
            issuer = Issuer(tls.directory.signing_key(), time.time, lambda: str(uuid.uuid4()))
            access = Access(cluster, tls, (f"https://127.0.0.1:{port}",), issuer)
            app, started = App(cluster, FakeNode(str(path)), access), trio.Event()
            sockets = [unix_socket(str(path / "orch.sock"))]
            run = partial(serve, app, sockets, secure=[listener], tls=tls.context, started=started.set)
            nursery.start_soon(run)
            await started.wait()
            pair = pki.client(tls.ca, "admin", ("system:masters",), datetime.now(UTC))
            credentials = Credentials(tls.ca.pem.decode(), pair.pem.decode(), pair.key_pem.decode())
            async with RemoteCluster(Address("127.0.0.1", port, credentials)) as client:
                yield client
            nursery.cancel_scope.cancel()

    return remote
