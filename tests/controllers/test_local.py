"""The controllers on the real store: admission, garbage collection and group commit included."""

import random
import uuid
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import trio

from controllers import claim, deployment, endpoints, gates, job, replicaset
from orchestr.api.apps import Deployment
from orchestr.api.base import Condition, Key, KubeObject, ObjectMeta
from orchestr.api.batch import Job
from orchestr.api.config import ConfigMap
from orchestr.api.discovery import EndpointSlice
from orchestr.api.namespace import Namespace
from orchestr.api.pod import Pod, PodIP
from orchestr.engine import Cluster, EventType
from orchestr.engine.manager import Manager, utc_now
from orchestr.store.local import open_cluster
from tests.controllers import world as objects
from tests.controllers.test_endpoints import service

CONTROLLERS: Any = {
    "claim": claim,
    "deployment": deployment,
    "endpoints": endpoints,
    "gates": gates,
    "job": job,
    "replicaset": replicaset,
}


async def kubelet(cluster: Cluster) -> None:
    """Bound pods run, or succeed at once when they never restart; deleted ones go."""
    number = 0
    async with cluster.watch(Pod) as events:
        async for event in events:
            pod = event.object
            if pod is None or event.type is EventType.DELETED or not pod.spec.node_name:
                continue
            if pod.metadata.deleting:
                await cluster.delete(pod, grace=0)
            elif pod.status.phase in (None, "Pending"):
                number += 1
                ends = pod.spec.restart_policy == "Never"
                ready = Condition(type="Ready", status=str(not ends), last_transition_time=utc_now())
                phase, ips = "Succeeded" if ends else "Running", (PodIP(ip=f"10.88.0.{number}"),)
                await cluster.patch_status(pod, pod.status.but(phase=phase, conditions=(ready,), pod_ips=ips))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with (
        open_cluster(
            str(tmp_path / "orch.db"),
            node="here",
            services4=IPv4Network("10.89.0.0/16"),
            services6=IPv6Network("fd00:89::/112"),
            clock=utc_now,
            uid=lambda: str(uuid.uuid4()),
            chance=random.Random(1),
        ) as cluster,
        trio.open_nursery() as nursery,
    ):
        await cluster.create(Namespace(metadata=ObjectMeta(name="ns")))
        manager = Manager(cluster, CONTROLLERS, detect=True)
        nursery.start_soon(kubelet, cluster)
        await nursery.start(manager.run)
        yield cluster
        manager.verify()
        assert not any(metrics.failures for metrics in manager.metrics.values())
        nursery.cancel_scope.cancel()


async def until(cluster: Cluster, kind: type[KubeObject], check: Callable[[Any], bool]) -> Any:
    """The first object of the watch that fulfils `check`."""
    with trio.fail_after(20):
        async with cluster.watch(kind) as events:
            async for event in events:
                if event.object is not None and check(event.object):
                    return event.object
    raise AssertionError("the watch ended")


async def test_a_deployment_is_rolled_and_served(cluster: Cluster) -> None:
    await cluster.create(service())
    await cluster.create(objects.deployment("web", 3))
    await until(cluster, Deployment, lambda d: d.status.available_replicas == 3)
    await until(cluster, EndpointSlice, lambda s: sum(bool(e.conditions.ready) for e in s.endpoints) == 3)
    new = objects.template("web", "v2").wire()
    await cluster.patch(Deployment, Key("ns", "web"), {"spec": {"template": new}})
    done = await until(
        cluster, Deployment, lambda d: d.status.observed_generation == 2 and d.status.updated_replicas == 3
    )
    assert done.metadata.generation == 2
    await until(cluster, Deployment, lambda d: d.status.replicas == d.status.available_replicas == 3)
    live = [pod for pod in await cluster.list(Pod, namespace="ns") if pod.active]
    assert {pod.spec.containers[0].image for pod in live} == {"v2"}


async def test_a_gate_opens_when_a_job_is_complete(cluster: Cluster) -> None:
    waits = {"orchestr.dev/depends-on": "job/migrate=completed"}
    await cluster.create(objects.deployment("api", annotations=waits))
    gated = await until(cluster, Pod, lambda pod: any(c.reason == "SchedulingGated" for c in pod.status.conditions))
    assert "migrate does not exist" in gated.status.conditions[0].message
    await cluster.create(objects.job("migrate", completions=2))
    await until(cluster, Job, lambda job: job.status.has("Complete"))
    await until(cluster, Deployment, lambda d: d.status.available_replicas == 1)


async def test_a_config_map_that_comes_later_opens_the_gate(cluster: Cluster) -> None:
    spec = {"containers": [{"name": "main", "image": "x", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}
    meta = {"name": "x", "namespace": "ns"}
    await cluster.create(Pod.model_validate({"metadata": meta, "spec": spec}))
    await until(cluster, Pod, lambda pod: any("settings" in (c.message or "") for c in pod.status.conditions))
    await cluster.create(ConfigMap(metadata=ObjectMeta(name="settings", namespace="ns")))
    await until(cluster, Pod, lambda pod: pod.status.phase == "Running")
