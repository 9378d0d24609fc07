"""What the sub-resources ephemeralcontainers and resize of a pod may change. Source: as immutable.py."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestr.api.errors import Cause
from orchestr.api.pod import Pod
from orchestr.api.qos import qos_class

RESIZED = ("cpu", "memory")
ENDED = ("Succeeded", "Failed")


def ephemeral(old: Pod, new: Pod) -> Iterator[Cause]:
    """Containers may be added; what is there stays."""
    at = "spec.ephemeralContainers"
    kept = {container.name: container for container in new.spec.ephemeral_containers}
    for container in old.spec.ephemeral_containers:
        if container.name not in kept:
            text = f"existing ephemeral containers {container.name!r} may not be removed"
            yield Cause(at, text, "FieldValueForbidden")
        elif kept[container.name] != container:
            text = f"existing ephemeral containers {container.name!r} may not be changed"
            yield Cause(at, text, "FieldValueForbidden")


def resize(old: Pod, new: Pod) -> Iterator[Cause]:
    """CPU and memory of containers may change; neither goes, and the quality of service stays."""
    if old.status.phase in ENDED:
        yield Cause("", "Pod has ended and cannot be resized", "FieldValueForbidden")
    for index, (before, after) in enumerate(zip(old.spec.containers, new.spec.containers, strict=True)):
        at = f"spec.containers[{index}].resources"
        pairs = (
            (f"{at}.limits", before.resources.limits, after.resources.limits),
            (f"{at}.requests", before.resources.requests, after.resources.requests),
        )
        for field, was, now in pairs:
            yield from _resources(field, was, now)
        restarts = {policy.resource_name for policy in after.resize_policy if policy.restart_policy != "NotRequired"}
        if old.spec.restart_policy == "Never" and restarts & _changed(pairs):
            text = "restartPolicy RestartContainer is not possible in a pod with restartPolicy Never"
            yield Cause(f"spec.containers[{index}].resizePolicy", text)
    if qos_class(old) != qos_class(new):
        text = f"Pod QOS Class may not change as a result of resizing (it is {qos_class(old)})"
        yield Cause("spec", text, "FieldValueInvalid")


def _changed(pairs: tuple[tuple[str, Mapping[str, str], Mapping[str, str]], ...]) -> set[str]:
    return {name for _, was, now in pairs for name in {**was, **now} if was.get(name) != now.get(name)}


def _resources(field: str, was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Cause]:
    for name in {**was, **now}:
        if was.get(name) == now.get(name):
            continue
        if name not in RESIZED:
            yield Cause(f"{field}.{name}", "only cpu and memory resources are mutable", "FieldValueForbidden")
        elif name not in now:
            yield Cause(
                f"{field}.{name}", f"resource {field.rpartition('.')[2]} cannot be removed", "FieldValueForbidden"
            )


RULES: dict[str, Callable[[Any, Any], Iterator[Cause]]] = {"ephemeralcontainers": ephemeral, "resize": resize}
