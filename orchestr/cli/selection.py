"""Which services of a project a command is about, and what a Stack becomes when only some are. Pure: wire specs."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

Spec = Mapping[str, Any]
BESIDE = ("networks", "volumes", "secrets", "configs")


def needed(service: Spec) -> Mapping[str, Spec]:
    found: Mapping[str, Spec] = service.get("depends_on") or {}
    return found


def with_dependencies(services: Mapping[str, Spec], names: Iterable[str]) -> list[str]:
    """The named services and all that they wait for, in the order of `services`."""
    found: set[str] = set()
    todo = [name for name in names if name in services]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += [each for each in needed(services[name]) if each in services]
    return [name for name in services if name in found]


def levels(services: Mapping[str, Spec], names: Collection[str]) -> list[list[str]]:
    """The named services: each level waits only for those before it. What waits in a circle is one level."""
    left, found = [name for name in services if name in names], []
    while left:
        level = [name for name in left if not any(each in left for each in far(services, name))] or left
        found.append(level)
        left = [name for name in left if name not in level]
    return found


def far(services: Mapping[str, Spec], name: str) -> list[str]:
    """All that a service waits for, also by way of others."""
    return [each for each in with_dependencies(services, [name]) if each != name]


def merged(
    wanted: Spec, stored: Spec, chosen: Collection[str], *, recreate: bool = True, stay: Collection[str] = ()
) -> dict[str, Any]:
    """The spec with the chosen services of the file; all others stay as they are stored, or are left out.

    Without `recreate` chosen ones that are there stay as they are, too. `stay`: those that stay though the file does
    not know them. An edge to a service that is not there at all is dropped.
    """
    before, there = stored.get("services") or {}, wanted.get("services") or {}
    kept = {
        name: service
        for name, service in before.items()
        if (name not in chosen or not recreate) and (name in there or name in stay)
    }
    services = {name: kept.get(name, there[name]) for name in there if name in kept or name in chosen} | kept
    services = {name: _without(service, services) for name, service in services.items()}
    beside = {kind: ({**(stored.get(kind) or {})} if kept else {}) | {**(wanted.get(kind) or {})} for kind in BESIDE}
    return {"services": services, **{kind: entries for kind, entries in beside.items() if entries}}


def _without(service: Spec, there: Collection[str]) -> Spec:
    left = {name: edge for name, edge in needed(service).items() if name in there}
    if len(left) == len(needed(service)):
        return service
    rest = {key: value for key, value in service.items() if key != "depends_on"}
    return {**rest, "depends_on": left} if left else rest


def scaled(spec: Spec, counts: Mapping[str, int]) -> dict[str, Any]:
    """The spec with other numbers of replicas."""
    services = dict(spec["services"])
    for name, count in counts.items():
        services[name] = {**services[name], "deploy": {**(services[name].get("deploy") or {}), "replicas": count}}
    return {**spec, "services": services}
