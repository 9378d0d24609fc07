"""Where a kind keeps how many replicas it wants and has, and how it chooses them. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from orchestr.api.base import KubeObject
from orchestr.api.custom import Custom
from orchestr.api.labelquery import labels
from orchestr.api.meta import LabelSelector

Matches = Callable[[Mapping[str, str]], bool]


class Scale(NamedTuple):
    wanted: int
    there: int
    matches: Matches | None  # whether labels are those of one of its pods; None: it does not say


def scale(obj: KubeObject) -> Scale | None:
    """None for a kind without replicas. BadRequest for a custom resource's selector that cannot be read."""
    if isinstance(obj, Custom):
        return _custom(obj)
    spec: Any = getattr(obj, "spec", None)
    status: Any = getattr(obj, "status", None)
    if not hasattr(spec, "replicas") or not hasattr(spec, "selector"):
        return None
    selector: Any = spec.selector
    if isinstance(selector, Mapping):  # a ReplicationController's
        selector = LabelSelector(match_labels=selector)
    wanted = 1 if spec.replicas is None else spec.replicas
    told = selector is not None and not selector.empty
    return Scale(wanted, getattr(status, "replicas", None) or 0, selector.matches if told else None)


def scaled(obj: KubeObject, replicas: int) -> dict[str, Any]:
    """The merge patch that asks for so many."""
    path = "spec.replicas"
    if isinstance(obj, Custom) and obj.SCALE:
        path = obj.SCALE.spec_replicas_path.strip(".")
    patch: Any = replicas
    for name in reversed(path.split(".")):
        patch = {name: patch}
    return dict(patch)


def _custom(obj: Custom) -> Scale | None:
    paths = obj.SCALE
    if not paths:
        return None
    wire = obj.wire()
    text = str(at(wire, paths.label_selector_path or "") or "")
    wanted, there = at(wire, paths.spec_replicas_path) or 0, at(wire, paths.status_replicas_path) or 0
    query = labels(text)
    return Scale(wanted, there, (lambda given: all(each.holds(given) for each in query)) if query else None)


def at(wire: Any, path: str) -> Any:
    """The value at a path such as .spec.replicas."""
    for name in path.strip(".").split("."):
        wire = wire.get(name) if isinstance(wire, Mapping) else None
    return wire
