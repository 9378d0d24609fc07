"""OCI LinuxResources: which controller each part needs, and setting it. One table, a file for each controller."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime.cgroups import (
    cpu,
    cpuset,
    devices,
    files,
    hugetlb,
    io,
    memory,
    network,
    pids,
    rdma,
    tree,
    unified,
)
from orchestr.runtime.cgroups.files import Setting
from orchestr.runtime.cgroups.layout import Layout, layout
from orchestr.runtime.seam import RuntimeFailure

Settings = Callable[[Mapping[str, Any]], Iterable[Setting]]


class Controller(NamedTuple):
    name: str
    wanted: Callable[[Mapping[str, Any]], str]  # pointer of what needs the controller, "" for nothing
    v1: Settings | None
    v2: Settings | None
    v1_name: str


def _same(module: Any) -> Controller:
    return Controller(module.CONTROLLER, module.wanted, module.both, module.both, module.CONTROLLER)


def _own(module: Any) -> Controller:
    return Controller(module.CONTROLLER, module.wanted, module.v1, module.v2, module.CONTROLLER)


CONTROLLERS: Final = (
    _own(cpu),
    _same(cpuset),
    _own(memory),
    _same(pids),
    Controller("io", io.wanted, None, None, "blkio"),  # its files depend on the scheduler: see _io
    _own(hugetlb),
    _same(rdma),
    Controller("net_cls", network.class_wanted, network.net_cls, None, "net_cls"),
    Controller("net_prio", network.priorities_wanted, network.net_prio, None, "net_prio"),
)


def update(path: str, resources: Mapping[str, Any]) -> None:
    """Sets what `resources` names; the rest stays. RuntimeFailure names the JSON pointer, the file and the cause."""
    found = layout()
    for controller in CONTROLLERS:
        version = found.controller(controller.name) or (1 if controller.v1_name in found.v1 else 0)
        if pointer := controller.wanted(resources):
            if not version:
                raise _missing(found, controller, pointer)
        elif not version:
            continue
        _set(found, controller, version, path, resources, pointer)
    devices.update(found, path, resources.get("devices") or ())
    unified.update(found, path, resources.get("unified") or {})


def _set(
    found: Layout, controller: Controller, version: int, path: str, resources: Mapping[str, Any], pointer: str
) -> None:
    name = controller.name if version == 2 else controller.v1_name
    directory = found.path(name, path)
    if controller.name == "io":
        settings = _io(version, directory, resources, pointer)
    else:
        source = controller.v2 if version == 2 else controller.v1
        settings = list(source(resources)) if source else []
    if not settings:
        return
    if name == "memory" and version == 2:
        memory.check_usage(directory, resources)
    if pointer and not _joined(directory, version, name):
        tree.join_late(path, name)
    if pointer or os.path.isdir(directory):  # a value that changes nothing needs no controller
        files.apply(directory, settings)


def _io(version: int, directory: str, resources: Mapping[str, Any], pointer: str) -> list[Setting]:
    if not pointer:
        return []
    if version == 2:
        return list(io.v2(resources, bfq=os.path.exists(f"{directory}/io.bfq.weight")))
    return list(io.v1(resources, bfq=not os.path.exists(f"{directory}/blkio.weight")))


def _joined(directory: str, version: int, name: str) -> bool:
    if version == 1:
        return os.path.isdir(directory)
    return name in files.read(f"{directory}/cgroup.controllers", name).split()


def _missing(found: Layout, controller: Controller, pointer: str) -> RuntimeFailure:
    why = "the kernel has no such controller, or it is not mounted"
    if found.pure:
        why = f"cgroup v2 has {' '.join(sorted(found.v2_controllers))}"
    if controller.v2 is None and controller.name != "io" and found.pure:
        why = f"cgroup v2 has no {controller.name}"
    return RuntimeFailure(
        f"cannot set /linux/resources/{pointer}: the requested cgroup controller `{controller.v1_name}` is not "
        f"available ({why})",
        reason="StartError",
    )
