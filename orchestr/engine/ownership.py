"""Who controls what: a controller's children are those with its controller reference and labels that it selects.

As Kubernetes does (`pkg/controller/controller_ref_manager.go`): an object that matches and has no controller is
adopted, one that no longer matches is released. Never adopted: what is being deleted, or by what is being deleted.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from orchestr.api.base import KubeObject
from orchestr.api.errors import Conflict, NotFound
from orchestr.engine.controller import ControllerCluster

K = TypeVar("K", bound=KubeObject)


class Selector(Protocol):
    def matches(self, labels: Mapping[str, str]) -> bool: ...


async def claimed(
    cluster: ControllerCluster,
    owner: KubeObject,
    kind: type[K],
    selector: Selector,
    member: Callable[[K], bool] = lambda obj: True,
) -> Sequence[K]:
    """The objects of `kind` that `owner` controls, after adopting and releasing; `member` says more than labels can."""
    owned = await cluster.list(kind, owner=owner)
    mine = [obj for obj in owned if obj.metadata.deleting or (selector.matches(obj.metadata.labels) and member(obj))]
    if len(mine) < len(owned):
        kept = {obj.key for obj in mine}
        for obj in owned:
            if obj.key not in kept:
                await _release(cluster, owner, obj)
    if owner.metadata.deleting:
        return mine
    for obj in cluster.orphans(kind, owner.key.namespace):
        if not obj.metadata.deleting and selector.matches(obj.metadata.labels) and member(obj):
            mine.append(await _adopt(cluster, owner, obj))
    return mine


async def _adopt(cluster: ControllerCluster, owner: KubeObject, obj: K) -> K:
    owners = (*obj.metadata.owner_references, owner.owner_reference())
    return await cluster.patch(type(obj), obj.key, _owners(obj, owners))


async def _release(cluster: ControllerCluster, owner: KubeObject, obj: KubeObject) -> None:
    owners = tuple(ref for ref in obj.metadata.owner_references if ref.uid != owner.metadata.uid)
    with suppress(NotFound, Conflict):  # gone or changed: the next event brings us back
        await cluster.patch(type(obj), obj.key, _owners(obj, owners))


def _owners(obj: KubeObject, owners: Sequence[Any]) -> dict[str, Any]:
    """A patch that fails when the object is another by now."""
    meta = obj.metadata
    return {"metadata": {"resourceVersion": meta.resource_version, "ownerReferences": [ref.wire() for ref in owners]}}
