"""cpuset: which CPUs and memory nodes. A v1 child starts with none; it must get its parent's before it takes a task."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.runtime.cgroups.files import read, write

KEY = "cpu"  # of OCI LinuxResources: cpus and mems stand there


def wanted(cpu: Mapping[str, Any]) -> bool:
    return bool(cpu.get("cpus") or cpu.get("mems"))


def both(cpu: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if cpu.get("cpus"):
        yield "cpuset.cpus", str(cpu["cpus"])
    if cpu.get("mems"):
        yield "cpuset.mems", str(cpu["mems"])


def inherit_v1(parent: str, directory: str) -> None:
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not read(f"{directory}/{file}").strip():
            write(f"{directory}/{file}", read(f"{parent}/{file}").strip())
