"""The control plane alone: Deployments applied by one request, until each has its ReplicaSet and Pod, and all run.

On FakeRuntime: no container starts, all else is as ever.
"""

import json
import time

from bench.place import BenchError
from bench.samples import OURS, Goal, Row
from bench.served import WITHIN, Served, served
from bench.world import World

NAMESPACE = "bench-api"
SPACE = f"/api/v1/namespaces/{NAMESPACE}"


def measure(world: World) -> list[Row]:
    with served() as daemon:
        times = [once(daemon, world.services) for _ in range(world.rounds(5, 1))]
    goal = Goal("2.2 s for 100: twice kube-apiserver with etcd", 2.2)
    return [
        Row(f"API: {world.services} Deployments to all Pod objects", "s", {OURS: [made for made, _ in times]}, goal),
        Row(f"API: {world.services} Deployments to all Pods running", "s", {OURS: [ran for _, ran in times]}),
    ]


def once(daemon: Served, count: int) -> tuple[float, float]:
    """Seconds to all ReplicaSets and Pods, and to all Pods running."""
    ask = daemon.connection.ask
    ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    body = json.dumps({"kind": "List", "items": [deployment(number) for number in range(count)]}).encode()
    began = time.perf_counter()
    ask("POST", "/orchestr.dev/v1/apply?manager=bench", body)
    daemon.until(f"{SPACE}/pods", count)
    made = time.perf_counter() - began
    daemon.until(f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets", count)
    running(daemon, count)
    ran = time.perf_counter() - began
    ask("DELETE", SPACE)
    gone(daemon)
    return made, ran


def running(daemon: Served, count: int) -> None:
    ends = time.monotonic() + WITHIN
    path = f"{SPACE}/pods?fieldSelector=status.phase%3DRunning"
    while (found := daemon.connection.ask("GET", path).count(b'"phase":"Running"')) < count:
        if time.monotonic() > ends:
            raise BenchError(f"{found} of {count} pods run within {WITHIN:.0f} s")
        time.sleep(0.02)


def gone(daemon: Served) -> None:
    ends = time.monotonic() + WITHIN
    while NAMESPACE.encode() in daemon.connection.ask("GET", "/api/v1/namespaces"):
        if time.monotonic() > ends:
            raise BenchError(f"the namespace {NAMESPACE} is still there after {WITHIN:.0f} s")
        time.sleep(0.02)


def deployment(number: int) -> dict[str, object]:
    labels = {"app": f"d{number}"}
    spec = {"containers": [{"name": "c", "image": "local/host", "command": ["sleep", "1000000"]}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"d{number}", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
