"""cpuset: which CPUs and memory nodes. A v1 child starts with none; it must get its parent's before it takes a task."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestr.runtime.cgroups.files import Setting, must_write, read

CONTROLLER: Final = "cpuset"


def wanted(resources: Mapping[str, Any]) -> str:
    cpu = resources.get("cpu") or {}
    return next((f"cpu/{key}" for key in ("cpus", "mems") if cpu.get(key)), "")


def both(resources: Mapping[str, Any]) -> Iterator[Setting]:
    cpu = resources.get("cpu") or {}
    for key in ("cpus", "mems"):
        if cpu.get(key):
            yield Setting(f"cpu/{key}", f"cpuset.{key}", str(cpu[key]))


def inherit_v1(parent: str, directory: str) -> None:
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not read(f"{directory}/{file}").strip():
            must_write(f"{directory}/{file}", read(f"{parent}/{file}").strip())
