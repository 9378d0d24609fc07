"""What a Stack's status says: a row for each service, and the conditions Ready and Failed. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from controllers.deployment import template_hash
from orchestr.api.apps import POD_TEMPLATE_HASH, Deployment
from orchestr.api.base import Condition
from orchestr.api.batch import Job
from orchestr.api.core import Pod
from orchestr.api.labels import SERVICE
from orchestr.api.stack import Service, ServiceStatus, Stack, StackStatus
from orchestr.engine.conditions import condition, with_condition
from orchestr.graph import trouble
from orchestr.manifest.compose.compiler import names

PENDING, PROGRESSING, RUNNING, COMPLETE, FAILED = "Pending", "Progressing", "Running", "Complete", "Failed"
STOPPED = "Stopped"
Workload = Deployment | Job


Mark = tuple[str | None, ...]  # resourceVersions of what a row was made from
Rows = dict[str, tuple[Mark, ServiceStatus]]  # by service


def status(
    stack: Stack,
    workloads: Mapping[str, Workload],
    pods: Sequence[Pod],
    refused: str | None,
    now: datetime,
    known: Rows,
) -> StackStatus:
    """`workloads` by name, as they should be; one that is about to be replaced is missing.

    `known` holds the rows of the last look: what has not changed since is not looked at again.
    """
    by_service: dict[str, list[Pod]] = {}
    for pod in pods:
        by_service.setdefault(pod.metadata.labels.get(SERVICE, ""), []).append(pod)
    rows = tuple(
        _row(key, name, stack, workloads.get(name), by_service.get(name, []), known)
        for key, name in names(stack.spec).services.items()
    )
    conditions = stack.status.conditions
    for new in _conditions(rows, refused, stack.metadata.generation):
        conditions = with_condition(conditions, new, now)
    return StackStatus(observed_generation=stack.metadata.generation, services=rows, conditions=conditions)


def _conditions(rows: Sequence[ServiceStatus], refused: str | None, generation: int | None) -> tuple[Condition, ...]:
    failed = [f"{row.name}: {row.message or row.reason or 'failed'}" for row in rows if row.phase == FAILED]
    if refused:
        failed.append(refused)
    waiting = [row.name for row in rows if row.phase not in (RUNNING, COMPLETE, STOPPED)]
    ready = not waiting and not refused
    reason = "ServiceFailed" if failed and not refused else "Refused" if refused else "AsExpected"
    text = "" if ready else "; ".join(failed) if refused else f"waiting for {', '.join(waiting)}"
    return (
        _condition("Ready", ready, "AllReady" if ready else "NotReady", text, generation),
        _condition("Failed", bool(failed), reason, "; ".join(failed), generation),
    )


def _condition(type: str, true: bool, reason: str, message: str, generation: int | None) -> Condition:
    return Condition(
        type=type,
        status="True" if true else "False",
        reason=reason,
        message=message or None,
        observed_generation=generation,
    )


def _row(
    key: str, name: str, stack: Stack, workload: Workload | None, pods: Sequence[Pod], known: Rows
) -> ServiceStatus:
    sources = [obj.metadata.resource_version for obj in (workload, *pods) if obj is not None]
    mark = (str(stack.metadata.generation), workload.metadata.uid if workload else None, *sources)
    if key not in known or known[key][0] != mark:
        known[key] = mark, service_status(key, name, stack, workload, pods)
    return known[key][1]


def service_status(key: str, name: str, stack: Stack, workload: Workload | None, pods: Sequence[Pod]) -> ServiceStatus:
    service = stack.spec.services[key]
    if key in stack.spec.stopped:
        return _stopped(key, name, service, pods)
    alive = _current(workload, [pod for pod in pods if not pod.metadata.deleting])
    phase, reason, message = _phase(workload, alive)
    if phase not in (RUNNING, COMPLETE, FAILED) and not message:
        why, message = _why(alive)
        reason = why or reason
    why, _, then = (message or "").partition("; next try ")
    return ServiceStatus(
        name=key,
        workload=f"{'deployment' if service.restarting else 'job'}/{name}",
        ready=sum(pod.ready for pod in alive),
        desired=workload.spec.replicas if isinstance(workload, Deployment) else service.desired,
        restarts=sum(each.restart_count for pod in alive for each in pod.status.container_statuses),
        phase=phase,
        reason=reason,
        message=why or None,
        next=f"next try {then}" if then else None,
    )


def _stopped(key: str, name: str, service: Service, pods: Sequence[Pod]) -> ServiceStatus:
    left = [pod for pod in pods if not pod.finished]
    return ServiceStatus(
        name=key,
        workload=f"{'deployment' if service.restarting else 'job'}/{name}",
        phase=PROGRESSING if left else STOPPED,
        reason="Stopping" if left else None,
    )


def _current(workload: Workload | None, pods: Sequence[Pod]) -> Sequence[Pod]:
    """The pods that count: not those of a template that is being replaced, whose trouble may be why it is."""
    if not any(each.restart_count for pod in pods if not pod.ready for each in pod.status.container_statuses):
        return pods
    if workload is None:
        return [pod for pod in pods if pod.ready]
    if isinstance(workload, Job):
        return pods
    mark = template_hash(workload)
    return [pod for pod in pods if pod.ready or pod.metadata.labels.get(POD_TEMPLATE_HASH) == mark]


def _phase(workload: Workload | None, pods: Sequence[Pod]) -> tuple[str, str | None, str | None]:
    """(phase, reason, message) as far as the workload itself tells."""
    if workload is None:
        return PENDING, "NotCreated", None
    if isinstance(workload, Job):
        return _job_phase(workload, pods)
    seen, wanted = workload.status, workload.spec.replicas
    progressing = condition(seen.conditions, "Progressing")
    current = seen.observed_generation == workload.metadata.generation
    if current and progressing and progressing.status == "False":
        return FAILED, progressing.reason, _or(_why(pods)[1], progressing.message)
    done = (seen.replicas or 0, seen.updated_replicas or 0, seen.available_replicas or 0) == (wanted,) * 3
    if current and done:
        return RUNNING, None, None
    failure = condition(seen.conditions, "ReplicaFailure")
    if failure and failure.status == "True":
        return PROGRESSING, failure.reason, failure.message
    return (PROGRESSING if pods else PENDING), None, None


def _job_phase(job: Job, pods: Sequence[Pod]) -> tuple[str, str | None, str | None]:
    if job.status.has("Complete"):
        return COMPLETE, None, None
    failed = condition(job.status.conditions, "Failed")
    if failed and failed.status == "True":
        return FAILED, failed.reason, _or(_ended(pods), failed.message)
    if any(pod.ready for pod in pods):
        return RUNNING, None, None
    return (PROGRESSING if pods else PENDING), None, None


def _or(first: str | None, second: str | None) -> str | None:
    return first or second


def _ended(pods: Sequence[Pod]) -> str | None:
    """How the last container of a failed job ended: `exited with 1 (Error)`."""
    for pod in reversed(pods):
        for each in pod.status.container_statuses:
            ended = each.state.terminated or each.last_state.terminated
            if ended and ended.exit_code:
                why = ended.message or ended.reason
                return f"exited with {ended.exit_code}{f' ({why})' if why else ''}"
    return None


def _why(pods: Sequence[Pod]) -> tuple[str | None, str | None]:
    """(reason, message) of the first pod that is not ready."""
    for pod in pods:
        if pod.ready or not (text := trouble(pod)):
            continue
        waiting = [each.state.waiting.reason for each in pod.status.container_statuses if each.state.waiting]
        gated = pod.status.condition("PodScheduled")
        return next(filter(None, waiting), gated.reason if gated and gated.status != "True" else None), text
    return None, None
