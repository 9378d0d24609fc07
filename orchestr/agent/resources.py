"""Requests and limits as OCI LinuxResources (runtime-spec config-linux.md), and the pod's quality of service."""

from collections.abc import Iterable
from typing import Any

from orchestr.api.core import Container, Pod
from orchestr.api.quantity import milli, whole

PERIOD = 100_000  # microseconds of a CPU quota period, the kernel's default
PIDS = "orchestr.dev/pids"
DEFAULT_PIDS = 4096  # a container without a limit cannot exhaust the machine's process table


def linux_resources(container: Container) -> dict[str, Any]:
    """OCI resources of one container. Memory limits hold for memory and swap together.

    Who requests nothing competes for the processor as everybody else does; a limit alone must not starve it.
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
    return {
        **({"cpu": cpu} if cpu else {}),
        **({"memory": memory} if memory else {}),
        "pids": {"limit": whole(limits[PIDS]) if PIDS in limits else DEFAULT_PIDS},
    }


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort, by Kubernetes' rule."""
    every = [*pod.spec.init_containers, *pod.spec.containers]
    if not any(_both(container) for container in every):
        return "BestEffort"
    guaranteed = all(
        all(
            c.resources.limits.get(what)
            and c.resources.requests.get(what, c.resources.limits[what]) == c.resources.limits[what]
            for what in ("cpu", "memory")
        )
        for c in every
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _both(container: Container) -> Iterable[str]:
    return [
        key
        for table in (container.resources.limits, container.resources.requests)
        for key in table
        if key in ("cpu", "memory")
    ]


def oom_score(pod: Pod) -> int:
    """oom_score_adj: what is promised least is killed first (kubelet's rule, Burstable simplified to its middle)."""
    return {"Guaranteed": 0, "Burstable": 500}.get(qos_class(pod), 1000)
