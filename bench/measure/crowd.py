"""10,000 Pods in the store: what the daemon takes for them, and how late others are while they are listed.

"Late" is the longest that any of many small requests took while two clients list everything over and over: so long
would a probe or a restart have waited for its turn.
"""

import subprocess
import sys
import time
from contextlib import contextmanager

from bench.measure.requests import ROOT, fill
from bench.samples import OURS, Goal, Row
from bench.served import Connection, Served, served
from bench.world import World

PODS = 10_000
LISTS = {
    "listed": ("/api/v1/pods", "application/json"),
    "listed by label": ("/api/v1/pods?labelSelector=tier%3Dback", "application/json"),
    "listed as a table": ("/api/v1/pods", "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"),
    "watched from the beginning": (
        "/api/v1/pods?watch=true&allowWatchBookmarks=true&sendInitialEvents=true"
        "&resourceVersionMatch=NotOlderThan&timeoutSeconds=1",
        "application/json",
    ),
}
READER = """
import sys
from bench.served import Connection
path, target, accept = sys.argv[1:]
print(flush=True)
while True:
    connection = Connection(path)
    connection.request("GET", target, headers={"accept": accept})
    answer = connection.getresponse()
    while answer.read(1 << 20):
        pass
    connection.close()
"""


def measure(world: World) -> list[Row]:
    count = 1000 if world.quick else PODS
    with served() as daemon:
        idle = memory(world, daemon)
        fill(daemon, "crowd", count)
        full = memory(world, daemon)
        late = {}
        for how, (path, accept) in LISTS.items():
            with listing(daemon, path, accept):
                late[how] = [lateness(daemon, world.rounds(5, 1)) for _ in range(world.rounds(3, 1))]
    goal = Goal("50 ms", 50)
    return [
        Row("API: memory (PSS) with nothing, on FakeRuntime", "MB", {OURS: [idle]}),
        Row(f"API: memory (PSS) with {count:,} Pods", "MB", {OURS: [full]}),
        *(Row(f"API: late, {count:,} Pods {how}", "ms", {OURS: times}, goal) for how, times in late.items()),
    ]


def memory(world: World, daemon: Served) -> float:
    time.sleep(2)  # for what the last request left to do
    return float(world.here.ask("memory", pids=[daemon.pid])["bytes"]) / 1e6


@contextmanager
def listing(daemon: Served, path: str, accept: str):
    """Two clients that list all the time."""
    command = [sys.executable, "-c", READER, daemon.path, path, accept]
    readers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            reader.stdout.readline()
        yield
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()


def lateness(daemon: Served, seconds: float) -> float:
    """Milliseconds of the slowest small request."""
    connection, worst = Connection(daemon.path), 0.0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        worst = max(worst, connection.timed("GET", f"{ROOT}/default"))
        time.sleep(0.002)
    connection.close()
    return worst
