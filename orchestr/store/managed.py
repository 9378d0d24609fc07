"""metadata.managedFields: who set which fields, and server-side apply's decisions on them. Pure.

Managers that write through Update are recorded when they name themselves (HTTP clients do); controllers of this
program do not, so their status writes cost nothing here. A manager's writes through a sub-resource (status, scale) are
an entry of their own.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestr.api import scheme
from orchestr.api.base import KubeObject, ManagedFieldsEntry, timestamp
from orchestr.api.custom import Custom
from orchestr.store.conflicts import settle
from orchestr.store.fields import Fields, changed, dropped, fields_of, merge, minus, union, without
from orchestr.store.shapes import root

# Fields of metadata that belong to the store, whoever sends them.
SYSTEM = ("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generateName", "generation")
METADATA = "f:metadata"
IDENTITY = ("managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid")
BEFORE = "before-first-apply"  # who owns what nobody was recorded for
ANCIENT = "ancient-changes"  # who owns what the oldest of too many managers set
UPDATERS = 10  # entries of Update that are kept apart

Entry = dict[str, Any]  # a ManagedFieldsEntry in wire form


def _kind(wire: Mapping[str, Any]) -> type[KubeObject] | None:
    return scheme.BY_NAME.get((str(wire.get("apiVersion")), str(wire.get("kind"))))


def has_status(wire: Mapping[str, Any]) -> bool:
    """Whether the status of such an object is a sub-resource, and so no part of what is written otherwise."""
    kind = _kind(wire)
    return kind is None or "status" in kind.model_fields


def _status_alone(wire: Mapping[str, Any]) -> bool:
    """Whether no metadata can be written with the status of such an object."""
    kind = _kind(wire)
    return kind is not None and issubclass(kind, Custom)


def written(wire: Mapping[str, Any], subresource: str = "") -> dict[str, Any]:
    """The part of an object that is written through the object itself, or through this sub-resource."""
    hidden = {"apiVersion", "kind", "metadata"}
    if subresource == "status":
        hidden |= wire.keys() - {"status"}
    elif has_status(wire):
        hidden.add("status")
    metadata = {k: v for k, v in (wire.get("metadata") or {}).items() if k not in SYSTEM + IDENTITY}
    if subresource == "status" and _status_alone(wire):
        metadata = {}
    rest = {key: value for key, value in wire.items() if key not in hidden}
    return {**rest, **({"metadata": metadata} if metadata else {})}


def owned(wire: Mapping[str, Any], subresource: str = "") -> Fields:
    """The fields of an object that somebody can own."""
    return fields_of(written(wire, subresource), root(wire))


def entries(wire: Mapping[str, Any]) -> list[Entry]:
    return list((wire.get("metadata") or {}).get("managedFields") or ())


def applied_by(managed: Sequence[ManagedFieldsEntry], manager: str) -> bool:
    return any(each.manager == manager and each.operation == "Apply" and not each.subresource for each in managed)


def cleaned(wanted: Mapping[str, Any], subresource: str = "") -> dict[str, Any]:
    """An applied configuration without nulls, without what is not its to set, and with a Secret's text encoded."""
    wire: dict[str, Any] = _without_nulls(wanted)
    metadata = wire.get("metadata") or {}
    metadata = {k: v for k, v in metadata.items() if k not in (*SYSTEM, "managedFields", "selfLink")}
    if subresource == "status":
        if _status_alone(wire):
            metadata = {k: v for k, v in metadata.items() if k in IDENTITY}
        return {k: wire[k] for k in ("apiVersion", "kind", "status") if k in wire} | {"metadata": metadata}
    if has_status(wire):
        wire.pop("status", None)
    if wire.get("kind") == "Secret" and isinstance(text := wire.pop("stringData", None), dict):
        coded = {key: base64.b64encode(str(value).encode()).decode() for key, value in text.items()}
        wire["data"] = {**(wire.get("data") or {}), **coded}
    return {**wire, "metadata": metadata}


