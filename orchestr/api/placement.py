"""Whether a pod may go to the node: unschedulable, taints and tolerations, node selector and node affinity. Pure.

There is one node, so the scheduler's filters are all of its choice. The words are those of its plugins. Affinity
between pods and topology spread are about several nodes and change nothing here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from orchestr.api.node import Node
from orchestr.api.pod import PodSpec

Taint = Mapping[str, Any]  # key, value, effect, timeAdded
Toleration = Mapping[str, Any]  # key, operator, value, effect, tolerationSeconds

NO_SCHEDULE, NO_EXECUTE = "NoSchedule", "NoExecute"
EFFECTS = (NO_SCHEDULE, "PreferNoSchedule", NO_EXECUTE)
UNSCHEDULABLE: Taint = {"key": "node.kubernetes.io/unschedulable", "effect": NO_SCHEDULE}


def refusal(spec: PodSpec, node: Node) -> str | None:
    """Why the scheduler would not put the pod on the node; None when it would."""
    tolerations = spec.tolerations or ()
    if node.spec.unschedulable and not tolerated(tolerations, UNSCHEDULABLE):
        return "node(s) were unschedulable"
    if (taint := untolerated(tolerations, node.spec.taints or ())) is not None:
        return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"
    if not selected(spec, node):
        return "node(s) didn't match Pod's node affinity/selector"
    return None


def message(why: str) -> str:
    """As the pod's condition and event say it."""
    nowhere = "0/1 nodes are available: 1"
    return f"{nowhere} {why}. preemption: {nowhere} Preemption is not helpful for scheduling."


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Empty effect and, with Exists, empty key stand for every one."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if (toleration.get("operator") or "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def tolerated(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    return any(tolerates(each, taint) for each in tolerations)


def untolerated(
    tolerations: Sequence[Toleration], taints: Sequence[Taint], effects: tuple[str, ...] = (NO_SCHEDULE, NO_EXECUTE)
) -> Taint | None:
    """The first taint of these effects that nothing tolerates."""
    found = (taint for taint in taints if taint["effect"] in effects and not tolerated(tolerations, taint))
    return next(found, None)


def leaves_at(tolerations: Sequence[Toleration], taints: Sequence[Taint], now: datetime) -> datetime | None:
    """When a running pod has to leave for a NoExecute taint: at once (`now` or earlier), later, or never (None)."""
    ends: list[datetime] = []
    for taint in taints:
        if taint["effect"] != NO_EXECUTE:
            continue
        matching = [each for each in tolerations if tolerates(each, taint)]
        if not matching:
            return now
        seconds = [each["tolerationSeconds"] for each in matching if each.get("tolerationSeconds") is not None]
        if seconds:
            ends.append(_added(taint, now) + timedelta(seconds=max(min(seconds), 0)))
    return min(ends, default=None)


def _added(taint: Taint, now: datetime) -> datetime:
    added = taint.get("timeAdded")
    return datetime.fromisoformat(added) if isinstance(added, str) else added or now


def selected(spec: PodSpec, node: Node) -> bool:
    """Whether the pod's node selector and its required node affinity hold of the node."""
    labels = node.metadata.labels
    if spec.node_selector and not spec.node_selector.items() <= labels.items():
        return False
    affinity = (spec.affinity or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or any(_term(term, node) for term in required.get("nodeSelectorTerms") or ())


def _term(term: Mapping[str, Any], node: Node) -> bool:
    """All of its requirements; a term without any matches nothing."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    name = {"metadata.name": node.metadata.name}
    return all(_holds(each, node.metadata.labels) for each in expressions) and all(
        _holds(each, name) for each in fields
    )


def _holds(requirement: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator = requirement["key"], requirement["operator"]
    values: Sequence[str] = requirement.get("values") or ()
    value = labels.get(key)
    if operator in ("Exists", "DoesNotExist"):
        present: bool = operator == "Exists"
        return (value is not None) is present
    if operator in ("In", "NotIn"):
        inside: bool = operator == "In"
        return (value in values) is inside
    return value is not None and _compares(value, operator, values)


def _compares(value: str, operator: str, values: Sequence[str]) -> bool:
    """Gt and Lt, of whole numbers."""
    try:
        have, (limit,) = int(value), (int(each) for each in values)
    except ValueError:
        return False
    return have > limit if operator == "Gt" else operator == "Lt" and have < limit
