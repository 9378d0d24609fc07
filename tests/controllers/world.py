"""A fake cluster with a simulated kubelet and controllers at work, and objects to put into it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any, NamedTuple

import trio

from orchestr.api.apps import Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec
from orchestr.api.base import ObjectMeta
from orchestr.api.batch import Job, JobSpec
from orchestr.api.claim import PersistentVolumeClaim
from orchestr.api.container import Container, ContainerPort
from orchestr.api.daemonset import DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from orchestr.api.meta import LabelSelector
from orchestr.api.node import Node
from orchestr.api.pod import Pod, PodSchedulingGate, PodSpec, PodTemplateSpec
from orchestr.api.statefulset import (
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetSpec,
    StatefulSetUpdateStrategy,
)
from orchestr.engine.manager import Manager
from tests.engine.fake import FakeCluster, FakeKubelet, virtual_clock

GATE = "orchestr.dev/dependencies"


def admit(obj: Any) -> Any:
    """What admission does to pods: a gate for those with dependencies, a node for those without a gate."""
    if not isinstance(obj, Pod):
        return obj
    gates = obj.spec.scheduling_gates
    if obj.metadata.resource_version is None and "orchestr.dev/depends-on" in obj.metadata.annotations:
        gates = (PodSchedulingGate(name=GATE),)
    return obj.but(spec=obj.spec.but(scheduling_gates=gates, node_name=None if gates else "here"))


class World(NamedTuple):
    cluster: FakeCluster
    kubelet: FakeKubelet
    manager: Manager

    async def settle(self) -> None:
        """Until a hundred virtual seconds pass without a write; the controllers' caches are unharmed."""
        while True:
            before = len(self.cluster.writes)
            await trio.sleep(100)
            if len(self.cluster.writes) == before:
                self.manager.verify()
                return


@asynccontextmanager
async def world(*controllers: ModuleType, cluster: FakeCluster | None = None, workers: int = 8) -> AsyncIterator[World]:
    cluster = cluster or FakeCluster()
    cluster.admit = admit
    kubelet = FakeKubelet(cluster)
    named: Any = {module.__name__.rpartition(".")[2]: module for module in controllers}
    manager = Manager(cluster, named, clock=virtual_clock, chance=lambda: 0, detect=True, workers=workers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kubelet.run)
        await nursery.start(manager.run)
        yield World(cluster, kubelet, manager)
        nursery.cancel_scope.cancel()


def template(app: str, image: str = "v1", annotations: Mapping[str, str] | None = None, **spec: Any) -> PodTemplateSpec:
    container = Container(name="main", image=image, ports=(ContainerPort(name="http", container_port=8080),))
    return PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": app}, annotations=annotations or {}),
        spec=PodSpec(containers=(container,), **spec),
    )


def deployment(name: str, replicas: int = 1, image: str = "v1", annotations: Any = None, **spec: Any) -> Deployment:
    return Deployment(
        metadata=ObjectMeta(name=name, namespace="ns"),
        spec=DeploymentSpec(
            selector=LabelSelector(match_labels={"app": name}),
            template=template(name, image, annotations),
            replicas=replicas,
            **spec,
        ),
    )


def replica_set(name: str, replicas: int = 1, **spec: Any) -> ReplicaSet:
    return ReplicaSet(
        metadata=ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}", generation=1),
        spec=ReplicaSetSpec(
            selector=LabelSelector(match_labels={"app": name}), template=template(name), replicas=replicas, **spec
        ),
    )


def stateful_set(
    name: str, replicas: int = 1, image: str = "v1", claims: Sequence[str] = (), **spec: Any
) -> StatefulSet:
    spec.setdefault("update_strategy", StatefulSetUpdateStrategy(rolling_update=RollingUpdateStatefulSetStrategy()))
    return StatefulSet(
        metadata=ObjectMeta(name=name, namespace="ns"),
        spec=StatefulSetSpec(
            selector=LabelSelector(match_labels={"app": name}),
            template=template(name, image),
            service_name=name,
            replicas=replicas,
            volume_claim_templates=tuple(PersistentVolumeClaim(metadata=ObjectMeta(name=each)) for each in claims),
            **spec,
        ),
    )


def daemon_set(name: str, image: str = "v1", pod: Mapping[str, Any] | None = None, **spec: Any) -> DaemonSet:
    spec.setdefault("update_strategy", DaemonSetUpdateStrategy(rolling_update=RollingUpdateDaemonSet()))
    return DaemonSet(
        metadata=ObjectMeta(name=name, namespace="ns"),
        spec=DaemonSetSpec(
            selector=LabelSelector(match_labels={"app": name}), template=template(name, image, **(pod or {})), **spec
        ),
    )


def machine(**labels: str) -> Node:
    return Node(metadata=ObjectMeta(name="here", labels=labels))


def job(name: str, **spec: Any) -> Job:
    spec.setdefault("template", template(name, restart_policy="Never"))
    return Job(metadata=ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}"), spec=JobSpec(**spec))
