"""Namespace (core/v1): one that is being deleted first loses its content, in order, then its finalizer.

Order: what makes other objects first (stacks, then workloads), so that nothing is made anew; then what those leave to
the garbage collector or nobody owns; quotas and Events last. Each stage starts when the one before is empty.
"""

from collections.abc import Mapping, Sequence

from orchestr.api import scheme
from orchestr.api.base import Condition, Key, KubeObject
from orchestr.api.core import Event, Namespace, ResourceQuota
from orchestr.api.custom import Custom
from orchestr.api.namespace import NamespaceStatus
from orchestr.engine import Index, Related, Watches
from orchestr.engine.controller import ControllerCluster

CONTENT = "kubernetes"  # the finalizer in spec.finalizers
FIRST = (("Stack",), ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"), ("ReplicaSet",), ("Pod",))
LAST = (ResourceQuota.__name__, Event.__name__)
KINDS = tuple(kind for kind in scheme.KINDS if kind.NAMESPACED)


def stages() -> tuple[tuple[type[KubeObject], ...], ...]:
    """All namespaced kinds in the order in which they go."""
    first = [tuple(kind for kind in KINDS if kind.__name__ in names) for names in FIRST]
    last = tuple(kind for kind in KINDS if kind.__name__ in LAST)
    named = {kind for stage in (*first, last) for kind in stage}
    return (*first, tuple(kind for kind in KINDS if kind not in named), last)


STAGES = stages()


def gone_from(obj: KubeObject, index: Index) -> Sequence[Key]:
    """A namespace that is being deleted looks again at each change of its content."""
    key = Key("", obj.metadata.namespace or "")
    namespace = index.one(Namespace, key)
    return (key,) if namespace is not None and namespace.metadata.deleting else ()


WATCHES = Watches(Namespace, related=tuple(Related(kind, gone_from) for kind in KINDS), custom=gone_from)


def next_stage(content: Mapping[type[KubeObject], Sequence[KubeObject]]) -> list[KubeObject]:
    """What to delete now: the first stage that is not empty, less what is on its way. Pure."""
    customs = tuple(kind for kind in content if issubclass(kind, Custom))
    for stage in (customs, *STAGES):  # what an operator made of them goes with them
        there = [obj for kind in stage for obj in content.get(kind, ())]
        if there:
            return [obj for obj in there if not obj.metadata.deleting]
    return []


def status(namespace: Namespace, content: Mapping[type[KubeObject], Sequence[KubeObject]]) -> NamespaceStatus:
    """Terminating, with what remains and what holds it. Pure."""
    remaining = sorted((kind.PLURAL, len(objects)) for kind, objects in content.items() if objects)
    counts = ", ".join(f"{plural} has {count} resource instances" for plural, count in remaining)
    holders: dict[str, int] = {}
    for objects in content.values():
        for obj in objects:
            for name in obj.metadata.finalizers:
                holders[name] = holders.get(name, 0) + 1
    held = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(holders.items()))
    conditions = (
        _condition(namespace, "NamespaceContentRemaining", "SomeResourcesRemain", "ContentRemoved", counts),
        _condition(namespace, "NamespaceFinalizersRemaining", "SomeFinalizersRemain", "ContentHasNoFinalizers", held),
    )
    return NamespaceStatus(phase="Terminating", conditions=conditions)


async def reconcile(cluster: ControllerCluster, key: Key) -> None:
    """Deletes the next stage, says what remains, and lets the namespace go when that is nothing."""
    namespace = await cluster.get(Namespace, key)
    if namespace is None or not namespace.metadata.deleting:
        return
    content: dict[type[KubeObject], Sequence[KubeObject]] = {
        kind: cluster.all(kind, namespace=key.name) for kind in KINDS
    }
    for custom in scheme.stored_customs():
        if custom.NAMESPACED:
            content[custom] = await cluster.list(custom, namespace=key.name)
    await cluster.delete_all(next_stage(content))
    if any(content.values()):
        await cluster.patch_status(namespace, status(namespace, content))
    elif CONTENT in namespace.spec.finalizers:
        rest = tuple(name for name in namespace.spec.finalizers if name != CONTENT)
        await cluster.update(namespace.but(spec=namespace.spec.but(finalizers=rest)))


def _condition(namespace: Namespace, type_: str, some: str, none: str, remains: str) -> Condition:
    message = f"Some content remains in the namespace: {remains}" if remains else "Nothing remains of it"
    value = "True" if remains else "False"
    old = next((c for c in namespace.status.conditions if c.type == type_), None)
    since = old.last_transition_time if old and old.status == value else namespace.metadata.deletion_timestamp
    return Condition(
        type=type_, status=value, reason=some if remains else none, message=message, last_transition_time=since
    )
