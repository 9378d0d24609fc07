"""What a Pod's row says: Kubernetes' one-word summary of a pod's state, and its neighbours. Pure.

Source: the behaviour of pkg/printers/internalversion for Pod.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestr.server.age import parsed, since
from orchestr.server.columns import Wire, at

Statuses = Sequence[Mapping[str, Any]]


def _statuses(pod: Wire, field: str) -> Statuses:
    found: Statuses = at(pod, "status", field, default=())
    return found


def _sidecars(pod: Wire) -> set[str]:
    """Init containers that go on running beside the others."""
    return {c["name"] for c in at(pod, "spec", "initContainers", default=()) if c.get("restartPolicy") == "Always"}


def _running(pod: Wire) -> Statuses:
    """The statuses that count for ready and restarts once initialisation is over."""
    sidecars = _sidecars(pod)
    kept = [status for status in _statuses(pod, "initContainerStatuses") if status["name"] in sidecars]
    return [*kept, *_statuses(pod, "containerStatuses")]


def ready(pod: Wire, now: datetime) -> str:
    total = len(at(pod, "spec", "containers", default=())) + len(_sidecars(pod))
    return f"{sum(bool(s.get('ready')) and bool(at(s, 'state', 'running')) for s in _running(pod))}/{total}"


def _condition(pod: Wire, type_: str) -> Mapping[str, Any]:
    return next((c for c in at(pod, "status", "conditions", default=()) if c.get("type") == type_), {})


def state(pod: Wire, now: datetime) -> str:
    reason = _initialising(pod) or _of_containers(pod)
    if at(pod, "metadata", "deletionTimestamp") and at(pod, "status", "reason") == "NodeLost":
        return "Unknown"
    if at(pod, "metadata", "deletionTimestamp") and at(pod, "status", "phase") not in ("Succeeded", "Failed"):
        return "Terminating"
    return reason


def _phase(pod: Wire) -> str:
    if (gated := _condition(pod, "PodScheduled")).get("reason") == "SchedulingGated":
        return str(gated["reason"])
    return str(at(pod, "status", "reason") or at(pod, "status", "phase", default="Unknown"))


def _initialising(pod: Wire) -> str:
    """`Init:1/2` and the like while init containers run; "" when they are done."""
    total, sidecars = len(at(pod, "spec", "initContainers", default=())), _sidecars(pod)
    for index, status in enumerate(_statuses(pod, "initContainerStatuses")):
        ended = at(status, "state", "terminated")
        if (ended and ended.get("exitCode") == 0) or (status["name"] in sidecars and status.get("started")):
            continue
        if ended:
            return f"Init:{_end(ended)}"
        waiting = at(status, "state", "waiting", "reason", default="")
        return f"Init:{waiting}" if waiting and waiting != "PodInitializing" else f"Init:{index}/{total}"
    return ""


def _end(ended: Mapping[str, Any]) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _of_containers(pod: Wire) -> str:
    reason, running = _phase(pod), False
    for status in reversed(_statuses(pod, "containerStatuses")):
        waiting, ended = at(status, "state", "waiting", "reason"), at(status, "state", "terminated")
        if waiting:
            reason = str(waiting)
        elif ended:
            reason = _end(ended)
        elif status.get("ready") and at(status, "state", "running"):
            running = True
    if reason == "Completed" and running:
        return "Running" if _condition(pod, "Ready").get("status") == "True" else "NotReady"
    return reason


def restarts(pod: Wire, now: datetime) -> str:
    counted = _running(pod)
    if _initialising(pod):
        counted = [*_statuses(pod, "initContainerStatuses")]
    total = sum(int(status.get("restartCount", 0)) for status in counted)
    ends = [at(status, "lastState", "terminated", "finishedAt") for status in counted]
    times = [(when, end) for end in ends if (when := parsed(end))]
    return f"{total} ({since(max(times)[1], now)} ago)" if total and times else str(total)


def gates(pod: Wire, now: datetime) -> str:
    wanted = [gate.get("conditionType") for gate in at(pod, "spec", "readinessGates", default=())]
    if not wanted:
        return "<none>"
    return f"{sum(_condition(pod, str(name)).get('status') == 'True' for name in wanted)}/{len(wanted)}"


def row_conditions(pod: Wire) -> list[dict[str, str]]:
    """metav1.TableRowCondition of a pod that has ended, so that clients may hide it."""
    phase = at(pod, "status", "phase")
    said = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}.get(phase)
    return [{"type": "Completed", "status": "True", "reason": phase, "message": said}] if said else []
