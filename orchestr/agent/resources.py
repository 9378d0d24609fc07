"""Requests and limits as OCI LinuxResources (runtime-spec config-linux.md)."""

import json
import os
import stat
from collections.abc import Mapping
from typing import Any

from orchestr.agent.failure import ConfigFailure
from orchestr.api.core import Container, Pod
from orchestr.api.qos import qos_class
from orchestr.api.quantity import milli, whole

PERIOD = 100_000  # microseconds of a CPU quota period, the kernel's default
PIDS = "orchestr.dev/pids"
EXTRA = "orchestr.dev/resources"  # annotation: LinuxResources as JSON, over what the fields say; devices by path
OOM_SCORE = "orchestr.dev/oom-score-adj"
HUGE_PAGES = "hugepages-"  # hugepages-2Mi
DEFAULT_PIDS = 4096  # a container without a limit cannot exhaust the machine's process table


def linux_resources(container: Container, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """OCI resources of one container. Memory limits hold for memory and swap together.

    Who requests nothing competes for the processor as everybody else does; a limit alone must not starve it.
    ConfigFailure when the pod's annotation cannot be used.
    """
    limits, requests = container.resources.limits, container.resources.requests
    cpu: dict[str, int] = {}
    if "cpu" in limits:
        cpu |= {"quota": max(milli(limits["cpu"]) * PERIOD // 1000, 1000), "period": PERIOD}
    requested = milli(requests.get("cpu") or limits.get("cpu") or "0")
    if requested:
        cpu["shares"] = max(requested * 1024 // 1000, 2)
    memory: dict[str, int] = {}
    if "memory" in limits:
        memory = {"limit": whole(limits["memory"]), "swap": whole(limits["memory"])}
    pages = [
        {"pageSize": _page_size(name), "limit": whole(value)}
        for name, value in limits.items()
        if name.startswith(HUGE_PAGES)
    ]
    found = {
        **({"cpu": cpu} if cpu else {}),
        **({"memory": memory} if memory else {}),
        **({"hugepageLimits": pages} if pages else {}),
        "pids": {"limit": whole(limits[PIDS]) if PIDS in limits else DEFAULT_PIDS},
    }
    return _over(found, _extra(annotations[EXTRA])) if annotations and EXTRA in annotations else found


def _page_size(name: str) -> str:
    """hugepages-2Mi as the kernel's files say it: 2MB."""
    return name.removeprefix(HUGE_PAGES).replace("i", "") + "B"


def _over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        present = merged.get(key)
        merged[key] = {**present, **value} if isinstance(present, dict) and isinstance(value, dict) else value
    return merged


def _extra(text: str) -> dict[str, Any]:
    """Devices may be named by path; their numbers are looked up here, where the container will run."""
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"{text!r} is not an object")
        block = found.get("blockIO") or {}
        for key, items in block.items():
            if isinstance(items, list):
                block[key] = [_numbered(item) for item in items]
    except (ValueError, OSError, AttributeError) as error:
        raise ConfigFailure(f"cannot read annotation {EXTRA}: {error} (give LinuxResources as JSON)") from error
    _check(found)
    return found


def _check(resources: Mapping[str, Any]) -> None:
    from orchestr.runtime.oci.config import check_resources  # a long table that few pods need
    from orchestr.runtime.seam import RuntimeFailure

    try:
        check_resources(resources, f"annotation {EXTRA}")
    except RuntimeFailure as error:
        raise ConfigFailure(str(error)) from error


def _numbered(item: Mapping[str, Any]) -> dict[str, Any]:
    if "path" not in item:
        return dict(item)
    status = os.stat(str(item["path"]))
    if not stat.S_ISBLK(status.st_mode):
        raise ValueError(f"{item['path']} is not a block device")
    rest = {key: value for key, value in item.items() if key != "path"}
    return {**rest, "major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}


def oom_score(pod: Pod) -> int:
    """oom_score_adj: what is promised least is killed first (kubelet's rule, Burstable simplified to its middle)."""
    given = pod.metadata.annotations.get(OOM_SCORE)
    if given is None:
        return {"Guaranteed": 0, "Burstable": 500}.get(qos_class(pod), 1000)
    if not given.removeprefix("-").isdecimal() or not -1000 <= int(given) <= 1000:
        raise ConfigFailure(f"cannot read annotation {OOM_SCORE}: {given!r} is not a number from -1000 to 1000")
    return int(given)
