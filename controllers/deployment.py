"""Deployment (apps/v1): one ReplicaSet per pod template, rolled from the old ones to the new one.

The new ReplicaSet is the one with the Deployment's template; a change of scale alone keeps it, a change back to an
earlier template finds the earlier ReplicaSet again. How far one step goes: rollout.py; what status says: progress.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from controllers import progress, rollback, rollout
from controllers.hashes import letters
from orchestr.api.apps import POD_TEMPLATE_HASH, REVISION, Deployment, ReplicaSet, ReplicaSetSpec
from orchestr.api.base import ObjectMeta
from orchestr.api.meta import LabelSelector
from orchestr.api.pod import Pod, PodTemplateSpec
from orchestr.engine import After, AlreadyExists, ApiError, ControllerCluster, Key, Refused, Related, Watches
from orchestr.engine.controller import Index
from orchestr.engine.ownership import claimed

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def _looked_at(pod: Pod, index: Index) -> list[Key]:
    """Recreate waits until the last old pod is gone, one that is rolled back looks for crashes: no ReplicaSet's status
    tells of either."""
    owner = pod.metadata.controller
    rs = index.one(ReplicaSet, Key(pod.key.namespace, owner.name)) if owner and owner.kind == "ReplicaSet" else None
    top = rs.metadata.controller if rs else None
    deployment = index.one(Deployment, Key(pod.key.namespace, top.name)) if top else None
    looks = deployment and (deployment.spec.strategy.type == "Recreate" or rollback.wanted(deployment))
    return [deployment.key] if deployment and looks else []


WATCHES = Watches(Deployment, owns=(ReplicaSet,), related=(Related(Pod, _looked_at),))


class Change(NamedTuple):
    """What one ReplicaSet should say."""

    rs: ReplicaSet
    replicas: int
    revision: int
    min_ready: int

    @property
    def needed(self) -> bool:
        spec = self.rs.spec
        return (spec.replicas, spec.min_ready_seconds, self.rs.revision) != (
            self.replicas,
            self.min_ready,
            self.revision,
        )

    def changed(self) -> ReplicaSet:
        meta = self.rs.metadata
        return self.rs.but(
            metadata=meta.but(annotations={**meta.annotations, REVISION: str(self.revision)}),
            spec=self.rs.spec.but(replicas=self.replicas, min_ready_seconds=self.min_ready),
        )


@dataclass(frozen=True)
class Difference:
    revision: int  # of the newest template
    create: ReplicaSet | None = None
    change: tuple[Change, ...] = ()
    delete: tuple[ReplicaSet, ...] = ()


def newest(deployment: Deployment, sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The ReplicaSet with the Deployment's template; the oldest, should there be two."""
    same = [rs for rs in sets if not rs.metadata.deleting and _same_template(rs, deployment.spec.template)]
    return min(same, key=lambda rs: (rs.metadata.created, rs.metadata.name), default=None)


def _same_template(rs: ReplicaSet, template: PodTemplateSpec) -> bool:
    mine = rs.spec.template
    labels = {key: value for key, value in mine.metadata.labels.items() if key != POD_TEMPLATE_HASH}
    return (
        labels == template.metadata.labels
        and mine.metadata.annotations == template.metadata.annotations
        and mine.spec == template.spec
    )


def template_hash(deployment: Deployment) -> str:
    """Ten letters that derive from the pod template, and from collisionCount to step out of a collision."""
    return letters(deployment.spec.template.wire(), deployment.status.collision_count)


def replica_set(deployment: Deployment, replicas: int, revision: int) -> ReplicaSet:
    meta, spec, mark = deployment.metadata, deployment.spec, {POD_TEMPLATE_HASH: template_hash(deployment)}
    labels = {**spec.template.metadata.labels, **mark}
    return ReplicaSet(
        metadata=ObjectMeta(
            name=f"{meta.name[:52].rstrip('-.')}-{mark[POD_TEMPLATE_HASH]}",
            namespace=meta.namespace,
            labels=labels,
            annotations={**_inherited(meta.annotations), REVISION: str(revision)},
            owner_references=(deployment.owner_reference(),),
        ),
        spec=ReplicaSetSpec(
            selector=LabelSelector(
                match_labels={**spec.selector.match_labels, **mark}, match_expressions=spec.selector.match_expressions
            ),
            template=spec.template.but(metadata=spec.template.metadata.but(labels=labels)),
            replicas=replicas,
            min_ready_seconds=spec.min_ready_seconds,
        ),
    )


def _inherited(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if key not in (LAST_APPLIED, REVISION)}


def difference(deployment: Deployment, sets: Sequence[ReplicaSet], *, old_pods: bool) -> Difference:
    """One step towards the template and the scale. Pure. `old_pods`: pods of old ReplicaSets still exist."""
    new = newest(deployment, sets)
    olds = [rs for rs in sets if rs is not new and not rs.metadata.deleting]
    last = max((rs.revision for rs in olds), default=0)
    number = max(last + 1, new.revision) if new else last + 1
    if deployment.spec.paused:
        scales = rollout.spread(deployment, [*olds, new] if new else olds)
        return Difference(last if new is None else number, None, _changes(deployment, new, scales, number))
    if deployment.spec.strategy.type == "Recreate" and (old_pods or any(rs.spec.replicas for rs in olds)):
        scales = tuple(rollout.Scale(rs, 0) for rs in olds if rs.spec.replicas)
        return Difference(number, None, _changes(deployment, new, scales, number))
    if new is None:
        return Difference(number, replica_set(deployment, rollout.new_replicas(deployment, 0, olds), number))
    scales = rollout.roll(deployment, new, olds)
    return Difference(number, None, _changes(deployment, new, scales, number), _history(deployment, new, olds))


