"""A server over a real unix socket, on a real store, with a node that only remembers; and HTTP by hand."""

import json
import os
import random
import socket
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple

import trio

from orchestr.api.errors import NotFound
from orchestr.client import Client
from orchestr.images import garbage
from orchestr.images.difference import Change
from orchestr.images.seam import Image, ImageConfig, ImageNotFound, Uses
from orchestr.runtime.seam import ExecSession
from orchestr.server.access import Access
from orchestr.server.app import App
from orchestr.server.listen import serve, unix_socket
from orchestr.server.node import Command, Connect, LogOptions, PodUsage, Unreachable, Usage
from orchestr.server.session import Emit
from orchestr.store.local import LocalCluster, open_cluster

IMAGE = Image(
    "sha256:" + "a" * 64, ("local/redis",), ImageConfig(), ("/l",), 3, "2026-01-01T00:00:00Z", {"os": "linux"}
)


NOTHING = Uses()


class FakeImages:
    watermarks = garbage.Watermarks()

    def __init__(self) -> None:
        self.loaded: list[bytes] = []

    def list(self) -> Sequence[Image]:
        return [IMAGE]

    def resolve(self, reference: str) -> Image:
        if reference not in IMAGE.names:
            raise ImageNotFound(f"cannot find image {reference}: there is only local/redis (load it)")
        return IMAGE

    def load(self, path: str, name: str | None = None) -> Sequence[Image]:
        with open(path, "rb") as file:
            self.loaded.append(file.read())
        return [IMAGE]

    def save(self, references: Sequence[str], path: str, *, format: str = "oci-archive") -> None:
        self.resolve(references[0])
        with open(path, "wb") as file:
            file.write(b"tar" * 1_000_000)

    def remove(self, reference: str, uses: Uses = NOTHING) -> None:
        self.resolve(reference)

    def difference(self, before: str, after: str, upper: str = "") -> Sequence[Change]:
        return [Change("C", f"/{before}/{after}/{upper}")]

    def mount(self, reference: str) -> str:
        self.resolve(reference)
        return "/mounted"

    def mounts(self) -> Mapping[str, Image]:
        return {"/mounted": IMAGE}

    def unmount(self, references: Sequence[str] | None) -> None:
        for each in references or ():
            self.resolve(each)

    def prune(
        self, uses: Uses, *, everything: bool = False, until: float | None = None, dry: bool = False
    ) -> garbage.Freed:
        return garbage.Freed(leftovers=int(everything) + int(dry), size=int(until or 0))

    def usage(self, uses: Uses) -> garbage.Usage:
        return garbage.Usage((), 7, 5, garbage.Freed())


class Process:
    """An ExecSession on a real child: `sh -c`."""

    def __init__(self, child: trio.Process, fds: tuple[int, int, int]) -> None:
        self.child, self.pid = child, child.pid
        self.stdin, self.stdout, self.stderr = fds
        self.sizes: list[tuple[int, int]] = []

    async def wait(self) -> int:
        code = await self.child.wait()
        return code if code >= 0 else 128 - code

    async def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    async def kill(self, signal: int) -> None:
        self.child.send_signal(signal)


