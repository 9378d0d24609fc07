"""unified: files of cgroup v2 by name, for what LinuxResources has no word of its own."""

import os
from collections.abc import Mapping
from typing import Any, Final

from orchestr.runtime.cgroups import files
from orchestr.runtime.cgroups.files import Setting
from orchestr.runtime.cgroups.layout import Layout
from orchestr.runtime.seam import RuntimeFailure

_LINES: Final = ("io.max", "io.weight", "io.bfq.weight", "io.latency", "rdma.max", "misc.max")  # one write a device


def update(found: Layout, path: str, values: Mapping[str, Any]) -> None:
    directory = f"{found.v2}/{path}"
    for name, value in values.items():
        check(found, directory, name)
        text = str(value)
        for part in text.splitlines() if name in _LINES else (text,):
            files.apply(directory, (Setting(f"unified/{name}", name, part),))


def check(found: Layout, directory: str, name: str) -> None:
    where = f"cannot set /linux/resources/unified/{name}"
    if "/" in name:
        raise RuntimeFailure(f"{where}: not the name of a file (leave the slash out)")
    controller, dot, rest = name.partition(".")
    if not (controller and dot and rest):
        raise RuntimeFailure(f"{where}: the specified key has not the form CONTROLLER.VALUE `{name}` (see cgroups(7))")
    if not found.v2:
        raise RuntimeFailure(f"{where}: invalid configuration: cgroup v2 is not mounted (use the limits by name)")
    if controller != "cgroup" and controller not in found.v2_controllers:
        why = "invalid configuration: cgroup v1 has it" if controller in found.v1 else "it is not in the v2 tree"
        raise RuntimeFailure(f"{where}: the requested cgroup controller `{controller}` is not available ({why})")
    if not os.path.exists(f"{directory}/{name}"):
        raise RuntimeFailure(f"{where}: controller `{controller}` has no such file (is the kernel new enough?)")
