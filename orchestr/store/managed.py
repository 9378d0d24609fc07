"""metadata.managedFields: who set which fields, and server-side apply's decisions on them. Pure.

Managers that write through Update are recorded when they name themselves (HTTP clients do); controllers of this
program do not, so their status writes cost nothing here.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestr.api.base import ManagedFieldsEntry, timestamp
from orchestr.api.errors import Cause, Conflict
from orchestr.store.fields import Fields, changed, disputes, dotted, dropped, fields_of, merge, minus, union, without
from orchestr.store.shapes import root

# Fields of metadata that belong to the store, whoever sends them.
SYSTEM = ("creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generateName", "generation")
METADATA = "f:metadata"
IDENTITY = ("managedFields", "name", "namespace", "resourceVersion", "selfLink", "uid")

Entry = dict[str, Any]  # a ManagedFieldsEntry in wire form


def owned(wire: Mapping[str, Any]) -> Fields:
    """The fields of an object that somebody can own."""
    plain = {key: value for key, value in wire.items() if key not in ("apiVersion", "kind", "status")}
    metadata = wire.get("metadata") or {}
    plain["metadata"] = {key: value for key, value in metadata.items() if key not in SYSTEM + IDENTITY}
    return fields_of(plain if plain["metadata"] else {k: v for k, v in plain.items() if k != "metadata"}, root(wire))


def entries(wire: Mapping[str, Any]) -> list[Entry]:
    return list((wire.get("metadata") or {}).get("managedFields") or ())


def applied_by(managed: Sequence[ManagedFieldsEntry], manager: str) -> bool:
    return any(entry.manager == manager and entry.operation == "Apply" for entry in managed)


def cleaned(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """An applied configuration without nulls, without what the store owns, and with a Secret's text encoded."""
    wire: dict[str, Any] = _without_nulls(wanted)
    wire.pop("status", None)
    metadata = wire.get("metadata") or {}
    wire["metadata"] = {k: v for k, v in metadata.items() if k not in (*SYSTEM, "managedFields", "selfLink")}
    if wire.get("kind") == "Secret" and isinstance(text := wire.pop("stringData", None), dict):
        coded = {key: base64.b64encode(str(value).encode()).decode() for key, value in text.items()}
        wire["data"] = {**(wire.get("data") or {}), **coded}
    return wire


def apply(live: dict[str, Any], wanted: dict[str, Any], *, manager: str, force: bool, now: datetime) -> dict[str, Any]:
    """Server-side apply of the `cleaned` wanted object on the live one. Raises Conflict unless forced."""
    before = entries(live)
    mine = owned(wanted)
    others = [entry for entry in before if not _is(entry, manager, "Apply")]
    others = _settle_disputes(others, mine, live, wanted, force)
    last: Fields = next((entry["fieldsV1"] for entry in before if _is(entry, manager, "Apply")), {})
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
    entry = _entry(manager, "Apply", str(wanted.get("apiVersion")), mine, before, now)
    merged["metadata"]["managedFields"] = [entry, *others]
    return merged


def update(old: dict[str, Any] | None, new: dict[str, Any], *, manager: str, now: datetime) -> list[Entry]:
    """managedFields after `manager` wrote `new`, which brings those of before, in another way than apply."""
    before = entries(new if old else {})
    touched = changed(_plain(old or {}), _plain(new), root(new))
    if not touched:
        return before
    present = owned(new)
    kept: list[Entry] = []
    mine: Fields = {}
    for entry in before:
        if _is(entry, manager, "Update"):
            mine = entry.get("fieldsV1", {})
        elif left := minus(entry.get("fieldsV1", {}), touched):
            kept.append({**entry, "fieldsV1": left})
    gone = minus(union(mine, touched), present)
    mine = minus(union(mine, touched), gone)
    return [*kept, _entry(manager, "Update", str(new.get("apiVersion")), mine, before, now)] if mine else kept


def _settle_disputes(
    others: list[Entry], mine: Fields, live: dict[str, Any], wanted: dict[str, Any], force: bool
) -> list[Entry]:
    """The others' entries, less what they lose by force."""
    causes: list[Cause] = []
    left: list[Entry] = []
    for entry in others:
        lost: Fields = {}
        for trail, leaf in disputes(entry.get("fieldsV1", {}), mine, live, wanted, root(wanted)):
            how = f'conflict with "{entry.get("manager")}"'
            causes.append(Cause(dotted(trail), how, "FieldManagerConflict"))
            lost = union(lost, leaf)
        rest = minus(entry.get("fieldsV1", {}), lost)
        if rest:
            left.append({**entry, "fieldsV1": rest})
    if causes and not force:
        told = "\n".join(f"- {cause.message}: {cause.field}" for cause in causes)
        raise Conflict(f"Apply failed with {len(causes)} conflict(s):\n{told}", causes=causes)
    return left


def _entry(manager: str, operation: str, version: str, fields: Fields, before: list[Entry], now: datetime) -> Entry:
    """An entry; its time stays while its fields stay, so that applying the same again changes nothing."""
    last = next((entry for entry in before if _is(entry, manager, operation)), None)
    if last is not None and last.get("fieldsV1") == fields:
        return last
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": version,
        "time": timestamp(now),
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }


def _is(entry: Entry, manager: str, operation: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == operation and not entry.get("subresource")


def _plain(wire: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in (wire.get("metadata") or {}).items() if k not in SYSTEM + IDENTITY}
    rest = {k: v for k, v in wire.items() if k not in ("apiVersion", "kind", "metadata", "status")}
    return {**rest, **({"metadata": metadata} if metadata else {})}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list | tuple) else value
