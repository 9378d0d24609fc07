"""DaemonSet (apps/v1): one pod on this machine, where its node selector, affinity and tolerations let it.

A new template replaces the pod: with maxUnavailable the old one goes first, with maxSurge the new one is available
first. Its pods run on a node that is cordoned, too. Templates of before: revisions.py.
Source: pkg/controller/daemon of Kubernetes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count

from controllers import revisions
from controllers.pods import available_at, pod_of
from orchestr.api import placement
from orchestr.api.daemonset import DaemonSet, DaemonSetStatus
from orchestr.api.meta import scaled
from orchestr.api.node import Node
from orchestr.api.pod import Pod, PodSpec
from orchestr.api.statefulset import REVISION_LABEL
from orchestr.api.templates import ControllerRevision
from orchestr.engine import After, ApiError, ControllerCluster, Key, Refused, Related, Watches, child_name
from orchestr.engine.controller import Index
from orchestr.engine.ownership import claimed

TROUBLES = ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
PAUSE = timedelta(seconds=1)  # that a pod which ended stays at least, so that one that cannot run makes no flood


def _adopters(pod: Pod, index: Index) -> list[Key]:
    """A pod that nobody controls may be one that a DaemonSet selects."""
    if pod.metadata.controller:
        return []
    sets = index.all(DaemonSet, namespace=pod.key.namespace)
    return [ds.key for ds in sets if ds.spec.selector.matches(pod.metadata.labels)]


def _everywhere(node: Node, index: Index) -> list[Key]:
    return [ds.key for ds in index.all(DaemonSet)]


WATCHES = Watches(
    DaemonSet, owns=(Pod, ControllerRevision), related=(Related(Pod, _adopters), Related(Node, _everywhere))
)


@dataclass(frozen=True)
class Difference:
    create: tuple[Pod, ...] = ()
    delete: tuple[Pod, ...] = ()
    again: datetime | None = None  # when the next step is due without any event


def tolerations(spec: PodSpec) -> list[dict[str, str]]:
    """Those of the template, and what every pod of a DaemonSet bears."""
    lost = [("not-ready", placement.NO_EXECUTE), ("unreachable", placement.NO_EXECUTE)]
    bad = [(name, placement.NO_SCHEDULE) for name in (*TROUBLES, *(["network-unavailable"] * bool(spec.host_network)))]
    born = [
        {"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect} for name, effect in (*lost, *bad)
    ]
    given = list(spec.tolerations or ())
    return [*given, *(each for each in born if each not in given)]


def suits(ds: DaemonSet, node: Node | None, *, running: bool = False) -> bool:
    """Whether a pod belongs on the node; one that is running there only leaves for a NoExecute taint."""
    spec = ds.spec.template.spec
    if node is None or spec.node_name not in (None, "", node.metadata.name) or not placement.selected(spec, node):
        return False
    effects = (placement.NO_EXECUTE,) if running else (placement.NO_SCHEDULE, placement.NO_EXECUTE)
    return placement.untolerated(tolerations(spec), node.spec.taints or (), effects) is None


def difference(
    ds: DaemonSet,
    pods: Sequence[Pod],
    node: Node | None,
    update: ControllerRevision,
    now: datetime,
    taken: Collection[str] = (),
) -> Difference:
    """One step. Pure. `taken` are names in use by pods of others."""
    alive = [pod for pod in pods if pod.active]
    if not suits(ds, node, running=True):
        return Difference(delete=tuple(pod for pod in pods if not pod.metadata.deleting))
    ended = [pod for pod in pods if pod.finished and not pod.metadata.deleting]
    again = min((pod.metadata.created + PAUSE for pod in ended), default=None)
    if again is not None and again > now:
        return Difference(again=again)
    if not pods:
        return Difference(create=(_pod(ds, update, pods, taken),) if suits(ds, node) else ())
    new, old = _by_age(alive, update, ours=True), _by_age(alive, update, ours=False)
    spare = (*new[1:], *old[1:])  # one of each is enough: the oldest
    if ended or spare:
        return Difference(delete=(*ended, *spare))
    if not old or ds.spec.update_strategy.type == "OnDelete":
        return Difference(delete=tuple(new) if old else ())
    return _roll(ds, new, old, now, _pod(ds, update, pods, taken), waiting=len(pods) > len(alive))


def _by_age(pods: Sequence[Pod], update: ControllerRevision, *, ours: bool) -> list[Pod]:
    found = [pod for pod in pods if (pod.metadata.labels.get(REVISION_LABEL) == revisions.hash_of(update)) is ours]
    return sorted(found, key=lambda pod: (pod.metadata.created, pod.metadata.name))


def _roll(
    ds: DaemonSet, new: Sequence[Pod], old: Sequence[Pod], now: datetime, made: Pod, *, waiting: bool
) -> Difference:
    """From the old pod to the new one. `waiting`: one is still on its way out."""
    rolling = ds.spec.update_strategy.rolling_update
    if rolling is None or not scaled(rolling.max_surge, 1, up=True):
        return Difference(delete=tuple(old))
    if new:
        return Difference(delete=tuple(old) if available(ds, new[0], now) else ())
    return Difference(create=() if waiting else (made,))


def _pod(ds: DaemonSet, update: ControllerRevision, pods: Sequence[Pod], taken: Collection[str]) -> Pod:
    names = {pod.metadata.name for pod in pods}.union(taken)
    name = next(name for slot in count() if (name := child_name(ds, slot)) not in names)
    made = pod_of(ds, ds.spec.template, name, {REVISION_LABEL: revisions.hash_of(update)})
    return made.but(spec=made.spec.but(tolerations=tolerations(made.spec)))


def available(ds: DaemonSet, pod: Pod, now: datetime) -> bool:
    at = available_at(pod, ds.spec.min_ready_seconds)
    return at is not None and at <= now and not pod.finished


def status(
    ds: DaemonSet, pods: Sequence[Pod], node: Node | None, update: ControllerRevision, now: datetime
) -> DaemonSetStatus:
    """What the one pod is; of two in a surge, the older one counts."""
    alive = sorted((pod for pod in pods if pod.active), key=lambda pod: pod.metadata.created)
    run, there = suits(ds, node, running=bool(alive)), alive[:1]
    up = sum(available(ds, pod, now) for pod in there) if run else 0
    marks = [pod.metadata.labels.get(REVISION_LABEL) for pod in there]
    return DaemonSetStatus(
        observed_generation=ds.metadata.generation,
        desired_number_scheduled=int(run),
        current_number_scheduled=len(there) if run else 0,
        number_misscheduled=0 if run else len(there),
        number_ready=sum(pod.ready for pod in there) if run else 0,
        updated_number_scheduled=marks.count(revisions.hash_of(update)) if run else 0,
        number_available=up,
        number_unavailable=int(run) - up,
        collision_count=ds.status.collision_count,
        conditions=ds.status.conditions,
    )


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    ds = await cluster.get(DaemonSet, key)
    if ds is None or ds.metadata.deleting:
        return None  # pods and revisions follow through their owner references
    past = await revisions.history(cluster, ds)
    if past is None:
        return None  # the new collisionCount wakes us
    pods = list(await claimed(cluster, ds, Pod, ds.spec.selector))
    node = this_machine(await cluster.list(Node))
    others = [pod.metadata.name for pod in cluster.orphans(Pod, key.namespace)]
    todo = difference(ds, pods, node, past.newest, cluster.now(), others)
    refused: ApiError | None = None
    try:
        pods += await cluster.create_all(todo.create)
    except Refused as error:
        refused = error
        cluster.record(ds, "FailedCreate", f"cannot create pod: {error}", warning=True)
    await cluster.delete_all(todo.delete)
    _tell(cluster, ds, todo, done=refused is None)
    gone = {pod.metadata.name for pod in todo.delete}
    pods = [pod for pod in pods if pod.metadata.name not in gone]
    now = cluster.now()
    await cluster.patch_status(ds, status(ds, pods, node, past.newest, now))
    if refused:
        raise refused
    used = revisions.pods_use([pod.metadata.labels.get(REVISION_LABEL, "") for pod in pods], past)
    await revisions.forget(cluster, past, used, ds.spec.revision_history_limit)
    return next_change(ds, pods, todo, now)


def this_machine(found: Sequence[Node]) -> Node | None:
    """The newest Node: a machine that was renamed has left its old one behind."""
    return max(found, key=lambda node: node.metadata.created, default=None)


def _tell(cluster: ControllerCluster, ds: DaemonSet, todo: Difference, *, done: bool) -> None:
    for pod in todo.create if done else ():
        cluster.record(ds, "SuccessfulCreate", f"Created pod: {pod.metadata.name}")
    for pod in todo.delete:
        if pod.finished:
            text = f"Found failed daemon pod {pod.key} on node {pod.spec.node_name}, will try to kill it"
            cluster.record(ds, "FailedDaemonPod", text, warning=True)
        cluster.record(ds, "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")


def next_change(ds: DaemonSet, pods: Sequence[Pod], todo: Difference, now: datetime) -> After | None:
    """When a ready pod becomes available, or one that ended may be replaced: no watch event tells."""
    times = [todo.again, *(available_at(pod, ds.spec.min_ready_seconds) for pod in pods)]
    waits = [at - now for at in times if at and at > now]
    return After(min(waits).total_seconds()) if waits else None
