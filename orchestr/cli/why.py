"""Why something is not ready and what happens next, from wire objects alone. Shared by status, describe and apply."""

from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]
BAD = ("Failed", "FailureTarget", "ReplicaFailure", "Suspended")  # conditions that are bad news when they hold


def pod_why(pod: Object) -> str:
    """One sentence, "" when all is well."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "stopping"
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("message"):
            return f"{container['name']}: {waiting['message']}"
    for container in status.get("containerStatuses") or []:
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f"{container['name']}: {ended_text(ended)}"
    for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready"):
        for condition in status.get("conditions") or []:
            if condition["type"] == kind and condition["status"] != "True" and condition.get("message"):
                return str(condition["message"])
    if status.get("phase") == "Failed":
        return str(status.get("message") or status.get("reason") or "failed")
    return ""


def ended_text(ended: Object) -> str:
    """Of a terminated state: "exit code 3", "OOMKilled: out of memory (...)"."""
    reason, message = ended.get("reason"), ended.get("message")
    words = f"exit code {ended.get('exitCode')}"
    if reason in ("OOMKilled", "ContainerStatusUnknown", "StartError"):
        words = str(reason)
    return f"{words}: {message}" if message else words


def workload_why(obj: Object) -> str:
    """Of a Deployment, ReplicaSet or Job: the condition that says it is not well."""
    for condition in (obj.get("status") or {}).get("conditions") or []:
        bad = condition["status"] == ("True" if condition["type"] in BAD else "False")
        if bad and condition["type"] != "Available":
            return str(condition.get("message") or condition.get("reason") or condition["type"])
    return ""


def ready(pod: Object) -> bool:
    return any(
        c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions") or []
    )


def owned(obj: Object) -> tuple[str, str] | None:
    """(kind, uid) of the controller."""
    for owner in obj["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return str(owner["kind"]), str(owner["uid"])
    return None