def _changes(
    deployment: Deployment, new: ReplicaSet | None, scales: Sequence[rollout.Scale], number: int
) -> tuple[Change, ...]:
    replicas = {scale.rs.key: scale.replicas for scale in scales}
    changes = [Change(rs, n, rs.revision, rs.spec.min_ready_seconds) for rs, n in scales if rs is not new]
    if new:
        target = replicas.get(new.key, new.spec.replicas)
        changes.append(Change(new, target, number, deployment.spec.min_ready_seconds))
    return tuple(change for change in changes if change.needed)


def _history(deployment: Deployment, new: ReplicaSet, olds: Sequence[ReplicaSet]) -> tuple[ReplicaSet, ...]:
    """Old ReplicaSets beyond revisionHistoryLimit, once nothing of them is left and the new one is complete."""
    if any(rs.spec.replicas or rs.status.replicas for rs in olds) or not progress.serves(deployment, new):
        return ()
    spare = max(len(olds) - deployment.spec.revision_history_limit, 0)
    return tuple(sorted(olds, key=lambda rs: (rs.revision, rs.metadata.created))[:spare])


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    deployment = await cluster.get(Deployment, key)
    if deployment is None:
        return None  # gone; its ReplicaSets follow through their owner references
    stored, sets = deployment, list(await claimed(cluster, deployment, ReplicaSet, deployment.spec.selector))
    why = ""
    if rollback.wanted(deployment):
        sets, why = await _judged(cluster, deployment, sets)
        deployment = rollback.effective(deployment, newest(deployment, sets), sets)
    refused: ApiError | None = None
    todo = None
    if not deployment.metadata.deleting:
        todo = difference(deployment, sets, old_pods=await _old_pods(cluster, deployment, sets))
        try:
            sets += await _carry_out(cluster, deployment, todo)
        except Refused as error:
            refused = error
        except AlreadyExists:
            await _collided(cluster, deployment, todo)
            return None  # the new collisionCount wakes us
    now = cluster.now()
    new = newest(deployment, sets)
    status = progress.status(deployment, new, sets, now, created=bool(todo and todo.create), refused=refused)
    if why:
        status = rollback.nowhere(status, why, now)
    if deployment is not stored and new is not None:
        status = rollback.status(stored, newest(stored, sets), new, status, now)
    await cluster.patch_status(stored, status)
    if refused:
        raise refused
    return progress.next_check(deployment, status, now)


async def _judged(
    cluster: ControllerCluster, deployment: Deployment, sets: Sequence[ReplicaSet]
) -> tuple[list[ReplicaSet], str]:
    """The sets, the newest marked when its pods do not come up and there is one to go back to; else why, or ""."""
    new = newest(deployment, sets)
    if new is None or rollback.failed(new):
        return list(sets), ""
    why, good = rollback.trouble(deployment, new, await cluster.list(Pod, owner=new)), rollback.target(new, sets)
    if not why or good is None:
        return list(sets), why
    cluster.record(deployment, "RollingBack", f"revision {new.revision} failed: {why}", warning=True)
    marked = await cluster.update(rollback.marked(new, why, good))  # Conflict if it changed meanwhile
    return [marked if rs is new else rs for rs in sets], ""


async def _old_pods(cluster: ControllerCluster, deployment: Deployment, sets: Sequence[ReplicaSet]) -> bool:
    if deployment.spec.strategy.type != "Recreate":
        return False
    new = newest(deployment, sets)
    olds = [rs for rs in sets if rs is not new]
    pods = [pod for rs in olds for pod in await cluster.list(Pod, owner=rs)]
    return any(not pod.finished for pod in pods)


async def _carry_out(cluster: ControllerCluster, deployment: Deployment, todo: Difference) -> list[ReplicaSet]:
    """Walks the difference; the ReplicaSets that it created."""
    created = []
    if todo.create:
        created.append(await cluster.create(todo.create))
        _tell(cluster, deployment, todo.create, 0, todo.create.spec.replicas)
    for change in todo.change:
        await cluster.update(change.changed())  # Conflict if it changed meanwhile
        _tell(cluster, deployment, change.rs, change.rs.spec.replicas, change.replicas)
    for rs in todo.delete:
        await cluster.delete(rs)
    number = str(todo.revision)
    if todo.revision and deployment.metadata.annotations.get(REVISION) != number:
        annotations = {**deployment.metadata.annotations, REVISION: number}
        await cluster.update(deployment.but(metadata=deployment.metadata.but(annotations=annotations)))
    return created


def _tell(cluster: ControllerCluster, deployment: Deployment, rs: ReplicaSet, old: int, new: int) -> None:
    if old != new:
        verb = "up" if new > old else "down"
        text = f"Scaled {verb} replica set {rs.metadata.name} from {old} to {new}"
        cluster.record(deployment, "ScalingReplicaSet", text)


async def _collided(cluster: ControllerCluster, deployment: Deployment, todo: Difference) -> None:
    """Another's ReplicaSet has the name: step to another hash. Our own, not seen yet: the queue tries again."""
    taken = await cluster.get(ReplicaSet, todo.create.key) if todo.create else None
    owner = taken.metadata.controller if taken else None
    if taken is None or (owner and owner.uid == deployment.metadata.uid and not taken.metadata.deleting):
        raise AlreadyExists(
            f"cannot create a replica set for {deployment.ref}: its name is taken (will be tried again)"
        )
    count = (deployment.status.collision_count or 0) + 1
    await cluster.patch_status(deployment, deployment.status.but(collision_count=count))
