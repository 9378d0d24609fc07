"""ReplicaSet (apps/v1): keep spec.replicas live pods of one template. Level-triggered: a key comes in, no event."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice

from controllers.pods import available_at, pod_of
from orchestr.api.apps import ReplicaSet, ReplicaSetStatus
from orchestr.api.pod import Pod
from orchestr.engine import After, ApiError, Condition, ControllerCluster, Key, Refused, Related, Watches, child_name
from orchestr.engine.conditions import with_condition, without_condition
from orchestr.engine.controller import Index
from orchestr.engine.ownership import claimed

KEPT = 3  # finished pods that stay for their logs and reasons; each is one that failed or was evicted


def _adopters(pod: Pod, index: Index) -> list[Key]:
    """A pod that nobody controls may be one that a ReplicaSet selects."""
    if pod.metadata.controller:
        return []
    sets = index.all(ReplicaSet, namespace=pod.key.namespace)
    return [rs.key for rs in sets if rs.spec.selector.matches(pod.metadata.labels)]


WATCHES = Watches(ReplicaSet, owns=(Pod,), related=(Related(Pod, _adopters),))


@dataclass(frozen=True)
class Difference:
    create: tuple[Pod, ...]
    delete: tuple[Pod, ...]


def difference(rs: ReplicaSet, pods: Sequence[Pod], taken: Collection[str] = ()) -> Difference:
    """What is missing or too much, of the pods that neither finished nor are being deleted. Pure.

    `taken` are names in use by pods of others.
    """
    alive = [pod for pod in pods if pod.active]
    missing = rs.spec.replicas - len(alive)
    # Names come from uid and slot, so that acting twice on a stale read collides instead of adding pods.
    names = {pod.metadata.name for pod in pods}.union(taken)
    free = (name for slot in count() if (name := child_name(rs, slot)) not in names)
    return Difference(
        create=tuple(pod_of(rs, rs.spec.template, name) for name in islice(free, max(missing, 0))),
        delete=(*sorted(alive, key=_usefulness)[: max(-missing, 0)], *_old_news(pods)),
    )


def _usefulness(pod: Pod) -> tuple[bool, bool, bool, float]:
    """Least useful first, as Kubernetes' ActivePods: unassigned, not running, unready, then the youngest."""
    running = pod.status.phase == "Running"
    return bool(pod.spec.node_name), running, pod.ready, -pod.metadata.created.timestamp()


def _old_news(pods: Sequence[Pod]) -> list[Pod]:
    finished = [pod for pod in pods if pod.finished and not pod.metadata.deleting]
    return sorted(finished, key=lambda pod: pod.metadata.created)[: max(len(finished) - KEPT, 0)]


def status(rs: ReplicaSet, pods: Sequence[Pod], refused: ApiError | None, now: datetime) -> ReplicaSetStatus:
    alive = [pod for pod in pods if pod.active]
    labels = rs.spec.template.metadata.labels.items()
    conditions = without_condition(rs.status.conditions, "ReplicaFailure")
    if refused:
        failure = Condition(type="ReplicaFailure", status="True", reason="FailedCreate", message=str(refused))
        conditions = with_condition(rs.status.conditions, failure, now)
    return ReplicaSetStatus(
        replicas=len(alive),
        fully_labeled_replicas=sum(labels <= pod.metadata.labels.items() for pod in alive),
        ready_replicas=sum(pod.ready for pod in alive),
        available_replicas=sum(at is not None and at <= now for at in _available(rs, alive)),
        terminating_replicas=sum(pod.metadata.deleting and not pod.finished for pod in pods),
        observed_generation=rs.metadata.generation,
        conditions=conditions,
    )


def _available(rs: ReplicaSet, alive: Sequence[Pod]) -> list[datetime | None]:
    return [available_at(pod, rs.spec.min_ready_seconds) for pod in alive]


def next_change(rs: ReplicaSet, pods: Sequence[Pod], now: datetime) -> After | None:
    """When the next ready pod becomes available: no watch event tells."""
    if not rs.spec.min_ready_seconds:
        return None
    waits = [at - now for at in _available(rs, [pod for pod in pods if pod.active]) if at and at > now]
    return After(min(waits).total_seconds()) if waits else None


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    """One step. May be cancelled or killed at any await: every write is whole, and the next run goes on."""
    rs = await cluster.get(ReplicaSet, key)
    if rs is None:
        return None  # gone; its pods follow through their owner references
    pods = await claimed(cluster, rs, Pod, rs.spec.selector)
    refused: ApiError | None = None
    if not rs.metadata.deleting:
        todo = difference(rs, pods, [pod.metadata.name for pod in cluster.orphans(Pod, key.namespace)])
        try:
            pods = [
                *pods,
                *await cluster.create_all(todo.create),
            ]  # the first refusal (quota) spares the store all the others
        except Refused as error:
            refused = error
            cluster.record(rs, "FailedCreate", f"cannot create pod: {error}", warning=True)
        await cluster.delete_all(todo.delete)
        gone = {pod.metadata.name for pod in todo.delete}
        pods = [pod for pod in pods if pod.metadata.name not in gone]
    await cluster.patch_status(rs, status(rs, pods, refused, cluster.now()))  # writes nothing when nothing changed
    if refused:
        raise refused  # the work queue tries again, later each time
    return next_change(rs, pods, cluster.now())
