"""OCI `linux.memoryPolicy` (set_mempolicy(2)), `personality` (personality(2)) and the refusal of `intelRdt`."""

import os
from collections.abc import Mapping
from typing import Any, Final

from orchestr.runtime.plan import Builder
from orchestr.runtime.scheduler import bits
from orchestr.runtime.seam import RuntimeFailure

MODES: Final = {  # linux/mempolicy.h
    "MPOL_DEFAULT": 0, "MPOL_PREFERRED": 1, "MPOL_BIND": 2, "MPOL_INTERLEAVE": 3, "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5, "MPOL_WEIGHTED_INTERLEAVE": 6,
}  # fmt: skip
FLAGS: Final = {"MPOL_F_STATIC_NODES": 1 << 15, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_NUMA_BALANCING": 1 << 13}
_NODES: Final = 1024  # MAX_NUMNODES of the largest kernel
_DOMAINS: Final = {"LINUX": 0, "LINUX32": 8}  # PER_LINUX, PER_LINUX32


def apply(b: Builder, linux: Mapping[str, Any]) -> None:
    """Both are handed on by fork and execve. RuntimeFailure for what this machine does not do."""
    policy, persona = linux.get("memoryPolicy"), linux.get("personality")
    if policy:
        mode = MODES[str(policy["mode"])] | sum(FLAGS[str(flag)] for flag in set(policy.get("flags") or ()))
        nodes = str(policy.get("nodes") or "")
        mask = bits(nodes, _NODES, "/linux/memoryPolicy/nodes") if nodes else None
        # The kernel reads one bit less than it is told.
        size = len(mask) * 8 + 1 if mask else 0
        b.add(f"set /linux/memoryPolicy to {policy['mode']}", nodes, "set_mempolicy", mode, mask, size)
    if persona:
        if persona.get("flags"):
            raise RuntimeFailure("cannot use /linux/personality/flags: none is supported (leave them out)")
        domain = str(persona["domain"])
        b.add(f"set /linux/personality to {domain}", "", "personality", _DOMAINS[domain])
    if linux.get("intelRdt"):
        why = "not supported" if os.path.exists("/sys/fs/resctrl/schemata") else "no resctrl filesystem is mounted"
        raise RuntimeFailure(f"cannot use /linux/intelRdt: {why} (leave it out)", reason="StartError")
