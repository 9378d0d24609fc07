"""Job (batch/v1): runs pods until enough of them succeeded, too many failed, or the time is up.

Failures count as Kubernetes counts them: with restartPolicy Never each failed pod, with OnFailure each restart of a
container. After a failure the next pod waits 0.5 s, doubling to 60 s; a success starts that anew. With
backoffLimitPerIndex each index has failures and waits of its own.

A Job ends in two steps: SuccessCriteriaMet or FailureTarget says that and why, and no pod is made any more; Complete
or Failed follows once the last pod is gone. Counting: jobtally.py; policies: jobpolicy.py; status: jobstatus.py.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, islice

from controllers import jobpolicy
from controllers.jobstatus import goal, status
from controllers.jobtally import Tally, index, tally
from controllers.pods import pod_of
from orchestr.api.base import Condition
from orchestr.api.batch import CONTROLLER_UID, FAILURES, INDEX, JOB_NAME, MANAGER, Job
from orchestr.api.container import Container, EnvVar, EnvVarSource, ObjectFieldSelector
from orchestr.api.pod import Pod, PodSpec
from orchestr.engine import After, ApiError, ControllerCluster, Key, Refused, Related, Watches, child_name
from orchestr.engine.controller import Index
from orchestr.engine.ownership import claimed

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
BACKOFF, BACKOFF_LIMIT = 0.5, 60.0  # seconds


def _adopters(pod: Pod, index: Index) -> list[Key]:
    """A pod that nobody controls may be one that its Job has lost."""
    name = "" if pod.metadata.controller else pod.metadata.labels.get(JOB_NAME, "")
    return [Key(pod.key.namespace, name)] if name else []


WATCHES = Watches(Job, owns=(Pod,), related=(Related(Pod, _adopters),))


@dataclass(frozen=True)
class Difference:
    create: tuple[Pod, ...] = ()
    delete: tuple[Pod, ...] = ()
    finish: Condition | None = None  # Complete or Failed is what it comes to
    again: datetime | None = None  # when the next step is due without any event


def difference(job: Job, pods: Sequence[Pod], now: datetime, taken: Collection[str] = ()) -> Difference:
    """One step of a Job that has not finished. Pure."""
    seen = tally(job, pods)
    finish = goal(job) or _verdict(job, seen, now)
    if finish or job.spec.suspend:
        return Difference(delete=seen.active, finish=finish)
    wanted = _wanted(job, seen)
    spare = _spare(job, seen, wanted)
    if spare or wanted <= len(seen.active):
        return Difference(delete=spare, again=_deadline(job))
    missing = wanted - len(seen.active) - (len(seen.ending) if job.spec.pod_replacement_policy == "Failed" else 0)
    names = {pod.metadata.name for pod in pods}.union(taken)
    if job.spec.indexed:
        found, ready = _next_indexes(job, seen, missing, now)
        made = tuple(_indexed_pod(job, number, dict(seen.counts).get(number, 0), names) for number in found)
        return Difference(create=made, again=_earliest(ready, _deadline(job)))
    ready = _not_before(seen.last_failure, seen.streak)
    if ready and ready > now:
        return Difference(again=_earliest(ready, _deadline(job)))
    free = (name for slot in count() if (name := child_name(job, slot)) not in names)
    new = [pod_of(job, job.spec.template, name, _labels(job)) for name in islice(free, max(missing, 0))]
    return Difference(create=tuple(new), again=_deadline(job))


def _earliest(*times: datetime | None) -> datetime | None:
    return min((each for each in times if each), default=None)


def _verdict(job: Job, seen: Tally, now: datetime) -> Condition | None:
    return _failure(job, seen, now) or _success(job, seen)


def _failure(job: Job, seen: Tally, now: datetime) -> Condition | None:
    spec, deadline = job.spec, _deadline(job)
    if seen.doom:
        return _failed("PodFailurePolicy", seen.doom)
    if seen.failed > spec.patience or _restarted_too_often(job, seen):
        return _failed("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if deadline and now >= deadline and not spec.suspend:
        return _failed("DeadlineExceeded", "Job was active longer than specified deadline")
    if spec.max_failed_indexes is not None and len(seen.lost) > spec.max_failed_indexes:
        message = "Job has exceeded the specified maximal number of failed indexes"
        return _failed("MaxFailedIndexesExceeded", message)
    if seen.lost and len(seen.lost) + len(seen.completed) >= (spec.completions or 0):
        return _failed("FailedIndexes", "Job has failed indexes")
    return None


def _success(job: Job, seen: Tally) -> Condition | None:
    spec = job.spec
    if spec.indexed and (text := jobpolicy.enough(job, seen.completed)):
        return Condition(type="Complete", status="True", reason="SuccessPolicy", message=text)
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
    return min(job.spec.parallel, job.spec.completions - seen.succeeded - len(seen.lost))


def _spare(job: Job, seen: Tally, wanted: int) -> tuple[Pod, ...]:
    """Active pods that are too many: those of no index that is still to do, then the least useful."""
    useless = list(_useless(job, seen)) if job.spec.indexed else []
    left = [pod for pod in seen.active if pod not in useless]
    left.sort(key=lambda pod: (pod.ready, -pod.metadata.created.timestamp()))
    return (*useless, *left[: max(len(left) - max(wanted, 0), 0)])


def _useless(job: Job, seen: Tally) -> Iterator[Pod]:
    """Second pods of an index, and pods of an index that is done, lost, or not asked for any more."""
    used: set[int] = set()
    for pod in sorted(seen.active, key=lambda pod: (pod.metadata.created, pod.metadata.name)):
        number = index(pod)
        done = number in used or number in seen.completed or number in seen.lost
        if number is None or number >= (job.spec.completions or 0) or done:
            yield pod
        else:
            used.add(number)


def _next_indexes(job: Job, seen: Tally, missing: int, now: datetime) -> tuple[list[int], datetime | None]:
    """(the lowest indexes that nobody works on, when the next one of those that wait may be tried again)"""
    waiting = seen.ending if job.spec.pod_replacement_policy == "Failed" else ()
    used = {index(pod) for pod in (*seen.active, *waiting)} | seen.completed | seen.lost
    alone = job.spec.backoff_limit_per_index is not None
    common = None if alone else _not_before(seen.last_failure, seen.streak)
    if common and common > now:
        return [], common
    counts, latest, soon = dict(seen.counts), dict(seen.latest), None
    found: list[int] = []
    for number in range(job.spec.completions or 0):
        if len(found) >= missing:
            break
        if number in used:
            continue
        ready = _not_before(latest.get(number), max(counts.get(number, 0), 1)) if alone else None
        if ready and ready > now:
            soon = _earliest(soon, ready)
        else:
            found.append(number)
    return found, soon


def _indexed_pod(job: Job, number: int, failures: int, names: Collection[str]) -> Pod:
    """The pod of an index: it is told by annotation, label, variable and host name."""
    stem = f"{job.metadata.name}-{number}"
    name = next(name for slot in count() if (name := f"{stem}-{child_name(job, f'{number}/{slot}')[-5:]}") not in names)
    made = pod_of(job, job.spec.template, name, {**_labels(job), INDEX: str(number)})
    marks = {INDEX: str(number)}
    if job.spec.backoff_limit_per_index is not None:
        marks[FAILURES] = str(failures)
    meta = made.metadata.but(annotations={**made.metadata.annotations, **marks})
    return made.but(metadata=meta, spec=_with_index(made.spec).but(hostname=stem))


def _with_index(spec: PodSpec) -> PodSpec:
    source = EnvVarSource(field_ref=ObjectFieldSelector(field_path=f"metadata.annotations['{INDEX}']"))
    variable = EnvVar(name=INDEX_VARIABLE, value_from=source)

    def told(container: Container) -> Container:
        known = any(each.name == INDEX_VARIABLE for each in container.env)
        return container if known else container.but(env=(*container.env, variable))

    return spec.but(
        containers=tuple(map(told, spec.containers)), init_containers=tuple(map(told, spec.init_containers))
    )


def _not_before(failure: datetime | None, times: int) -> datetime | None:
    """When the next pod may be made, after so many failures in a row."""
    if failure is None:
        return None
    return failure + timedelta(seconds=min(BACKOFF * 2 ** min(times - 1, 30), BACKOFF_LIMIT))


def _deadline(job: Job) -> datetime | None:
    seconds, start = job.spec.active_deadline_seconds, job.status.start_time
    return start + timedelta(seconds=seconds) if seconds is not None and start else None


def _labels(job: Job) -> Mapping[str, str]:
    name, uid = job.metadata.name, job.metadata.uid or ""
    return {JOB_NAME: name, CONTROLLER_UID: uid, "job-name": name, "controller-uid": uid}


def expiry(job: Job) -> datetime | None:
    """When a finished Job is deleted; None for never."""
    ends = [each.last_transition_time for each in job.status.conditions if each.type in ("Complete", "Failed")]
    end, seconds = job.status.completion_time or next(iter(ends), None), job.spec.ttl_seconds_after_finished
    return end + timedelta(seconds=seconds) if end and seconds is not None else None


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    job = await cluster.get(Job, key)
    if job is None or job.metadata.deleting:
        return None  # its pods follow through their owner references
    if job.spec.managed_by not in (None, MANAGER):
        return None  # another controller's
    if job.finished:
        return await _after_finish(cluster, job, await cluster.list(Pod, owner=job))
    pods = list(await _pods(cluster, job))
    now = cluster.now()
    refused: ApiError | None = None
    todo = difference(job, pods, now, [pod.metadata.name for pod in cluster.orphans(Pod, key.namespace)])
    try:
        pods += await cluster.create_all(todo.create)
    except Refused as error:
        refused = error
        cluster.record(job, "FailedCreate", f"cannot create pod: {error}", warning=True)
    await cluster.delete_all(todo.delete)
    # The others end first, and tell of it; until then they count as ending.
    gone = {pod.metadata.name for pod in todo.delete}
    left = [pod for pod in pods if pod.metadata.name not in gone]
    ending = sum(bool(pod.spec.node_name) for pod in todo.delete)
    new = await cluster.patch_status(job, status(job, left, todo.finish, now, ending=ending))
    if refused:
        raise refused
    _tell(cluster, new, todo)
    return _next(new, todo, now)


async def _pods(cluster: ControllerCluster, job: Job) -> Sequence[Pod]:
    if job.spec.selector is None:
        return await cluster.list(Pod, owner=job)
    return await claimed(cluster, job, Pod, job.spec.selector)


def _next(job: Job, todo: Difference, now: datetime) -> After | None:
    due = todo.again or _deadline(job)
    if due is None or todo.finish or job.spec.suspend:
        return None
    return After(max((due - now).total_seconds(), 0.0) + 0.001)


def _tell(cluster: ControllerCluster, job: Job, todo: Difference) -> None:
    for pod in todo.create:
        cluster.record(job, "SuccessfulCreate", f"Created pod: {pod.metadata.name}")
    for pod in todo.delete:
        cluster.record(job, "SuccessfulDelete", f"Deleted pod: {pod.metadata.name}")
    finish = todo.finish
    if finish and job.finished:
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
