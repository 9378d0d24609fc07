"""A RemoteCluster that reaches a LocalCluster through the HTTP server on a unix socket."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from orchestr.client.remote import RemoteCluster
from orchestr.server.app import App
from orchestr.server.listen import serve, unix_socket
from orchestr.store import LocalCluster
from tests.server.daemon import FakeNode

Local = Callable[[Path], AbstractAsyncContextManager[LocalCluster]]


def over_http(local: Local) -> Callable[[Path], AbstractAsyncContextManager[RemoteCluster]]:
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
