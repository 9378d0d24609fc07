"""The control plane alone: Deployments applied by one request, until each has its Pod object. No container starts."""

import time

from bench.place import BenchError
from bench.samples import OURS, Goal, Row
from bench.world import World
from orchestr.client.paths import path
from orchestr.client.sync import Client

NAMESPACE = "bench-api"
WITHIN = 60.0  # seconds


def measure(world: World) -> list[Row]:
    world.quiet()
    client = Client(world.orch.socket)
    times = [once(client, world.services) for _ in range(world.rounds(5, 1))]
    goal = Goal("2.2 s for 100: twice kube-apiserver with etcd", 2.2)
    return [Row(f"API: {world.services} Deployments to all Pod objects", "s", {OURS: times}, goal)]


def once(client: Client, count: int) -> float:
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    client.apply_all([space])
    began = time.perf_counter()
    client.apply_all([deployment(number) for number in range(count)])
    wait(client, path("pods", NAMESPACE), count)
    seconds = time.perf_counter() - began
    client.delete(path("namespaces", name=NAMESPACE))
    wait(client, path("namespaces"), 0)
    return seconds


def wait(client: Client, collection: str, count: int) -> None:
    """Until so many objects of this measurement are there."""
    ends = time.monotonic() + WITHIN
    while sum(NAMESPACE in str(each["metadata"]) for each in client.items(collection)) != count:
        if time.monotonic() > ends:
            raise BenchError(f"{collection}: not {count} objects within {WITHIN:.0f} s")
        time.sleep(0.01)


def deployment(number: int) -> dict[str, object]:
    """One whose pod waits at a gate that nobody opens."""
    labels = {"app": f"d{number}"}
    spec = {"containers": [{"name": "c", "image": "local/host"}], "schedulingGates": [{"name": "bench.example/never"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"d{number}", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
