"""The server of tests/server/daemon.py with https beside its socket, and clients with certificates or tokens."""

import json
import os
import socket
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

import trio

from orchestr.server import pki
from orchestr.server.access import Access
from orchestr.server.app import App
from orchestr.server.listen import Connections, serve, unix_socket
from orchestr.server.tls import Tls, tcp_socket
from orchestr.server.tokens import Issuer
from orchestr.store.local import LocalCluster
from tests.server.daemon import Daemon, FakeNode, cluster_in, read


class Secured(NamedTuple):
    directory: str
    cluster: LocalCluster
    access: Access
    tls: Tls
    port: int
    connections: Connections  # that are open

    @property
    def local(self) -> Daemon:
        """The same server by its unix socket."""
        return Daemon(os.path.join(self.directory, "orch.sock"), self.cluster, FakeNode(self.directory))

    def client(self, user: str = "", *groups: str, ca: pki.Pair | None = None) -> ssl.SSLContext:
        """The TLS settings of a client, with a certificate for `user` if one is named."""
        context = ssl.create_default_context(cadata=self.tls.ca.pem.decode())
        if user:
            pair = pki.client(ca or self.tls.ca, user, groups, datetime.now(UTC))
            path = os.path.join(self.directory, "client.pem")
            with open(path, "wb") as file:
                file.write(pair.pem + pair.key_pem)
            context.load_cert_chain(path)
        return context

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        client: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        token: str = "",
    ) -> tuple[int, Any]:
        """(status, decoded JSON, or text) of one request on a connection of its own."""
        data = b"" if body is None else json.dumps(body).encode()
        lines = {"host": "x", "content-type": "application/json", "content-length": str(len(data))}
        lines |= {"authorization": f"Bearer {token}"} if token else {}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(
            f"{k}: {v}\r\n" for k, v in {**lines, **(headers or {})}.items()
        )
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as plain:
            stream = trio.SSLStream(plain, client or self.client(), server_hostname="localhost", https_compatible=True)
            await stream.send_all(head.encode() + b"\r\n" + data)
            status, found, text = await read(stream)
        return status, json.loads(text) if found.get("content-type") == "application/json" else text.decode()


@asynccontextmanager
async def secured(directory: str) -> AsyncIterator[Secured]:
    path = os.path.join(directory, "orch.sock")
    async with cluster_in(directory) as cluster, trio.open_nursery() as nursery:
        sockets: list[socket.socket] = [tcp_socket("127.0.0.1", 0)]
        port: int = sockets[0].getsockname()[1]
        clock = partial(datetime.now, UTC)
        tls = Tls(pki.Directory(os.path.join(directory, "pki")), ("localhost", "127.0.0.1", "::1"), clock)
        issuer = Issuer(tls.directory.signing_key(), time.time, lambda: str(uuid.uuid4()))
        access = Access(cluster, tls, (f"https://127.0.0.1:{port}",), issuer)
        started = trio.Event()
        app = App(cluster, FakeNode(directory), access)
        connections = Connections(app)
        listening = partial(serve, app, [unix_socket(path)], secure=sockets, tls=tls.context, started=started.set)
        run = partial(listening, connections=connections)
        nursery.start_soon(run)
        await started.wait()
        yield Secured(directory, cluster, access, tls, port, connections)
        nursery.cancel_scope.cancel()
