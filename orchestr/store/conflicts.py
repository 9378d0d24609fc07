"""Fields that an applied configuration sets, and that others own with another value. Pure.

The words are those of Kubernetes: apimachinery, util/managedfields/internal/conflict.go.
"""

import json
from collections.abc import Mapping
from typing import Any

from orchestr.api.errors import Cause, Conflict
from orchestr.store.fields import Fields, disputes, dotted, fields_of, minus, union
from orchestr.store.shapes import root

KUBECTL = "kubectl"  # the manager that takes over from its own client-side apply
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Entry = dict[str, Any]


def settle(
    others: list[Entry], mine: Fields, live: dict[str, Any], wanted: dict[str, Any], *, manager: str, force: bool
) -> list[Entry]:
    """The others' entries, less what they lose by force. Raises Conflict for what they do not lose."""
    free = _applied_before(live) if manager == KUBECTL else {}
    causes: list[tuple[str, Cause]] = []
    left: list[Entry] = []
    for entry in others:
        lost: Fields = {}
        for trail, leaf in disputes(entry.get("fieldsV1", {}), mine, live, wanted, root(wanted)):
            if minus(leaf, free):
                who = described(entry)
                causes.append((who, Cause(dotted(trail), f"conflict with {who}", "FieldManagerConflict")))
            lost = union(lost, leaf)
        if rest := minus(entry.get("fieldsV1", {}), lost):
            left.append({**entry, "fieldsV1": rest})
    if causes and not force:
        raise Conflict(_told(causes), causes=[cause for _, cause in causes])
    return left


def described(entry: Mapping[str, Any]) -> str:
    """A manager as conflicts name it: `"kubectl" with subresource "scale" using apps/v1`."""
    text = f'"{entry.get("manager")}"'
    if entry.get("subresource"):
        text += f' with subresource "{entry["subresource"]}"'
    return text if entry.get("operation") == "Apply" else f"{text} using {entry.get('apiVersion')}"


def _told(causes: list[tuple[str, Cause]]) -> str:
    if len(causes) == 1:
        return f"Apply failed with 1 conflict: {causes[0][1].message}: {causes[0][1].field}"
    lines: list[str] = []
    for who in sorted({who for who, _ in causes}):
        lines += [f"conflicts with {who}:", *(f"- {cause.field}" for other, cause in causes if other == who)]
    return f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)


def _applied_before(live: Mapping[str, Any]) -> Fields:
    """What kubectl applied from the client's side: it may apply that from the server's side without a conflict."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        last = json.loads(text) if text else {}
    except ValueError:
        return {}
    return fields_of(last, root(live)) if isinstance(last, dict) else {}
