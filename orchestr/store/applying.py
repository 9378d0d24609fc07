"""Server-side apply in a transaction: one object, or a whole set that is stored as one or not at all."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from orchestr.api import scheme
from orchestr.api.base import Key, KubeObject, ManagedFieldsEntry
from orchestr.api.errors import ApiError, BadRequest, Cause, Conflict, Invalid
from orchestr.engine.cluster import Propagation
from orchestr.store import lifecycle, managed
from orchestr.store.definitions import kind_in
from orchestr.store.refusals import not_found
from orchestr.store.site import Site
from orchestr.store.table import Row, served
from orchestr.store.transaction import Tx

# What others need comes first, so that a pod of the same set finds its namespace, quota, configuration and service.
ORDER = (
    "CustomResourceDefinition",
    "Namespace",
    "ResourceQuota",
    "ConfigMap",
    "Secret",
    "PersistentVolumeClaim",
    "Service",
)


class Applied(NamedTuple):
    action: Literal["created", "configured", "unchanged", "pruned"]
    row: Row  # as stored; the last state for pruned

    @property
    def object(self) -> KubeObject:
        return self.row.object


def apply(tx: Tx, site: Site, wanted: Mapping[str, Any], *, manager: str, force: bool, part: str = "") -> Applied:
    """Creates or changes one object, or of one that is there what its sub-resource `part` shows.

    Raises Conflict where another manager owns a field, Invalid, Forbidden, ...
    """
    kind = kind_in(tx, str(wanted.get("apiVersion", "")), str(wanted.get("kind", "")))
    if not isinstance(wanted.get("metadata"), Mapping) or not wanted["metadata"].get("name"):
        scheme.read(kind, wanted)
        raise BadRequest(f"cannot apply {kind.__name__}: metadata.name is required")
    wire = managed.cleaned(wanted, part)
    metadata = wire["metadata"]
    if kind.NAMESPACED:
        metadata.setdefault("namespace", lifecycle.DEFAULT_NAMESPACE)
    else:
        metadata.pop("namespace", None)
    key = Key(str(metadata["namespace"]) if kind.NAMESPACED else "", str(metadata["name"]))
    row = tx.get(kind, key)
    if row is None:
        if part:
            raise not_found(kind, key.name)
        return Applied("created", served(_create(tx, site, kind, wire, manager), kind))
    lifecycle.check(row, uid=metadata.get("uid"), revision=metadata.get("resourceVersion"))
    live = json.loads(served(row, kind).data)
    merged = managed.apply(live, wire, manager=manager, force=force, now=tx.now, subresource=part)
    if merged == live:
        return Applied("unchanged", served(row, kind))  # whatever is part of a stored object is valid
    new = _merged(kind, wire, merged)
    if part == "status":
        after = lifecycle.replace_status(tx, row, new, manager, how="Apply")
    else:
        after = lifecycle.replace(tx, site, row, new, manager, how="Apply", part=part)
    return Applied("unchanged" if after is row else "configured", served(after, kind))


def apply_all(
    tx: Tx,
    site: Site,
    items: Sequence[Mapping[str, Any]],
    *,
    manager: str,
    force: bool,
    prune: Mapping[str, str] | None,
) -> list[Applied]:
    """All items, in the order given; then what was pruned. Raises one error with the causes of all items."""
    done: dict[int, Applied] = {}
    errors: dict[int, ApiError] = {}
    for index in sorted(range(len(items)), key=lambda i: _rank(items[i])):
        mark = len(tx.changes)
        try:
            done[index] = apply(tx, site, items[index], manager=manager, force=force)
        except ApiError as error:
            tx.undo(mark)
            errors[index] = error
    if errors:
        raise _together(errors)
    pruned = [] if prune is None else _prune(tx, [done[i] for i in sorted(done)], manager, prune)
    return [done[index] for index in range(len(items))] + pruned


def _merged(kind: type[KubeObject], wire: Mapping[str, Any], merged: Mapping[str, Any]) -> KubeObject:
    """The object that comes of it. What is wrong with it is told of what the user wrote, which may be a part only."""
    try:
        return scheme.read(kind, merged)
    except Invalid:
        scheme.read(kind, wire)
        raise


def _create(tx: Tx, site: Site, kind: type[KubeObject], wire: dict[str, Any], manager: str) -> Row:
    metadata = wire["metadata"]
    if metadata.get("uid") or metadata.get("resourceVersion"):
        raise Conflict(f"cannot apply {wire['kind']} {metadata['name']}: it has a uid or resourceVersion and is gone")
    obj = scheme.read(kind, wire)
    entries = managed.apply({}, wire, manager=manager, force=True, now=tx.now)["metadata"]["managedFields"]
    fields = tuple(ManagedFieldsEntry.model_validate(entry) for entry in entries)
    return lifecycle.create(tx, site, obj.but(metadata=obj.metadata.but(managed_fields=fields)))


def _rank(item: Mapping[str, Any]) -> int:
    kind = item.get("kind")
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _prune(tx: Tx, applied: Sequence[Applied], manager: str, labels: Mapping[str, str]) -> list[Applied]:
    """Deletes what `manager` applied before in these namespaces, has these labels, and is not in the set."""
    kept = {each.row.ident for each in applied}
    spaces = {each.object.metadata.namespace for each in applied} - {None}
    if not spaces:
        return []
    found = [
        row
        for kind in tx.table.kinds()
        for space in sorted(spaces, key=str)
        for row in tx.table.rows(kind, space)
        if row.ident not in kept and _prunable(row.object, manager, labels)
    ]
    for row in found:
        lifecycle.delete(tx, row, propagation=Propagation.BACKGROUND, grace=None)
    return [Applied("pruned", row) for row in found]


def _prunable(obj: KubeObject, manager: str, labels: Mapping[str, str]) -> bool:
    meta = obj.metadata
    fits = all(meta.labels.get(key) == value for key, value in labels.items())
    return fits and not meta.deleting and managed.applied_by(meta.managed_fields, manager)


def _together(errors: Mapping[int, ApiError]) -> ApiError:
    """One error for a set: causes name the item's index and the field."""
    causes: list[Cause] = []
    for index, error in sorted(errors.items()):
        inner = error.causes or (Cause("", error.message, error.reason),)
        causes += [Cause(f"items[{index}]" + _dot(c.field), c.message, c.reason) for c in inner]
    message = "; ".join(error.message for _, error in sorted(errors.items()))
    first = next(iter(errors.values()))
    if any((error.code, error.reason) != (first.code, first.reason) for error in errors.values()):
        return Invalid(message, causes=causes, details=first.details)
    return type(first)(message, causes=causes, details=first.details, code=first.code, reason=first.reason)


def _dot(field: str) -> str:
    return f".{field}" if field and field[0] not in ".[" else field
