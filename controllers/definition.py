"""CustomResourceDefinition: one that is being deleted first loses the objects of its kind, then its finalizer."""

from collections.abc import Iterator

from orchestr.api.custom import Custom, kinds_of
from orchestr.api.definition import CLEANUP, CustomResourceDefinition
from orchestr.engine import ControllerCluster, Index, Key, Watches


def _definition(obj: Custom, index: Index) -> Iterator[Key]:
    """The definition of an object's kind, while it waits for the object to go."""
    key = Key("", f"{obj.PLURAL}.{obj.GROUP}")
    crd = index.one(CustomResourceDefinition, key)
    if crd is not None and crd.metadata.deleting:
        yield key


WATCHES = Watches(CustomResourceDefinition, custom=_definition)


async def reconcile(cluster: ControllerCluster, key: Key) -> None:
    """Deletes what is left of the kind; lets the definition go when that is nothing."""
    crd = await cluster.get(CustomResourceDefinition, key)
    if crd is None or not crd.metadata.deleting or CLEANUP not in crd.metadata.finalizers:
        return
    left = await cluster.list(kinds_of(crd).stored)
    await cluster.delete_all([obj for obj in left if not obj.metadata.deleting])
    if not await cluster.list(kinds_of(crd).stored):
        rest = [name for name in crd.metadata.finalizers if name != CLEANUP]
        change = {"metadata": {"finalizers": rest, "resourceVersion": crd.metadata.resource_version}}
        await cluster.patch(CustomResourceDefinition, key, change)