class Echo:
    """A Session at a container that prints what it is told."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self.left = trio.Event()
        self._emit: Emit | None = None

    async def outputs(self, emit: Emit) -> None:
        self._emit = emit
        await self.left.wait()

    async def write(self, data: bytes) -> None:
        assert self._emit
        await self._emit(1, data)

    async def end_input(self) -> None:
        self.left.set()

    async def resize(self, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))

    async def hang_up(self) -> None:
        self.left.set()

    async def stop(self) -> bool:
        self.left.set()
        return True

    def close(self) -> None:
        self.left.set()


class FakeNode:
    """Answers what a test put in; exec runs the command on this machine."""

    def __init__(self, scratch: str) -> None:
        self.images, self.scratch = FakeImages(), scratch
        self.log: list[bytes] = [b"one\n", b"two\n"]
        self.asked: list[Any] = []
        self.stopped: list[bool] = []
        self.sessions: list[Process] = []
        self.attached: list[Echo] = []
        self.follow_ended = trio.Event()

    async def layers_of(self, namespace: str, pod: str, container: str | None) -> tuple[str, str]:
        return "own", f"{namespace}-{pod}-{container}"

    async def uses(self) -> Uses:
        return NOTHING

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncGenerator[bytes]:
        if pod == "missing":
            raise NotFound('pods "missing" not found')
        self.asked.append(options)
        return self._lines(options)

    async def _lines(self, options: LogOptions) -> AsyncGenerator[bytes]:
        try:
            for line in self.log:
                yield line
            if options.follow:
                await trio.sleep_forever()
        finally:
            self.follow_ended.set()

    async def exec(self, namespace: str, pod: str, command: Command) -> ExecSession:
        if pod == "missing":
            raise NotFound('pods "missing" not found')
        pipes = [os.pipe() for _ in range(3)]
        (stdin, ours_in), (ours_out, stdout), (ours_err, stderr) = pipes
        child = await trio.lowlevel.open_process(list(command.args), stdin=stdin, stdout=stdout, stderr=stderr)
        for fd in (stdin, stdout, stderr):
            os.close(fd)
        self.sessions.append(Process(child, (ours_in, ours_out, ours_err)))
        return self.sessions[-1]

    async def attach(self, namespace: str, pod: str, wanted: Command) -> "Echo":
        if pod == "missing":
            raise NotFound('pods "missing" not found')
        self.attached.append(Echo())
        return self.attached[-1]

    async def signal(self, namespace: str, pod: str, container: str | None, number: int) -> None:
        self.asked.append((namespace, pod, container, number))

    async def processes(self, namespace: str, pod: str, container: str | None) -> Sequence[Mapping[str, Any]]:
        return [{"pid": 7, "command": f"{namespace}/{pod}/{container}"}]

    async def forward(self, namespace: str, pod: str) -> Connect:
        async def connect(port: int) -> trio.SocketStream:
            try:
                return await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                raise Unreachable(f"nobody listens on port {port}") from None

        return connect

    async def usage(self, namespace: str | None) -> Sequence[PodUsage]:
        usage = {"main": Usage(250_000_000, 64 << 20, 3)}
        return [PodUsage("default", "web", datetime(2026, 1, 1, tzinfo=UTC), 1.0, usage)]

    async def bootstrap(self, name: str, suite: str, packages: Sequence[str]) -> AsyncGenerator[Mapping[str, Any]]:
        yield {"step": f"installing {len(packages)} packages"}
        yield {"image": IMAGE.digest}

    async def system(self) -> Mapping[str, Any]:
        return {"running": True, "pid": os.getpid()}

    async def stop(self, *, everything: bool) -> None:
        self.stopped.append(everything)


class Daemon(NamedTuple):
    socket: str
    cluster: LocalCluster
    node: FakeNode

    async def call(self, work: Callable[[Client], Any]) -> Any:
        """Runs `work` with the CLI's client in a thread."""
        client = Client(self.socket, timeout=20)
        try:
            return await trio.to_thread.run_sync(work, client)
        finally:
            client.close()

    async def raw(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Sends bytes on a new connection: status, headers, body up to the end of the connection or of the body."""
        async with await trio.open_unix_socket(self.socket) as stream:
            await stream.send_all(data)
            return await read(stream)

    async def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """(status, decoded JSON)."""
        status, _, text = await self.whole(method, path, body, headers)
        return status, json.loads(text)

    async def whole(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body)."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lines = {"host": "x", "content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
        return await self.raw(head.encode() + data)


async def read(stream: trio.abc.ReceiveStream) -> tuple[int, dict[str, str], bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            raise trio.BrokenResourceError("the server closed the connection")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length and (more := await stream.receive_some()):
        body += more
    return int(status.split()[1]), headers, body


def cluster_in(directory: str) -> AbstractAsyncContextManager[LocalCluster]:
    return open_cluster(
        os.path.join(directory, "orch.db"),
        node="here",
        services4=IPv4Network("10.89.0.0/16"),
        services6=IPv6Network("fd00:89::/112"),
        clock=partial(datetime.now, UTC),
        uid=lambda: str(uuid.uuid4()),
        chance=random.Random(7),
        keep=200,
    )


@asynccontextmanager
async def daemon(
    directory: str, access: Callable[[LocalCluster], Access] = lambda cluster: Access(cluster)
) -> AsyncIterator[Daemon]:
    path = os.path.join(directory, "orch.sock")
    async with cluster_in(directory) as cluster, trio.open_nursery() as nursery:
        node = FakeNode(directory)
        started = trio.Event()
        sockets: list[socket.socket] = [unix_socket(path)]
        nursery.start_soon(partial(serve, App(cluster, node, access(cluster)), sockets, started=started.set))
        await started.wait()
        yield Daemon(path, cluster, node)
        nursery.cancel_scope.cancel()


def config_map(name: str, namespace: str = "default", **data: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "data": data,
    }
