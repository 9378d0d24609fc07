"""Garbage: what belonged to objects that are gone goes too; Events go after an hour; finished objects stay, but for
pods whose annotation `orchestr.dev/remove-after` says how many seconds.

Level-triggered over all kinds with one queue. A key is one of
    ("", NAMESPACE)            look at all of a namespace: at the start, and when the namespace changes
    (NAMESPACE, "owner/UID")   an owner is gone: look at what names it, found by an index of the caches
    (NAMESPACE, "KIND/NAME")   look at one object: its owner is missing, it waits for dependents, or it is an Event
so that a change costs a few look-ups however many objects there are. A cache may lag behind another, so an owner is
only taken for gone when the cluster itself says so.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from orchestr.api import scheme
from orchestr.api.base import Key, KubeObject, OwnerReference
from orchestr.api.core import Event, Namespace, Pod
from orchestr.api.custom import Custom
from orchestr.api.errors import NotFound
from orchestr.api.labels import REMOVE_AFTER
from orchestr.engine import After, Index, Propagation, Related, Watches
from orchestr.engine.controller import By, ControllerCluster

EVENT_TTL = timedelta(hours=1)
FOREGROUND = "foregroundDeletion"  # finalizer of an object that goes after its dependents
SECONDS = re.compile(r"\d{1,9}")
OWNERS = "garbage.owners"
KINDS = {f"{kind.PLURAL}.{kind.GROUP}".rstrip("."): kind for kind in scheme.KINDS}


def owners(obj: KubeObject) -> Iterable[str]:
    return [owner.uid for owner in obj.metadata.owner_references]


def keys(obj: KubeObject, index: Index) -> Iterator[Key]:
    """What a change of this object, or its end, gives cause to look at."""
    kind, meta = type(obj), obj.metadata
    namespace = meta.namespace or ""
    live = index.one(kind, obj.key)
    if live is None or live.metadata.uid != meta.uid:
        yield Key(namespace, f"owner/{meta.uid}")
        waiting = (owner for owner in meta.owner_references if owner.block_owner_deletion)
        yield from (_key(owner_kind, owner, namespace) for owner in waiting if (owner_kind := _kind(owner)))
    elif (
        _orphaned(obj, index)
        or (meta.deleting and FOREGROUND in meta.finalizers)
        or isinstance(obj, Event)
        or (isinstance(obj, Pod) and _ends(obj) is not None)
    ):
        yield Key(namespace, f"{_name(kind)}/{meta.name}")


WATCHES = Watches(
    Namespace,
    related=tuple(Related(kind, keys) for kind in scheme.KINDS),
    indexes=(*(By(kind, OWNERS, owners) for kind in scheme.KINDS), By(Custom, OWNERS, owners)),
    custom=keys,
)


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    """One look. Deletes what has to go, nothing that is in doubt."""
    word, _, name = key.name.partition("/")
    if not name:
        for obj in _content(cluster, key.name):
            await _look(cluster, obj)
        return None
    if word == "owner":
        for dependent in _dependents(cluster, name):
            await _look(cluster, dependent)
        return None
    kind = KINDS.get(word) or next((kind for kind in scheme.stored_customs() if _name(kind) == word), None)
    found = cluster.one(kind, Key(key.namespace, name)) if kind else None
    return await _look(cluster, found) if found is not None else None


async def _look(cluster: ControllerCluster, obj: KubeObject) -> After | None:
    """Deletes the object when its owners are gone or its time is up; lets it go when it waited for dependents."""
    if isinstance(obj, Event):
        return await _expire(cluster, obj, _last(obj) + EVENT_TTL)
    meta = obj.metadata
    if isinstance(obj, Pod) and (end := _ends(obj)) is not None:
        return await _expire(cluster, obj, end)
    if meta.deleting:
        if FOREGROUND in meta.finalizers:
            await _foreground(cluster, obj)
    elif meta.owner_references:
        gone = [owner.uid for owner in meta.owner_references if not await _exists(cluster, owner, obj)]
        if len(gone) == len(meta.owner_references):
            await cluster.delete(obj)
        elif gone:
            await _owned(cluster, obj, [owner for owner in meta.owner_references if owner.uid not in gone])
    return None


async def _foreground(cluster: ControllerCluster, obj: KubeObject) -> None:
    """Deletes the dependents first; the owner loses its finalizer when none is left that blocks it.

    A dependent that another owner keeps stays, without its reference to this one. In a circle of owners one has to let
    go, or each would wait for the next. Source: attemptToDeleteItem of Kubernetes' garbage collector.
    """
    blocked, uid = False, obj.metadata.uid or ""
    for dependent in list(_dependents(cluster, uid)):
        references = dependent.metadata.owner_references
        if await _kept(cluster, dependent):
            await _owned(cluster, dependent, [owner for owner in references if owner.uid != uid])
            continue
        if not dependent.metadata.deleting and _circle(cluster, dependent):
            await _owned(cluster, dependent, [owner.but(block_owner_deletion=False) for owner in references])
        else:
            blocked = blocked or _blocks(dependent, obj)
        if not dependent.metadata.deleting:
            await cluster.delete(dependent, propagation=Propagation.FOREGROUND)
    if not blocked:
        rest = [name for name in obj.metadata.finalizers if name != FOREGROUND]
        revision = obj.metadata.resource_version  # somebody may add a finalizer meanwhile
        await cluster.patch(type(obj), obj.key, {"metadata": {"finalizers": rest, "resourceVersion": revision}})


async def _kept(cluster: ControllerCluster, dependent: KubeObject) -> bool:
    """Whether one of its owners lives, and does not wait for its dependents to go."""
    for owner in dependent.metadata.owner_references:
        kind = _kind(owner)
        key = Key((dependent.metadata.namespace or "") if kind and kind.NAMESPACED else "", owner.name)
        found = cluster.one(kind, key) if kind else None
        ends = found is not None and found.metadata.uid == owner.uid and _waits(found)
        if not ends and await _exists(cluster, owner, dependent):
            return True
    return False


def _waits(obj: KubeObject) -> bool:
    return obj.metadata.deleting and FOREGROUND in obj.metadata.finalizers


def _circle(cluster: ControllerCluster, dependent: KubeObject) -> bool:
    return any(_waits(each) for each in _dependents(cluster, dependent.metadata.uid or ""))


async def _owned(cluster: ControllerCluster, obj: KubeObject, owners: Iterable[OwnerReference]) -> None:
    """Writes its references anew; Conflict if it changed meanwhile."""
    meta = {"ownerReferences": [owner.wire() for owner in owners], "resourceVersion": obj.metadata.resource_version}
    await cluster.patch(type(obj), obj.key, {"metadata": meta})


async def _expire(cluster: ControllerCluster, obj: KubeObject, end: datetime) -> After | None:
    left = (end - cluster.now()).total_seconds()
    if left > 0:
        return After(left)
    await cluster.delete(obj)
    return None


def _ends(pod: Pod) -> datetime | None:
    """When a finished pod goes by itself; None when it stays."""
    seconds = pod.metadata.annotations.get(REMOVE_AFTER, "")
    if not pod.finished or pod.metadata.deleting or not SECONDS.fullmatch(seconds):
        return None
    ends = [
        state.terminated.finished_at
        for each in pod.status.container_statuses
        if (state := each.state) and state.terminated
    ]
    return max((end for end in ends if end), default=pod.metadata.created) + timedelta(seconds=int(seconds))


def _last(event: Event) -> datetime:
    series = event.series.last_observed_time if event.series else None
    return series or event.last_timestamp or event.event_time or event.metadata.created


async def _exists(cluster: ControllerCluster, owner: OwnerReference, dependent: KubeObject) -> bool:
    """Whether the owner lives. An owner of a kind that is not served here is left to whoever made it."""
    kind = _kind(owner)
    if kind is None:
        return True
    key = Key((dependent.metadata.namespace or "") if kind.NAMESPACED else "", owner.name)
    found = cluster.one(kind, key)
    if found is not None and found.metadata.uid == owner.uid:
        return True
    try:
        live = await cluster.patch(kind, key, {})  # asks the cluster itself, and changes nothing
    except NotFound:
        return False
    return live.metadata.uid == owner.uid


def _orphaned(obj: KubeObject, index: Index) -> bool:
    """Whether no owner is in the caches. They may lag, so this only says that it is worth a look."""
    namespace, references = obj.metadata.namespace or "", obj.metadata.owner_references
    for owner in references:
        kind = _kind(owner)
        found = kind and index.one(kind, Key(namespace if kind.NAMESPACED else "", owner.name))
        if kind is None or (found and found.metadata.uid == owner.uid):
            return False
    return bool(references)


def _dependents(cluster: ControllerCluster, uid: str) -> Iterator[KubeObject]:
    for kind in (*scheme.KINDS, *scheme.stored_customs()):
        yield from cluster.by(kind, OWNERS, uid)


def _content(cluster: ControllerCluster, namespace: str) -> Iterator[KubeObject]:
    for kind in (*scheme.KINDS, *scheme.stored_customs()):
        if kind.NAMESPACED and kind is not Event:  # Events have keys of their own
            yield from cluster.all(kind, namespace=namespace)


def _blocks(dependent: KubeObject, owner: KubeObject) -> bool:
    references = dependent.metadata.owner_references
    return any(ref.uid == owner.metadata.uid and ref.block_owner_deletion for ref in references)


def _kind(owner: OwnerReference) -> type[KubeObject] | None:
    return scheme.BY_NAME.get((owner.api_version, owner.kind))


def _name(kind: type[KubeObject]) -> str:
    return f"{kind.PLURAL}.{kind.GROUP}".rstrip(".")


def _key(kind: type[KubeObject], owner: OwnerReference, namespace: str) -> Key:
    return Key(namespace if kind.NAMESPACED else "", f"{_name(kind)}/{owner.name}")
