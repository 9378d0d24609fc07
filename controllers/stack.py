"""Stack (orchestr.dev/v1): the objects that a Compose project compiles to, and what has become of them.

Children are applied with field manager `stack`; those that left the compiled set go. A Job's pod template cannot be
changed, and a service may turn from Job to Deployment or back: then the old workload goes first, pods included, and
the new one comes when it is gone. Claims are made and never owned, so they outlive the Stack. A Stack that is deleted
stops its services in reverse order of their dependencies.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from controllers.stackstatus import Rows, Workload, status
from orchestr import graph
from orchestr.api.apps import Deployment
from orchestr.api.base import KubeObject
from orchestr.api.batch import Job
from orchestr.api.core import ConfigMap, PersistentVolumeClaim, Pod, Secret, Service
from orchestr.api.labels import STACK
from orchestr.api.stack import Stack, StackStatus
from orchestr.engine import (
    After,
    ControllerCluster,
    Forbidden,
    Hopeless,
    Invalid,
    Key,
    Propagation,
    Related,
    Watches,
)
from orchestr.engine.cached import gather
from orchestr.engine.conditions import condition
from orchestr.engine.controller import Index
from orchestr.manifest.compose.compiler import compile

MANAGER = "stack"
FINALIZER = "orchestr.dev/stop-in-order"
TEMPLATE = "orchestr.dev/template-digest"  # annotation of a Job: its compiled spec, which cannot be changed in place
LOOK = timedelta(milliseconds=20)  # between two looks at all the workloads and pods of a Stack, at least
LOOK_EACH = timedelta(milliseconds=1)  # and so much for each service: looking takes a tenth of the time at most
CALM = timedelta(milliseconds=250)  # between two status writes that change nothing but rows: a Stack is a large object
OWNED: tuple[type[KubeObject], ...] = (Deployment, Job, Service, ConfigMap)


def _stack_of(obj: KubeObject, index: Index) -> list[Key]:
    name = obj.metadata.labels.get(STACK)
    return [Key(obj.key.namespace, name)] if name else []


WATCHES = Watches(Stack, owns=OWNED, related=(Related(Pod, _stack_of), Related(PersistentVolumeClaim, _stack_of)))

Id = tuple[str, str]  # (kind, name); all children are in the Stack's namespace


class Child(NamedTuple):
    """A compiled child, ready to be applied."""

    id: Id
    wire: Mapping[str, Any]
    template: str  # of a Job, else ""


class Applied(NamedTuple):
    """What a child was when it was last applied: nothing is to be done while both sides are the same."""

    wire: Mapping[str, Any]
    state: tuple[str | None, ...]


@dataclass(frozen=True)
class Difference:
    apply: tuple[Child, ...] = ()
    delete: tuple[KubeObject, ...] = ()  # left the stack, or stand in the way of their successor


class _Memory:
    """Of the Stacks of this process, by uid: compiled children and what was applied. Losing it costs only work."""

    def __init__(self) -> None:
        self.compiled: dict[str, tuple[int | None, tuple[Child, ...]]] = {}
        self.applied: dict[str, dict[Id, Applied]] = {}
        self.told: dict[str, datetime] = {}  # when a status was last written
        self.rows: dict[str, Rows] = {}  # of the status, as last looked at
        self.looked: dict[str, tuple[int | None, datetime]] = {}  # generation and time of the last look

    def pause(self, stack: Stack, now: datetime) -> float:
        """Seconds until the next look is due; 0 marks one as begun. A new generation is looked at without delay."""
        uid, generation = stack.metadata.uid or "", stack.metadata.generation
        known, at = self.looked.get(uid, (None, now))
        pause = max(LOOK_EACH * len(stack.spec.services), LOOK)
        if known == generation and timedelta(0) <= now - at < pause:
            return (at + pause - now).total_seconds()
        self.looked[uid] = generation, now
        return 0.0

    def children(self, stack: Stack) -> tuple[Child, ...]:
        uid = stack.metadata.uid or ""
        known = self.compiled.get(uid)
        if known is None or known[0] != stack.metadata.generation:
            self.compiled[uid] = known = (stack.metadata.generation, children(stack))
        return known[1]

    def forget(self, stack: Stack) -> None:
        self.compiled.pop(stack.metadata.uid or "", None)
        self.applied.pop(stack.metadata.uid or "", None)
        self.told.pop(stack.metadata.uid or "", None)
        self.looked.pop(stack.metadata.uid or "", None)
        self.rows.pop(stack.metadata.uid or "", None)


_memory = _Memory()


def children(stack: Stack) -> tuple[Child, ...]:
    """Pure: the compiled children with their owner references."""
    owner = stack.owner_reference().wire()
    return tuple(_child(obj, owner) for obj in compile(stack))


def _child(obj: KubeObject, owner: Mapping[str, Any]) -> Child:
    wire = obj.wire()
    wire.pop("status", None)
    if not isinstance(obj, PersistentVolumeClaim):
        wire["metadata"]["ownerReferences"] = [owner]
    template = ""
    if isinstance(obj, Job):
        template = hashlib.sha256(json.dumps(wire["spec"], sort_keys=True).encode()).hexdigest()[:16]
        wire["metadata"].setdefault("annotations", {})[TEMPLATE] = template
    return Child((obj.kind, obj.metadata.name), wire, template)


def state(obj: KubeObject) -> tuple[str | None, ...]:
    """What changes when somebody changes the object itself and not only its status."""
    meta = obj.metadata
    if isinstance(obj, Deployment | Job | PersistentVolumeClaim):
        return meta.uid, str(meta.generation)
    return meta.uid, meta.resource_version


def difference(
    wanted: Sequence[Child], owned: Sequence[KubeObject], claims: Sequence[KubeObject], applied: Mapping[Id, Applied]
) -> Difference:
    """Pure. `owned` are the Stack's children as they are, `claims` the namespace's claims of this Stack."""
    ids = {child.id for child in wanted}
    there = {(obj.kind, obj.metadata.name): obj for obj in (*owned, *claims)}
    going = [obj for obj in owned if (obj.kind, obj.metadata.name) not in ids or _outdated(obj, wanted)]
    blocked = {obj.metadata.name for obj in going if isinstance(obj, Deployment | Job)}
    return Difference(
        apply=tuple(
            child
            for child in wanted
            if not (child.id[0] in ("Deployment", "Job") and child.id[1] in blocked)
            and not _same(child, there.get(child.id), applied.get(child.id))
        ),
        delete=tuple(obj for obj in going if not obj.metadata.deleting),
    )


def _outdated(obj: KubeObject, wanted: Sequence[Child]) -> bool:
    """A Job whose template is not the wanted one, or any child on its way out: its successor waits."""
    if obj.metadata.deleting:
        return True
    if not isinstance(obj, Job):
        return False
    template = next((child.template for child in wanted if child.id == ("Job", obj.metadata.name)), "")
    return obj.metadata.annotations.get(TEMPLATE) != template


def _same(child: Child, obj: KubeObject | None, applied: Applied | None) -> bool:
    if obj is None or applied is None:
        return False
    return applied.wire == child.wire and applied.state == state(obj)


def stoppable(workloads: Sequence[Workload]) -> list[Workload]:
    """The workloads that none of the others waits for: the next to be stopped. All, when they wait in a circle."""
    needed = {(edge.target.kind, edge.target.name) for obj in workloads for edge in _edges(obj)}
    bare = {name for kind, name in needed if not kind}
    free = [
        obj
        for obj in workloads
        if (obj.kind.lower(), obj.metadata.name) not in needed and obj.metadata.name not in bare
    ]
    return free or list(workloads)


def _edges(obj: KubeObject) -> Iterable[graph.Edge]:
    try:
        return graph.edges(obj)
    except graph.DependencyError:
        return ()  # it never started for the same reason


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    stack = await cluster.get(Stack, key)
    if stack is None:
        return None
    busy = _memory.pause(stack, cluster.now())
    if busy:
        return After(busy)  # every change of every pod wakes this key; one look sees them all
    if stack.metadata.deleting:
        await _stop(cluster, stack)
        return None
    if FINALIZER not in stack.metadata.finalizers:
        stack = await _finalizers(cluster, stack, (*stack.metadata.finalizers, FINALIZER))
    todo = difference(
        _memory.children(stack), await _owned(cluster, stack), await _claims(cluster, stack), _applied(stack)
    )
    errors = await _carry_out(cluster, stack, todo)
    if not errors and await _behind(cluster, stack, todo):
        return (
            None  # what was written is not back yet, and will wake this key: status must not speak of what was before
        )
    later = await _tell(cluster, stack, errors)
    _raise(errors)
    return later


def _applied(stack: Stack) -> dict[Id, Applied]:
    return _memory.applied.setdefault(stack.metadata.uid or "", {})


async def _owned(cluster: ControllerCluster, stack: Stack) -> list[KubeObject]:
    return [obj for kind in OWNED for obj in await cluster.list(kind, namespace=stack.key.namespace, owner=stack)]


async def _claims(cluster: ControllerCluster, stack: Stack) -> Sequence[PersistentVolumeClaim]:
    labels = {STACK: stack.metadata.name}
    return await cluster.list(PersistentVolumeClaim, namespace=stack.key.namespace, labels=labels)


async def _carry_out(cluster: ControllerCluster, stack: Stack, todo: Difference) -> list[Exception]:
    """Foreground: a workload stays, being deleted, until its pods are gone. What is refused spares the others."""
    delete = partial(cluster.delete, propagation=Propagation.FOREGROUND)
    errors = (await gather(delete, todo.delete))[1] if todo.delete else []
    applied = _applied(stack)

    async def apply(child: Child) -> None:
        stored = await cluster.apply(child.wire, manager=MANAGER, force=True)
        applied[child.id] = Applied(child.wire, state(stored))

    # Names and files are there before what uses them; each group shares commits.
    for group in (("ConfigMap", "PersistentVolumeClaim", "Service"), ("Deployment", "Job")):
        batch = [child for child in todo.apply if child.id[0] in group]
        errors += (await gather(apply, batch))[1] if batch else []
    return errors


async def _behind(cluster: ControllerCluster, stack: Stack, todo: Difference) -> bool:
    """Whether the cache still shows a workload as it was before it was applied just now."""
    applied = _applied(stack)
    kinds: dict[str, type[Workload]] = {"Deployment": Deployment, "Job": Job}
    for child in todo.apply:
        if child.id[0] in kinds:
            seen = await cluster.get(kinds[child.id[0]], Key(stack.key.namespace, child.id[1]))
            if seen is None or state(seen) != applied[child.id].state:
                return True
    return False


def _raise(errors: Sequence[Exception]) -> None:
    """A refusal for good is hopeless; everything else is tried again, later each time."""
    lasting = [error for error in errors if not isinstance(error, Invalid)]
    if lasting:
        raise lasting[0]
    if errors:
        raise Hopeless(str(errors[0])) from errors[0]


async def _tell(cluster: ControllerCluster, stack: Stack, errors: Sequence[Exception]) -> After | None:
    """Writes the status; what changes only rows not more often than every CALM."""
    refused = "; ".join(str(error) for error in errors if isinstance(error, Forbidden | Invalid))
    now, uid = cluster.now(), stack.metadata.uid or ""
    new = await _status(cluster, stack, refused or None)
    if new == stack.status:
        return None
    calm = _memory.told.get(uid, now - CALM) + CALM - now
    if calm > timedelta(0) and _verdict(new) == _verdict(stack.status):
        return After(calm.total_seconds())
    _memory.told[uid] = now
    await cluster.patch_status(stack, new)
    return None


async def _status(cluster: ControllerCluster, stack: Stack, refused: str | None) -> StackStatus:
    wanted, owned = {child.id for child in _memory.children(stack)}, await _owned(cluster, stack)
    workloads: dict[str, Workload] = {
        obj.metadata.name: obj
        for obj in owned
        if isinstance(obj, Deployment | Job) and (obj.kind, obj.metadata.name) in wanted and not obj.metadata.deleting
    }
    pods = await cluster.list(Pod, namespace=stack.key.namespace, labels={STACK: stack.metadata.name})
    told = [refused, *(_taken(obj) for obj in owned if isinstance(obj, Service))]
    known = _memory.rows.setdefault(stack.metadata.uid or "", {})
    return status(stack, workloads, pods, "; ".join(filter(None, told)) or None, cluster.now(), known)


def _taken(service: Service) -> str | None:
    """Why a port could not be published, None when all is well."""
    told = condition(service.status.conditions, "Published")
    return told.message if told and told.status == "False" else None


def _verdict(seen: StackStatus) -> tuple[Any, ...]:
    """What somebody may be waiting for."""
    return seen.observed_generation, *((each.type, each.status) for each in seen.conditions)


async def _stop(cluster: ControllerCluster, stack: Stack) -> None:
    """Dependants first; each level ends before the next is told. Then the rest goes, and the claims stay."""
    _memory.forget(stack)
    if FINALIZER not in stack.metadata.finalizers:
        return
    owned = await _owned(cluster, stack)
    workloads = [obj for obj in owned if isinstance(obj, Deployment | Job)]
    if workloads:
        ending = [obj for obj in stoppable(workloads) if not obj.metadata.deleting]
        _, errors = await gather(partial(cluster.delete, propagation=Propagation.FOREGROUND), ending)
        _raise(errors)
        return  # what is deleted wakes this key when it is gone
    secrets = await cluster.list(Secret, namespace=stack.key.namespace, labels={STACK: stack.metadata.name})
    await cluster.delete_all([*(obj for obj in owned if not obj.metadata.deleting), *secrets])
    await _finalizers(cluster, stack, tuple(name for name in stack.metadata.finalizers if name != FINALIZER))


async def _finalizers(cluster: ControllerCluster, stack: Stack, names: tuple[str, ...]) -> Stack:
    meta = {"finalizers": list(names), "resourceVersion": stack.metadata.resource_version}
    return await cluster.patch(Stack, stack.key, {"metadata": meta})
