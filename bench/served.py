"""A daemon on FakeRuntime in a process of its own, and HTTP to it: bytes, and the time they took."""

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.place import BenchError

WITHIN = 60.0  # seconds


class Connection(http.client.HTTPConnection):
    """Kept alive, on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=WITHIN)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The whole answer. BenchError unless it is a success."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.request(method, path, data, {"content-type": "application/json"} if data else {})
            answer = self.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"{method} {path}: {error!r} (the daemon's words stand above)") from error
        if answer.status >= 300:
            raise BenchError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text

    def timed(self, method: str, path: str, body: Any = None) -> float:
        """Milliseconds of one request."""
        began = time.perf_counter()
        self.ask(method, path, body)
        return (time.perf_counter() - began) * 1e3

    def count(self, path: str) -> int:
        """How many objects a collection has; costs the daemon one of them."""
        found = json.loads(self.ask("GET", f"{path}?limit=1"))
        return len(found["items"]) + int(found["metadata"].get("remainingItemCount", 0))


class Served:
    def __init__(self, path: str, pid: int) -> None:
        self.path, self.pid = path, pid
        self.connection = Connection(path)

    def until(self, collection: str, count: int, within: float = WITHIN) -> None:
        """Waits for so many objects."""
        ends = time.monotonic() + within
        while (found := self.connection.count(collection)) != count:
            if time.monotonic() > ends:
                raise BenchError(f"{collection}: {found} objects, not {count}, within {within:.0f} s")
            time.sleep(0.005)


@contextmanager
def served() -> Iterator[Served]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder,  # /tmp may have no disk
        tempfile.TemporaryDirectory(prefix="bench-", dir="/run") as volatile,
    ):
        command = [sys.executable, "-m", "bench.fake", folder, volatile]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise BenchError("cannot start a daemon on FakeRuntime (its words stand above)")
            daemon = Served(f"{folder}/orch.sock", process.pid)
            try:
                yield daemon
            finally:
                daemon.connection.close()
        finally:
            process.communicate()


def config_map(number: int) -> dict[str, Any]:
    metadata = {"name": f"c{number}", "labels": {"app": "bench"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value"}}


def pod(number: int, *, gated: bool = True) -> dict[str, Any]:
    """A usual one; with the gate, which nobody opens, it stays an object."""
    container = {
        "name": "main",
        "image": "local/host",
        "command": ["sleep", "1000000"],
        "env": [{"name": "PORT", "value": "8080"}, {"name": "LEVEL", "value": "info"}],
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}},
    }
    spec = {"containers": [container], "schedulingGates": [{"name": "bench.example/never"}] if gated else []}
    metadata = {"name": f"p{number}", "labels": {"app": "bench", "tier": "back"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