def apply(
    live: dict[str, Any], wanted: dict[str, Any], *, manager: str, force: bool, now: datetime, subresource: str = ""
) -> dict[str, Any]:
    """Server-side apply of the `cleaned` wanted object on the live one. Raises Conflict unless forced."""
    before = entries(live)
    if live and not before and (found := owned(live)):
        before = [_entry(BEFORE, "Update", live, found, [], now)]
    mine = owned(wanted, subresource)
    others = [entry for entry in before if not _is(entry, manager, "Apply", subresource)]
    others = settle(others, mine, live, wanted, manager=manager, force=force)
    last: Fields = next((entry["fieldsV1"] for entry in before if _is(entry, manager, "Apply", subresource)), {})
    kept = mine
    for entry in others:
        kept = union(kept, entry.get("fieldsV1", {}))
    gone = {name: sub for name, sub in dropped(last, kept).items() if name != METADATA}
    # Controllers of this program write metadata under nobody's name: of that only what was set goes.
    if left := minus(last.get(METADATA, {}), kept.get(METADATA, {})):
        gone[METADATA] = left
    where = root(wanted)
    rest = {k: v for k, v in wanted.items() if k != "metadata"}
    merged: dict[str, Any] = merge(without(live, gone, where) or {}, rest, where)
    merged["metadata"] = merge(
        merged.get("metadata") or {},
        {k: v for k, v in wanted["metadata"].items() if k != "resourceVersion"},
        ("metadata",),
    )
    entry = _entry(manager, "Apply", wanted, mine, before, now, subresource)
    merged["metadata"]["managedFields"] = _ordered([entry, *others] if mine or not subresource else others)
    return merged


def update(
    old: dict[str, Any] | None, new: dict[str, Any], *, manager: str, now: datetime, subresource: str = ""
) -> list[Entry]:
    """managedFields after `manager` wrote `new`, which brings those of before, in another way than apply."""
    before = entries(new if old else {})
    touched = changed(written(old or {}, subresource), written(new, subresource), root(new))
    if not touched:
        return before
    kept: list[Entry] = []
    mine: Fields = {}
    for entry in before:
        if _is(entry, manager, "Update", subresource) and entry.get("apiVersion") == new.get("apiVersion"):
            mine = entry.get("fieldsV1", {})
        elif left := minus(entry.get("fieldsV1", {}), touched):
            kept.append({**entry, "fieldsV1": left})
    gone = minus(union(mine, touched), owned(new, subresource))
    mine = minus(union(mine, touched), gone)
    if mine:
        kept.append(_entry(manager, "Update", new, mine, before, now, subresource))
    return _ordered(_capped(kept))


def touch(wire_entries: Sequence[Entry], manager: str, now: datetime, subresource: str = "") -> list[Entry]:
    """The entries with the time of an apply that changed the object, though it set the same fields as before."""
    at = timestamp(now)
    return _ordered([{**e, "time": at} if _is(e, manager, "Apply", subresource) else e for e in wire_entries])


def _capped(found: list[Entry]) -> list[Entry]:
    """Of too many updaters the oldest are put together, so that an object does not grow with each new one."""
    updates = sorted((e for e in found if e.get("operation") == "Update"), key=lambda e: str(e.get("time", "")))
    old = updates[: max(len(updates) - UPDATERS + 1, 0)] if len(updates) > UPDATERS else []
    if not old:
        return found
    together: Fields = {}
    for entry in old:
        together = union(together, entry.get("fieldsV1", {}))
    return [e for e in found if e not in old] + [{**old[-1], "manager": ANCIENT, "fieldsV1": together}]


def _ordered(found: list[Entry]) -> list[Entry]:
    """As Kubernetes lists them: appliers first, then by time."""
    names = ("time", "manager", "apiVersion", "subresource")
    return sorted(found, key=lambda e: (e.get("operation") != "Apply", *(str(e.get(name, "")) for name in names)))


def _entry(
    manager: str,
    operation: str,
    wire: Mapping[str, Any],
    fields: Fields,
    before: list[Entry],
    now: datetime,
    subresource: str = "",
) -> Entry:
    """An entry; its time stays while its fields stay, so that applying the same again changes nothing."""
    version = str(wire.get("apiVersion"))
    last = next((entry for entry in before if _is(entry, manager, operation, subresource)), None)
    if last is not None and last.get("fieldsV1") == fields and last.get("apiVersion") == version:
        return last
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": version,
        "time": timestamp(now),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **({"subresource": subresource} if subresource else {}),
    }


def _is(entry: Entry, manager: str, operation: str, subresource: str) -> bool:
    return (
        entry.get("manager") == manager
        and entry.get("operation") == operation
        and (entry.get("subresource") or "") == subresource
    )


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list | tuple) else value
