"""StatefulSet (apps/v1): pods db-0, db-1, ... that come in order, go in reverse, and keep name and storage.

OrderedReady takes one step at a time: a pod is made when all before it are available, and goes when all that stay
are. Parallel takes all steps at once. A new template rolls from the last pod to `partition`, as many at a time as
maxUnavailable allows. Pods and claims: statefulpods.py; templates of before: revisions.py.
Source: pkg/controller/statefulset of Kubernetes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from controllers import revisions, statefulpods
from controllers.pods import available_at
from controllers.revisions import History
from orchestr.api.claim import PersistentVolumeClaim
from orchestr.api.meta import scaled
from orchestr.api.pod import Pod
from orchestr.api.statefulset import REVISION_LABEL, StatefulSet, StatefulSetStatus
from orchestr.api.templates import ControllerRevision
from orchestr.engine import After, AlreadyExists, ApiError, ControllerCluster, Key, Refused, Related, Watches
from orchestr.engine.controller import Index
from orchestr.engine.ownership import claimed


def _adopters(pod: Pod, index: Index) -> list[Key]:
    """A pod that nobody controls may be one that a StatefulSet selects, or may have had a name that one waits for."""
    if pod.metadata.controller:
        return []
    sets = index.all(StatefulSet, namespace=pod.key.namespace)
    return [sts.key for sts in sets if statefulpods.ordinal(sts, pod.metadata.name) is not None]


def _claimants(claim: PersistentVolumeClaim, index: Index) -> list[Key]:
    """The set whose pod needs the claim, by its name."""
    sets = index.all(StatefulSet, namespace=claim.key.namespace)
    names = [(sts, t.metadata.name) for sts in sets for t in sts.spec.volume_claim_templates]
    return [sts.key for sts, name in names if claim.metadata.name.startswith(f"{name}-{sts.metadata.name}-")]


WATCHES = Watches(
    StatefulSet,
    owns=(Pod, ControllerRevision),
    related=(Related(Pod, _adopters), Related(PersistentVolumeClaim, _claimants)),
)


@dataclass
class Difference:
    create: list[Pod] = field(default_factory=list)
    delete: list[Pod] = field(default_factory=list)


class Seen:
    """The pods of a set at one moment."""

    def __init__(self, sts: StatefulSet, pods: Sequence[Pod], now: datetime) -> None:
        self.sts, self.now = sts, now
        self.pods, self.condemned = statefulpods.parted(sts, pods)

    def available(self, pod: Pod | None) -> bool:
        at = available_at(pod, self.sts.spec.min_ready_seconds) if pod and not pod.finished else None
        return at is not None and at <= self.now

    @property
    def numbers(self) -> range:
        return range(self.sts.spec.first, self.sts.spec.first + self.sts.spec.replicas)


def difference(
    sts: StatefulSet, pods: Sequence[Pod], current: ControllerRevision, update: ControllerRevision, now: datetime
) -> Difference:
    """One step towards the template and the scale. Pure."""
    seen, todo = Seen(sts, pods, now), Difference()
    ordered = sts.spec.pod_management_policy != "Parallel"
    if _grow(seen, todo, current, update, ordered) or _shrink(seen, todo, ordered):
        return todo
    if sts.spec.update_strategy.type == "RollingUpdate":
        todo.delete += _outdated(seen, update)
    return todo


def _grow(seen: Seen, todo: Difference, current: ControllerRevision, update: ControllerRevision, ordered: bool) -> bool:
    """Makes what is missing and removes what has ended; True when something has to be waited for."""
    for number in seen.numbers:
        pod = seen.pods.get(number)
        if pod is None:
            todo.create.append(statefulpods.pod(seen.sts, number, _template(seen.sts, number, current, update)))
        elif pod.finished and not pod.metadata.deleting:
            todo.delete.append(pod)
        if ordered and not seen.available(pod):
            return True
    return False


def _template(
    sts: StatefulSet, number: int, current: ControllerRevision, update: ControllerRevision
) -> ControllerRevision:
    """A pod below the partition comes back with the template that it had."""
    rolling = sts.spec.update_strategy.rolling_update
    kept = rolling.partition if rolling and sts.spec.update_strategy.type == "RollingUpdate" else 0
    return current if number < sts.spec.first + kept else update


def _shrink(seen: Seen, todo: Difference, ordered: bool) -> bool:
    """Removes what is beyond the scale, the last pod first; True when one has to be waited for."""
    ailing = [pod for pod in seen.condemned if not seen.available(pod)]
    for pod in seen.condemned:
        if not ordered:
            todo.delete += [pod] if not pod.metadata.deleting else []
            continue
        # One that ails holds up those after it, and may itself go only as the first of its kind.
        if not pod.metadata.deleting and (seen.available(pod) or pod is ailing[-1]):
            todo.delete.append(pod)
        return True
    return False


def _outdated(seen: Seen, update: ControllerRevision) -> Iterator[Pod]:
    """Pods of another template, the last first: all that serve nobody, and others as maxUnavailable allows."""
    rolling = seen.sts.spec.update_strategy.rolling_update
    limit = rolling.max_unavailable if rolling else None
    most = 1 if limit is None else max(scaled(limit, seen.sts.spec.replicas, up=True), 1)
    room = most - sum(not seen.available(seen.pods.get(number)) for number in seen.numbers)
    for number in reversed(seen.numbers[rolling.partition if rolling else 0 :]):
        pod = seen.pods.get(number)
        if pod is None or pod.metadata.deleting or pod.finished or _revision(pod) == update.metadata.name:
            continue
        if seen.available(pod):
            room -= 1
            if room < 0:
                return
        yield pod


def _revision(pod: Pod) -> str:
    return pod.metadata.labels.get(REVISION_LABEL, "")


def status(
    sts: StatefulSet, pods: Sequence[Pod], current: ControllerRevision, update: ControllerRevision, now: datetime
) -> StatefulSetStatus:
    """Counts; an update that is through makes its revision the current one."""
    seen = Seen(sts, pods, now)
    numbered = [*seen.pods.values(), *seen.condemned]
    staying = [_revision(pod) for pod in numbered if not pod.metadata.deleting]
    ready = sum(pod.ready and not pod.finished for pod in numbered)
    updated, wanted = staying.count(update.metadata.name), sts.spec.replicas
    done = sts.spec.update_strategy.type == "RollingUpdate" and updated == ready == len(numbered) == wanted
    name = update.metadata.name if done else current.metadata.name
    return StatefulSetStatus(
        observed_generation=sts.metadata.generation,
        replicas=len(numbered),
        ready_replicas=ready,
        available_replicas=sum(seen.available(pod) for pod in numbered),
        current_replicas=staying.count(name),
        updated_replicas=updated,
        current_revision=name,
        update_revision=update.metadata.name,
        collision_count=sts.status.collision_count or 0,
        conditions=sts.status.conditions,
    )


def next_change(sts: StatefulSet, pods: Sequence[Pod], now: datetime) -> After | None:
    """When the next ready pod becomes available: no watch event tells."""
    times = [available_at(pod, sts.spec.min_ready_seconds) for pod in pods]
    waits = [at - now for at in times if at and at > now]
    return After(min(waits).total_seconds()) if waits else None


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    sts = await cluster.get(StatefulSet, key)
    if sts is None or sts.metadata.deleting:
        return None  # pods and revisions follow through their owner references
    past = await revisions.history(cluster, sts)
    if past is None:
        return None  # the new collisionCount wakes us
    current, update = past.named(sts.status.current_revision) or past.newest, past.newest
    found = await claimed(cluster, sts, Pod, sts.spec.selector, statefulpods.member(sts))
    todo = difference(sts, found, current, update, cluster.now())
    refused: ApiError | None = None
    try:
        pods = await _carry_out(cluster, sts, found, todo)
    except (Refused, AlreadyExists) as error:
        refused, pods = error, list(found)
        cluster.record(sts, "FailedCreate", f"cannot create pod: {error}", warning=True)
    now = cluster.now()
    new = await cluster.patch_status(sts, status(sts, pods, current, update, now))
    if refused:
        raise refused
    await _forget(cluster, new, past, pods)
    return next_change(sts, pods, now)


async def _carry_out(cluster: ControllerCluster, sts: StatefulSet, found: Sequence[Pod], todo: Difference) -> list[Pod]:
    """Claims before pods; the pods that are there then."""
    pods = list(found)
    for named in statefulpods.misnamed(sts, pods):
        pods = [named if pod.key == named.key else pod for pod in pods]
        await cluster.update(named)
    await _keep_claims(cluster, sts, pods)
    create = [pod for pod in todo.create if await _with_claims(cluster, sts, pod)]
    for pod in pods:
        if pod.status.phase == "Pending" and pod.active:
            await _with_claims(cluster, sts, pod)
    for made in await cluster.create_all(create):
        pods.append(made)
        text = f"create Pod {made.metadata.name} in StatefulSet {sts.metadata.name} successful"
        cluster.record(sts, "SuccessfulCreate", text)
    await cluster.delete_all(todo.delete)
    for pod in todo.delete:
        text = f"delete Pod {pod.metadata.name} in StatefulSet {sts.metadata.name} successful"
        cluster.record(sts, "SuccessfulDelete", text)
    gone = {pod.key for pod in todo.delete if pod.finished or not pod.spec.node_name}  # others end first
    return [pod for pod in pods if pod.key not in gone]


async def _with_claims(cluster: ControllerCluster, sts: StatefulSet, pod: Pod) -> bool:
    """Makes the claims of a pod that are missing; False while one of before is still on its way out."""
    number = statefulpods.ordinal(sts, pod.metadata.name)
    if number is None or not sts.spec.volume_claim_templates:
        return True
    found = [cluster.one(PersistentVolumeClaim, key) for key in statefulpods.claim_keys(sts, number)]
    if any(each is not None and each.metadata.deleting for each in found):
        return False
    for claim, there in zip(statefulpods.claims(sts, number), found, strict=True) if None in found else ():
        if there is None:
            await cluster.create(claim)
            text = f"create Claim {claim.metadata.name} Pod {pod.metadata.name} in StatefulSet {sts.metadata.name}"
            cluster.record(sts, "SuccessfulCreate", f"{text} success")
    return True


async def _keep_claims(cluster: ControllerCluster, sts: StatefulSet, pods: Sequence[Pod]) -> None:
    """Gives claims the owners that persistentVolumeClaimRetentionPolicy asks for."""
    kept, condemned = statefulpods.parted(sts, pods)
    for pod in (*kept.values(), *condemned):
        number = statefulpods.ordinal(sts, pod.metadata.name)
        for key in statefulpods.claim_keys(sts, number) if number is not None else ():
            there = cluster.one(PersistentVolumeClaim, key)
            if there is None or there.metadata.deleting:
                continue
            owners = statefulpods.owners(sts, there, pod, condemned=pod in condemned)
            if owners != there.metadata.owner_references:
                await cluster.update(there.but(metadata=there.metadata.but(owner_references=owners)))


async def _forget(cluster: ControllerCluster, sts: StatefulSet, past: History, pods: Sequence[Pod]) -> None:
    used = revisions.pods_use([_revision(pod) for pod in pods], past)
    used |= {name for name in (sts.status.current_revision, sts.status.update_revision) if name}
    await revisions.forget(cluster, past, used, sts.spec.revision_history_limit)
