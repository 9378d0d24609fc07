"""Job (batch/v1): runs pods until enough of them succeeded, too many failed, or the time is up.

Failures count as Kubernetes counts them: with restartPolicy Never each failed pod, with OnFailure each restart of a
container. After a failure the next pod waits 0.5 s, doubling to 60 s; a success starts that anew.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, islice

from controllers.pods import ended_at, pod_of
from orchestr.api.base import Condition
from orchestr.api.batch import CONTROLLER_UID, JOB_NAME, Job, JobStatus
from orchestr.api.pod import ContainerStatus, Pod
from orchestr.engine import After, ApiError, ControllerCluster, Key, Refused, Watches, child_name
from orchestr.engine.conditions import condition, second, with_condition

WATCHES = Watches(Job, owns=(Pod,))

BACKOFF, BACKOFF_LIMIT = 0.5, 60.0  # seconds


@dataclass(frozen=True)
class Tally:
    """What the pods of a Job say."""

    active: tuple[Pod, ...]
    succeeded: int
    failed: int
    restarts: int  # of containers in active pods
    streak: int  # failures since the last success
    last_failure: datetime | None


@dataclass(frozen=True)
class Difference:
    create: tuple[Pod, ...] = ()
    delete: tuple[Pod, ...] = ()
    finish: Condition | None = None  # Complete or Failed
    again: datetime | None = None  # when the next step is due without any event


def tally(job: Job, pods: Sequence[Pod]) -> Tally:
    """Counts; never below what status says, for finished pods may have been deleted since."""
    finished = sorted((pod for pod in pods if pod.finished), key=ended_at)
    succeeded = [pod for pod in finished if pod.status.phase == "Succeeded"]
    failed = [pod for pod in finished if pod.status.phase == "Failed"]
    since = ended_at(succeeded[-1]) if succeeded else None
    recent = [pod for pod in failed if since is None or ended_at(pod) > since]
    active = tuple(pod for pod in pods if pod.active)
    return Tally(
        active=active,
        succeeded=max(len(succeeded), job.status.succeeded or 0),
        failed=max(len(failed), job.status.failed or 0),
        restarts=sum(each.restart_count for pod in active for each in _containers(pod)),
        streak=len(recent),
        last_failure=ended_at(recent[-1]) if recent else None,
    )


def _containers(pod: Pod) -> tuple[ContainerStatus, ...]:
    return (*pod.status.init_container_statuses, *pod.status.container_statuses)


def difference(job: Job, pods: Sequence[Pod], now: datetime, taken: Collection[str] = ()) -> Difference:
    """One step of a Job that has not finished. Pure."""
    seen = tally(job, pods)
    finish = _verdict(job, seen, now)
    if finish or job.spec.suspend:
        return Difference(delete=seen.active, finish=finish)
    wanted = _wanted(job, seen)
    if wanted <= len(seen.active):
        spare = sorted(seen.active, key=lambda pod: (pod.ready, -pod.metadata.created.timestamp()))
        return Difference(delete=tuple(spare[: len(seen.active) - wanted]), again=_deadline(job))
    ready = _not_before(seen)
    if ready and ready > now:
        return Difference(again=min(ready, _deadline(job) or ready))
    ending = sum(pod.metadata.deleting and not pod.finished for pod in pods)
    missing = wanted - len(seen.active) - (ending if job.spec.pod_replacement_policy == "Failed" else 0)
    names = {pod.metadata.name for pod in pods}.union(taken)
    free = (name for slot in count() if (name := child_name(job, slot)) not in names)
    pods = [pod_of(job, job.spec.template, name, _labels(job)) for name in islice(free, max(missing, 0))]
    return Difference(create=tuple(pods), again=_deadline(job))


def _verdict(job: Job, seen: Tally, now: datetime) -> Condition | None:
    spec = job.spec
    deadline = _deadline(job)
    if seen.failed > spec.patience or _restarted_too_often(job, seen):
        return _failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if deadline and now >= deadline and not spec.suspend:
        return _failed("DeadlineExceeded", "Job was active longer than specified deadline")
    needed = spec.completions if spec.completions is not None else max(seen.succeeded, 1)
    if seen.succeeded >= needed and (spec.completions is not None or not seen.active):
        text = "Reached expected number of succeeded pods"
        return Condition(type="Complete", status="True", reason="CompletionsReached", message=text)
    return None


def _restarted_too_often(job: Job, seen: Tally) -> bool:
    if job.spec.template.spec.restart_policy != "OnFailure":
        return False
    return seen.restarts > 0 if job.spec.patience == 0 else seen.restarts >= job.spec.patience


def _failed(reason: str, message: str) -> Condition:
    return Condition(type="Failed", status="True", reason=reason, message=message)


def _wanted(job: Job, seen: Tally) -> int:
    """How many pods should be at work."""
    if job.spec.completions is None:  # a work queue: once one has succeeded, no new ones join
        return len(seen.active) if seen.succeeded else job.spec.parallel
    return min(job.spec.parallel, job.spec.completions - seen.succeeded)


def _not_before(seen: Tally) -> datetime | None:
    """When the next pod may be made, after the last failures in a row."""
    if seen.last_failure is None:
        return None
    return seen.last_failure + timedelta(seconds=min(BACKOFF * 2 ** min(seen.streak - 1, 30), BACKOFF_LIMIT))


def _deadline(job: Job) -> datetime | None:
    seconds, start = job.spec.active_deadline_seconds, job.status.start_time
    return start + timedelta(seconds=seconds) if seconds is not None and start else None


def _labels(job: Job) -> Mapping[str, str]:
    name, uid = job.metadata.name, job.metadata.uid or ""
    return {JOB_NAME: name, CONTROLLER_UID: uid, "job-name": name, "controller-uid": uid}


def status(job: Job, pods: Sequence[Pod], finish: Condition | None, now: datetime) -> JobStatus:
    seen = tally(job, pods)
    start = job.status.start_time or second(now)
    conditions = _suspension(job, now)
    if finish:
        conditions = with_condition(conditions, finish, now)
    done = finish is not None and finish.type == "Complete"
    return JobStatus(
        start_time=None if job.spec.suspend else start,
        completion_time=second(now) if done else None,
        active=len(seen.active),
        ready=sum(pod.ready for pod in seen.active),
        succeeded=seen.succeeded,
        failed=seen.failed,
        terminating=sum(pod.metadata.deleting and not pod.finished for pod in pods),
        conditions=conditions,
    )


def _suspension(job: Job, now: datetime) -> tuple[Condition, ...]:
    old = condition(job.status.conditions, "Suspended")
    if job.spec.suspend:
        suspended = Condition(type="Suspended", status="True", reason="JobSuspended", message="Job suspended")
        return with_condition(job.status.conditions, suspended, now)
    if old and old.status == "True":
        resumed = Condition(type="Suspended", status="False", reason="JobResumed", message="Job resumed")
        return with_condition(job.status.conditions, resumed, now)
    return job.status.conditions


def expiry(job: Job) -> datetime | None:
    """When a finished Job is deleted; None for never."""
    ends = [each.last_transition_time for each in job.status.conditions if each.type in ("Complete", "Failed")]
    end, seconds = job.status.completion_time or next(iter(ends), None), job.spec.ttl_seconds_after_finished
    return end + timedelta(seconds=seconds) if end and seconds is not None else None


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    job = await cluster.get(Job, key)
    if job is None or job.metadata.deleting:
        return None  # its pods follow through their owner references
    pods = list(await cluster.list(Pod, owner=job))
    if job.finished:
        return await _after_finish(cluster, job, pods)
    now = cluster.now()
    refused: ApiError | None = None
    todo = difference(job, pods, now, [pod.metadata.name for pod in cluster.orphans(Pod, key.namespace)])
    try:
        pods += await cluster.create_all(todo.create)
    except Refused as error:
        refused = error
        cluster.record(job, "FailedCreate", f"cannot create pod: {error}", warning=True)
    await cluster.delete_all(todo.delete)
    gone = {pod.metadata.name for pod in todo.delete}
    left = [pod for pod in pods if pod.metadata.name not in gone]
    new = await cluster.patch_status(job, status(job, left, todo.finish, now))
    if refused:
        raise refused
    _tell(cluster, job, todo.finish)
    return _next(new, todo, now)


def _next(job: Job, todo: Difference, now: datetime) -> After | None:
    due = todo.again or _deadline(job)
    if due is None or todo.finish or job.spec.suspend:
        return None
    return After(max((due - now).total_seconds(), 0.0) + 0.001)


def _tell(cluster: ControllerCluster, job: Job, finish: Condition | None) -> None:
    if finish:
        reason = finish.reason if finish.type == "Failed" else "Completed"
        cluster.record(job, reason or finish.type, finish.message or "", warning=finish.type == "Failed")


async def _after_finish(cluster: ControllerCluster, job: Job, pods: Sequence[Pod]) -> After | None:
    """Ends what still runs, and the Job itself once its time to live is over."""
    await cluster.delete_all([pod for pod in pods if pod.active])
    end = expiry(job)
    if end is None:
        return None
    left = (end - cluster.now()).total_seconds()
    if left > 0:
        return After(left)
    await cluster.delete(job)
    return None
