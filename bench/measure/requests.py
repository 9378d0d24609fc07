"""Requests to the API, one client and one at a time: create with fsync, get, list, and what a watch costs."""

import json
import threading
import time
from statistics import median

from bench.samples import OURS, Goal, Row
from bench.served import Connection, Served, config_map, pod, served
from bench.world import World

ROOT = "/api/v1/namespaces"
WATCHERS = 100


def measure(world: World) -> list[Row]:
    sizes = (100, 1000) if world.quick else (100, 1000, 10_000)
    rounds = world.rounds(5, 1)
    with served() as daemon:
        creates = [median(made(daemon, "configmaps", config_map, world.rounds(300, 30))) for _ in range(rounds)]
        pods = [median(made(daemon, "pods", pod, world.rounds(300, 30))) for _ in range(rounds)]
        lists = {}
        for size in sizes:
            space = fill(daemon, f"list-{size}", size)
            lists[size] = [repeated(daemon, f"{space}/pods", 20 if size <= 1000 else 3) for _ in range(rounds)]
        gets = [repeated(daemon, f"{ROOT}/list-100/pods/p1", 300) for _ in range(rounds)]
        one = [1e3 * median(delays(daemon, 1, 50)) for _ in range(rounds)]
        many = [1e3 * median(delays(daemon, WATCHERS, 10)) for _ in range(rounds)]
    twice = "twice kube-apiserver with etcd"
    rows = [
        Row("API: create a ConfigMap, p50", "ms", {OURS: creates}, Goal(f"3.6 ms: {twice}", 3.6)),
        Row("API: create a Pod, p50", "ms", {OURS: pods}),
        Row("API: get a Pod, p50", "ms", {OURS: gets}, Goal("1.0 ms: kube-apiserver", 1.0)),
    ]
    for size, times in lists.items():
        goal = Goal("2.1 ms: kube-apiserver", 2.1) if size == 100 else None
        rows.append(Row(f"API: list {size:,} Pods", "ms", {OURS: times}, goal))
    return [
        *rows,
        Row("API: write to a watcher's event", "ms", {OURS: one}, Goal("1.5 ms: kube-apiserver", 1.5)),
        Row(f"API: write to the last of {WATCHERS} watchers' events", "ms", {OURS: many}),
    ]


def space_of(daemon: Served, name: str) -> str:
    daemon.connection.ask("POST", ROOT, {"metadata": {"name": name}})
    return f"{ROOT}/{name}"


def made(daemon: Served, plural: str, make: object, count: int) -> list[float]:
    """Milliseconds of each of so many creations."""
    assert callable(make)
    collection = f"{ROOT}/default/{plural}"
    bodies = [json.dumps(make(number)).encode() for number in range(count)]
    taken = [daemon.connection.timed("POST", collection, body) for body in bodies]
    daemon.connection.ask("DELETE", f"{collection}?labelSelector=app%3Dbench")
    return taken


def fill(daemon: Served, name: str, count: int) -> str:
    """A namespace with so many pods."""
    space = space_of(daemon, name)
    for first in range(0, count, 500):
        items = [pod(number) for number in range(first, min(first + 500, count))]
        for item in items:
            item["metadata"]["namespace"] = name
        daemon.connection.ask("POST", "/orchestr.dev/v1/apply?manager=bench", {"kind": "List", "items": items})
    return space


def repeated(daemon: Served, path: str, count: int) -> float:
    return median(daemon.connection.timed("GET", path) for _ in range(count))


class Watching(threading.Thread):
    """Reads events of ConfigMaps; notes when each came."""

    def __init__(self, path: str) -> None:
        super().__init__(daemon=True)
        self._connection = Connection(path)
        self._connection.request(
            "GET", f"{ROOT}/default/configmaps?watch=true&resourceVersion=0&labelSelector=app%3Dbench"
        )
        self._answer = self._connection.getresponse()
        self.came = threading.Semaphore(0)
        self.at = 0.0
        self.start()

    def run(self) -> None:
        try:
            while self._answer.readline():
                self.at = time.perf_counter()
                self.came.release()
        except (OSError, ValueError, AttributeError):
            return  # closed

    def close(self) -> None:
        assert self._connection.sock is not None
        self._connection.sock.shutdown(2)
        self.join()
        self._connection.close()


def delays(daemon: Served, watchers: int, count: int) -> list[float]:
    """Seconds from the start of a create to the last watcher's event, for each of so many creates."""
    watching = [Watching(daemon.path) for _ in range(watchers)]
    found = []
    try:
        for number in range(count):
            began = time.perf_counter()
            daemon.connection.ask("POST", f"{ROOT}/default/configmaps", config_map(number))
            for each in watching:
                each.came.acquire()
            found.append(max(each.at for each in watching) - began)
    finally:
        for each in watching:
            each.close()
    daemon.connection.ask("DELETE", f"{ROOT}/default/configmaps?labelSelector=app%3Dbench")
    return found
