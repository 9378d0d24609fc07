"""Making a cgroup: in which hierarchies, and with what limits."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from orchestr.runtime.cgroups import freezer, limits, tree
from orchestr.runtime.cgroups.layout import Layout, layout
from orchestr.runtime.seam import RuntimeFailure

# v1 hierarchies that every container is in, for its statistics; each one more costs a launch 0.2 ms.
_ALWAYS: Final = ("cpu", "cpuacct", "memory", "pids", "blkio")
_V2: Final = ("cpu", "cpuset", "io", "memory", "pids")
_V2_MORE: Final = ("hugetlb", "rdma", "misc")


def create(path: str, resources: Mapping[str, Any], *, every: bool = False, owner: int = -1) -> None:
    """Makes the cgroup with its parents and sets its limits; removes it again when one is refused.

    `every`: in every v1 hierarchy, with parents that go when they are empty; otherwise only where it has limits or
    figures, which is what makes a launch fast. `owner`: the host id that may make cgroups of its own below it (v2).
    """
    tree.checked(path)
    found = layout()
    try:
        for base in _bases(found, resources, every):
            tree.make(base, path, is_cpuset=base == found.v1.get("cpuset"), mark=every)
        if found.v2:
            tree.make_v2(found, path, [*_V2, *(_V2_MORE if every else _needed(resources))], mark=every)
        limits.update(path, resources)
        if owner >= 0 and found.pure:
            tree.delegate(f"{found.v2}/{path}", owner)
    except OSError as error:
        with suppress(OSError):
            tree.remove(path)
        raise RuntimeFailure(
            f"cannot make cgroup {error.filename or path}: {error.strerror} (root is needed; is there a limit?)"
        ) from error
    except RuntimeFailure:
        with suppress(OSError):
            tree.remove(path)
        raise


def refuse_used(path: str) -> None:
    """RuntimeFailure when the cgroup has processes, or is frozen; an empty one is nobody's."""
    there = next(tree.directories(path), None)
    if there is None:
        return
    if inside := tree.processes(path):
        raise RuntimeFailure(
            f"cannot use cgroup {path}: container's cgroup is not empty: {len(inside)} process(es) found "
            "(give another /linux/cgroupsPath)"
        )
    if freezer.frozen(path):
        raise RuntimeFailure(f"cannot use cgroup {path}: container's cgroup unexpectedly frozen (thaw it)")


def _needed(resources: Mapping[str, Any]) -> Iterable[str]:
    return (each.name for each in limits.CONTROLLERS if each.name in _V2_MORE and each.wanted(resources))


def _bases(found: Layout, resources: Mapping[str, Any], every: bool) -> list[str]:
    """v1 mount points, each once: cpu and cpuacct often share one."""
    names = set(found.v1) if every else {*_ALWAYS, *_wanted_v1(found, resources)}
    return list(dict.fromkeys(base for name, base in found.v1.items() if name in names and found.controller(name) == 1))


def _wanted_v1(found: Layout, resources: Mapping[str, Any]) -> Iterator[str]:
    if not found.v2:
        yield from ("devices", "freezer")
    for each in limits.CONTROLLERS:
        if each.v1_name not in _ALWAYS and each.wanted(resources):
            yield each.v1_name
