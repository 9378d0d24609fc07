"""Dependencies of pods: lifts the gate of a pod that waits for nothing any more, and restarts what follows a restart.

A pod with the gate `orchestr.dev/dependencies` is not bound to the node. Once graph.unmet finds nothing the gate goes
(and admission binds); until then the pod's condition PodScheduled says what it waits for. A running pod with an edge
`restart: true` is deleted, so that its workload makes a new one, when what it depends on has started after it did.
"""

from collections.abc import Iterable
from datetime import datetime

from orchestr import graph
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.base import Condition, KubeObject
from orchestr.api.batch import Job
from orchestr.api.claim import PersistentVolumeClaim
from orchestr.api.config import ConfigMap, Secret
from orchestr.api.daemonset import DaemonSet
from orchestr.api.pod import Pod, PodStatus
from orchestr.api.statefulset import StatefulSet
from orchestr.engine import By, ControllerCluster, Key, Related, Watches
from orchestr.engine.conditions import with_condition
from orchestr.engine.controller import Index

GATE = "orchestr.dev/dependencies"
DEPENDS = "depends on"  # index of pods: gated ones by what they wait for, running ones by what they restart with

Target = tuple[str, str, str]  # kind in lower case or "" for any, namespace, name


def gated(pod: Pod) -> bool:
    return any(gate.name == GATE for gate in pod.spec.scheduling_gates)


def _edges(pod: Pod) -> tuple[graph.Edge, ...]:
    try:
        return graph.edges(pod)
    except graph.DependencyError:
        return ()  # graph.unmet tells it as the reason


def _depends(pod: Pod) -> Iterable[Target]:
    if gated(pod):
        return [_target(edge) for edge in _edges(pod)]
    declared = graph.DEPENDS_ON in pod.metadata.annotations
    return [_target(edge) for edge in _edges(pod) if edge.restart] if declared else ()


def _target(edge: graph.Edge) -> Target:
    return edge.target.kind, edge.target.namespace, edge.target.name


def _dependants(obj: KubeObject, index: Index) -> list[Key]:
    """The pods that wait for this object, or for the workload that it is a pod of."""
    found: list[Key] = []
    for kind, name in _names(obj, index):
        for target in ((kind, obj.key.namespace, name), ("", obj.key.namespace, name)):
            found += [pod.key for pod in index.by(Pod, DEPENDS, target)]
    return found


def _names(obj: KubeObject, index: Index) -> Iterable[tuple[str, str]]:
    """The object itself and, of a pod, the workloads above it."""
    yield obj.kind.lower(), obj.metadata.name
    owner = obj.metadata.controller
    if isinstance(obj, Pod) and owner:
        yield owner.kind.lower(), owner.name
        rs = index.one(ReplicaSet, Key(obj.key.namespace, owner.name)) if owner.kind == "ReplicaSet" else None
        if rs and rs.metadata.controller:
            yield rs.metadata.controller.kind.lower(), rs.metadata.controller.name


WATCHES = Watches(
    Pod,
    related=tuple(
        Related(kind, _dependants)
        for kind in (Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, ConfigMap, Secret, PersistentVolumeClaim)
    ),
    indexes=(By(Pod, DEPENDS, _depends),),
)


def started_at(pod: Pod) -> datetime | None:
    """When the youngest running container of the pod started; None when none runs."""
    return max(_starts(pod), default=None)


def _starts(pod: Pod) -> list[datetime]:
    running = (status.state.running for status in pod.status.container_statuses)
    return [state.started_at for state in running if state and state.started_at]


def restarted(pod: Pod, dependency: Iterable[Pod], now: datetime) -> datetime | None:
    """When the dependency came up, if that was after the pod did; None if the pod need not follow. Pure.

    A dependency of several pods came up when the oldest of them did: adding a replica, or losing one of many, is no
    restart. A time that is still to come (the clock was set back) is no reason, so that nothing restarts in a loop.
    """
    own = min(_starts(pod), default=None)
    ups = [start for other in dependency if other.active and (start := started_at(other))]
    up = min(ups, default=None)
    return up if own and up and own < up <= now else None


def gated_status(pod: Pod, unmet: list[str], now: datetime) -> PodStatus:
    why = Condition(type="PodScheduled", status="False", reason="SchedulingGated", message="; ".join(unmet))
    conditions = with_condition(pod.status.conditions, why, now)
    return pod.status.but(phase=pod.status.phase or "Pending", conditions=conditions)


async def reconcile(cluster: ControllerCluster, key: Key) -> None:
    pod = await cluster.get(Pod, key)
    if pod is None or not pod.active:
        return
    if not gated(pod):
        await _follow(cluster, pod)
    elif unmet := graph.unmet(pod, cluster):
        await cluster.patch_status(pod, gated_status(pod, unmet, cluster.now()))
    else:
        left = tuple(gate for gate in pod.spec.scheduling_gates if gate.name != GATE)
        await cluster.update(pod.but(spec=pod.spec.but(scheduling_gates=left)))  # Conflict if it changed meanwhile


async def _follow(cluster: ControllerCluster, pod: Pod) -> None:
    """Deletes the pod when it must follow a restart. A pod without a workload stays: nobody would make it anew."""
    if not pod.metadata.controller or graph.DEPENDS_ON not in pod.metadata.annotations:
        return
    for edge in _edges(pod):
        target = graph.workload(edge.target, cluster) if edge.restart else None
        up = restarted(pod, graph.pods_of(target, cluster), cluster.now()) if target else None
        if up:
            text = f"restarted because {edge.target} started again at {up:%H:%M:%S}, after this pod did"
            cluster.record(pod, "DependencyRestarted", text)
            await cluster.delete(pod)
            return
