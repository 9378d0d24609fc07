"""A pod's status from what is known of its containers. Pure; worker.py writes it when it differs from the stored."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from orchestr.agent.runs import Run, oom_text, signal_name
from orchestr.api.base import Condition
from orchestr.api.container import EphemeralContainer
from orchestr.api.core import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Pod,
    PodIP,
    PodStatus,
)
from orchestr.runtime.seam import Container as Record

NOT_STARTED = 128  # what Kubernetes writes when there never was a process
UNKNOWN_EXIT = 137  # what Kubernetes writes, with reason ContainerStatusUnknown, when nobody saw the exit


def moment(seconds: float | None) -> datetime | None:
    """In whole seconds, as stored."""
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC)


def fine_moment(seconds: float | None) -> datetime | None:
    """To the microsecond, as stored."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def terminated(record: Record) -> ContainerStateTerminated:
    """How a run ended: reason is Completed, Error, OOMKilled, ContainerStatusUnknown or StartError."""
    reason, message = "Completed" if record.exit_code == 0 else "Error", record.message or None
    if record.oom is not None:
        reason, message = "OOMKilled", oom_text(record)
    elif record.exit_code is None:
        reason, message = "ContainerStatusUnknown", record.message or "the exit could not be seen by anybody"
    elif record.signal:
        message = message or f"ended by {signal_name(record.signal)}"
    return ContainerStateTerminated(
        exit_code=UNKNOWN_EXIT if record.exit_code is None else record.exit_code,
        signal=record.signal or None,
        reason=reason,
        message=message,
        started_at=moment(record.started_at),
        finished_at=moment(record.finished_at),
        container_id=f"orch://{record.id}",
    )


def container_state(run: Run | None, now: float, *, waits: bool, waiting: tuple[str, str] = ("", "")) -> ContainerState:
    """`waits`: another run will follow, so an ended run shows as waiting for it."""
    if run is None:
        return ContainerState(
            waiting=ContainerStateWaiting(reason=waiting[0] or "ContainerCreating", message=waiting[1] or None)
        )
    record = run.record
    if record is not None and record.status == "running":
        return ContainerState(running=ContainerStateRunning(started_at=fine_moment(record.started_at)))
    if waits:
        return ContainerState(waiting=_back_off(run, waiting))
    if record is None:
        return ContainerState(
            terminated=ContainerStateTerminated(
                exit_code=run.exit_code or NOT_STARTED, reason=run.reason or "StartError", message=run.message
            )
        )
    return ContainerState(terminated=terminated(record))


def _back_off(run: Run, waiting: tuple[str, str]) -> ContainerStateWaiting:
    if waiting[0]:
        return ContainerStateWaiting(reason=waiting[0], message=waiting[1] or None)
    due = datetime.fromtimestamp(run.not_before, UTC).strftime("%H:%M:%SZ")
    tries = run.backoff.failures + 1 if run.record is None else run.attempt + 2
    text = f"{run.outcome}; next try at {due} (try {tries})"
    return ContainerStateWaiting(
        reason=run.reason if run.record is None and run.reason else "CrashLoopBackOff", message=text
    )


def container_status(
    pod: Pod, container: Container, run: Run | None, now: float, *, init: bool, waiting: tuple[str, str]
) -> ContainerStatus:
    ephemeral = isinstance(container, EphemeralContainer)
    again = run is not None and run.exited and not ephemeral and _again(pod, run, init=init)
    has = run.resources if run and run.running else None
    has = has if has and (has.limits or has.requests) else None
    previous = None if run is None else (run.record or run.previous) if again else run.previous
    return ContainerStatus(
        name=container.name,
        image=(run.image if run else "") or container.image or "",
        image_id=run.image_id if run else "",
        container_id=f"orch://{run.id}" if run and run.record else None,
        ready=bool(run and not ephemeral and (run.succeeded if init else run.running and run.ready)),
        started=bool(run and run.running and run.started),
        restart_count=run.attempt if run else 0,
        state=container_state(run, now, waits=again, waiting=waiting),
        resources=has,
        allocated_resources=has.requests if has else {},
        last_state=ContainerState(
            terminated=terminated(previous) if previous and previous.status == "exited" else None
        ),
    )


def _again(pod: Pod, run: Run, *, init: bool) -> bool:
    if pod.metadata.deleting:
        return False
    if pod.spec.restart_policy == "Always":
        return not (init and run.succeeded)
    return pod.spec.restart_policy == "OnFailure" and not run.succeeded


def pod_status(
    pod: Pod,
    runs: Mapping[str, Run],
    *,
    now: float,
    ips: Sequence[str],
    host_ip: str,
    phase: str,
    reason: str = "",
    message: str = "",
    waiting: tuple[str, str] = ("", ""),
    resize: Condition | None = None,
) -> PodStatus:
    """`waiting`: reason and message for the container whose turn it is and which cannot start yet."""
    init = tuple(
        container_status(pod, c, runs.get(c.name), now, init=True, waiting=waiting) for c in pod.spec.init_containers
    )
    main = tuple(
        container_status(pod, c, runs.get(c.name), now, init=False, waiting=waiting) for c in pod.spec.containers
    )
    initialized = all(status.ready for status in init)
    unready = [status.name for status in main if not status.ready]
    done = phase in ("Succeeded", "Failed")
    why = "PodCompleted" if done else "ContainersNotReady"
    text = _unready(unready, runs) if unready and not done else None
    old = pod.status.conditions if pod.status else ()
    fresh = (
        Condition(type="PodScheduled", status="True"),
        Condition(type="Initialized", status=_word(initialized)),
        Condition(type="ContainersReady", status=_word(not unready), reason=why if unready else None, message=text),
        Condition(type="Ready", status=_word(not unready), reason=why if unready else None, message=text),
    )
    return PodStatus(
        phase=phase,
        reason=reason or None,
        message=message or None,
        conditions=(*(stamped(condition, old, now) for condition in fresh), *((resize,) if resize else ())),
        host_ip=host_ip or None,
        pod_ip=ips[0] if ips else None,
        pod_ips=tuple(PodIP(ip=ip) for ip in ips),
        start_time=(pod.status.start_time if pod.status else None) or moment(now),
        init_container_statuses=init,
        container_statuses=main,
        ephemeral_container_statuses=tuple(
            container_status(pod, c, runs.get(c.name), now, init=False, waiting=("", ""))
            for c in pod.spec.ephemeral_containers
        ),
        qos_class=pod.status.qos_class if pod.status else None,
        observed_generation=pod.metadata.generation,
    )


def _unready(names: Sequence[str], runs: Mapping[str, Run]) -> str:
    """What the probes say; else which containers are not ready."""
    told = {name: run.message for name in names if (run := runs.get(name)) and run.running and run.message}
    if len(names) == 1 and told:
        return told[names[0]]
    text = f"containers with unready status: [{' '.join(names)}]"
    return "; ".join([text, *(f"{name}: {message}" for name, message in told.items())])


def stamped(condition: Condition, old: Sequence[Condition], now: float) -> Condition:
    """The condition with the time since when it has this status."""
    before = next((known for known in old if known.type == condition.type), None)
    same = before is not None and before.status == condition.status
    since = before.last_transition_time if same and before else moment(now)
    return condition.but(last_transition_time=since)


def _word(value: bool) -> str:
    return "True" if value else "False"
