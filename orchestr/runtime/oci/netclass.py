"""OCI `linux.resources.network` of a bundle on cgroup v2: in which network namespace (see runtime/netclass.py)."""

import os
from collections.abc import Mapping
from typing import Any

from orchestr.runtime import netclass


def wanted(config: Mapping[str, Any]) -> bool:
    """Whether there is something for nftables to do."""
    return netclass.wanted((config.get("linux") or {}).get("resources") or {})


def apply(config: Mapping[str, Any], cgroup: str, pid: int) -> None:
    """In the network namespace of process `pid`. RuntimeFailure with the kernel's reason."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        netclass.apply(config["linux"]["resources"], cgroup, fd)
    finally:
        os.close(fd)


def remove(config: Mapping[str, Any], cgroup: str) -> None:
    """A namespace of the container's own takes its table along; from another one it is taken out."""
    if not wanted(config) or not cgroup:
        return
    found = next((item for item in config["linux"].get("namespaces") or () if item.get("type") == "network"), None)
    if found is not None and not found.get("path"):
        return
    fd = -1
    try:
        if found is not None:
            fd = os.open(found["path"], os.O_RDONLY | os.O_CLOEXEC)
        netclass.remove(cgroup, fd)
    except FileNotFoundError:
        return  # the namespace is gone with all that was in it
    finally:
        if fd >= 0:
            os.close(fd)
