"""CronJob (batch/v1): makes a Job whenever its schedule says so, and removes those that ended long ago.

A time that passed while the daemon was down, while the CronJob was suspended, or while concurrencyPolicy Forbid held it
up, is made up for once, however many there were, unless startingDeadlineSeconds is over. A Job's name derives from its
time, so that none is made twice. When: api/schedule.py.
Source: pkg/controller/cronjob of Kubernetes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestr.api.base import ObjectMeta
from orchestr.api.batch import Job
from orchestr.api.cronjob import INSTANTIATE, SCHEDULED_AT, CronJob, CronJobStatus
from orchestr.api.meta import ObjectReference
from orchestr.api.schedule import ScheduleError, parse, zone_of
from orchestr.engine import After, AlreadyExists, ApiError, ControllerCluster, Hopeless, Key, Watches
from orchestr.engine.conditions import second

WATCHES = Watches(CronJob, owns=(Job,))

LATER = 0.05  # seconds after the time, so that it has come by every clock
LONGEST = 600.0  # seconds; the machine may sleep, and its clock may be set, without any event
MANY = 100  # missed times that are worth a warning


@dataclass(frozen=True)
class Difference:
    due: datetime | None = None  # the time that is to be made up for now
    create: Job | None = None  # None for a time that concurrencyPolicy holds up
    replace: tuple[Job, ...] = ()  # active ones that go before
    forget: tuple[Job, ...] = ()  # ended ones beyond the limits
    again: datetime | None = None


def difference(cron: CronJob, jobs: Sequence[Job], now: datetime) -> Difference:
    """What is due. Pure. Raises ScheduleError."""
    spec, forget = cron.spec, outdated(cron, jobs)
    schedule = parse(spec.schedule, spec.time_zone)
    if spec.suspend:
        return Difference(forget=forget)
    due, again = schedule.latest(since(cron), now), schedule.after(now)
    deadline = spec.starting_deadline_seconds
    if due is None or (deadline is not None and due + timedelta(seconds=deadline) < now):
        return Difference(forget=forget, again=again)
    running = active(jobs)
    if spec.concurrency_policy == "Forbid" and running:
        return Difference(due=due, forget=forget, again=again)
    replaced = tuple(running) if spec.concurrency_policy == "Replace" else ()
    return Difference(due, job(cron, due), replaced, forget, again)


def since(cron: CronJob) -> datetime:
    """Times up to this one are done with."""
    return cron.status.last_schedule_time or cron.metadata.created


def active(jobs: Sequence[Job]) -> list[Job]:
    """Those that run because their time had come; what a person started beside the schedule does not count."""
    return [each for each in jobs if not each.finished and INSTANTIATE not in each.metadata.annotations]


def job(cron: CronJob, due: datetime) -> Job:
    template = cron.spec.job_template
    zone = zone_of(cron.spec.time_zone) if cron.spec.time_zone else UTC
    stamp = due.astimezone(zone).isoformat().replace("+00:00", "Z")
    return Job(
        metadata=ObjectMeta(
            name=f"{cron.metadata.name}-{int(due.timestamp()) // 60}",
            namespace=cron.metadata.namespace,
            labels=template.metadata.labels,
            annotations={**template.metadata.annotations, SCHEDULED_AT: stamp},
            owner_references=(cron.owner_reference(),),
        ),
        spec=template.spec,
    )


def outdated(cron: CronJob, jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Ended Jobs beyond the history limits, the oldest."""
    found: list[Job] = []
    for word, limit in (
        ("Complete", cron.spec.successful_jobs_history_limit),
        ("Failed", cron.spec.failed_jobs_history_limit),
    ):
        ended = [each for each in jobs if each.status.has(word) and not each.metadata.deleting]
        ended.sort(key=lambda each: (each.status.start_time or each.metadata.created, each.metadata.name))
        found += ended[: max(len(ended) - limit, 0)]
    return tuple(found)


def status(cron: CronJob, jobs: Sequence[Job], done: datetime | None) -> CronJobStatus:
    ends = [each.status.completion_time for each in jobs if each.status.has("Complete") and each.status.completion_time]
    ends += [cron.status.last_successful_time] if cron.status.last_successful_time else []
    running = sorted(active(jobs), key=lambda each: (each.metadata.created, each.metadata.name))
    return CronJobStatus(
        active=tuple(_reference(each) for each in running),
        last_schedule_time=second(done) if done else cron.status.last_schedule_time,
        last_successful_time=max(ends, default=None),
    )


def _reference(job: Job) -> ObjectReference:
    meta = job.metadata
    return ObjectReference(
        api_version=job.api_version, kind=job.kind, namespace=meta.namespace, name=meta.name, uid=meta.uid
    )


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    cron = await cluster.get(CronJob, key)
    if cron is None or cron.metadata.deleting:
        return None  # its Jobs follow through their owner references
    jobs, now = list(await cluster.list(Job, owner=cron)), cluster.now()
    try:
        todo = difference(cron, jobs, now)
    except ScheduleError as error:
        raise Hopeless(f"cannot schedule {cron.ref}: {error}") from error
    _tell(cluster, cron, jobs, todo, now)
    done: datetime | None = None
    for old in todo.replace:
        await cluster.delete(old)
        cluster.record(cron, "SuccessfulDelete", f"Deleted job {old.metadata.name}")
    jobs = [each for each in jobs if each not in todo.replace]
    if todo.create:
        jobs += await _start(cluster, cron, todo.create)
        done = todo.due
    for old in todo.forget:
        await cluster.delete(old)
        cluster.record(cron, "SuccessfulDelete", f"Deleted job {old.metadata.name}")
    jobs = [each for each in jobs if each not in todo.forget]
    await cluster.patch_status(cron, status(cron, jobs, done))
    return After(min((todo.again - now).total_seconds() + LATER, LONGEST)) if todo.again else None


async def _start(cluster: ControllerCluster, cron: CronJob, made: Job) -> list[Job]:
    """The Job; nothing where a run before this one has made it, and was ended before it could say so."""
    try:
        created = await cluster.create(made)
    except AlreadyExists:
        there = await cluster.get(Job, made.key)
        owner = there.metadata.controller if there else None
        if owner and owner.uid == cron.metadata.uid:
            return []
        cluster.record(cron, "FailedCreate", f"cannot create job {made.metadata.name}: the name is taken", warning=True)
        raise
    except ApiError as error:
        cluster.record(cron, "FailedCreate", f"Error creating job: {error}", warning=True)
        raise
    cluster.record(cron, "SuccessfulCreate", f"Created job {created.metadata.name}")
    return [created]


def _tell(cluster: ControllerCluster, cron: CronJob, jobs: Sequence[Job], todo: Difference, now: datetime) -> None:
    """Events about what happened without us."""
    there = {each.metadata.uid: each for each in jobs}
    for known in cron.status.active:
        ended = there.get(known.uid)
        if ended is None:
            cluster.record(cron, "MissingJob", f"Active job went missing: {known.name}")
        elif ended.finished:
            word = "Complete" if ended.status.has("Complete") else "Failed"
            cluster.record(cron, "SawCompletedJob", f"Saw completed job: {known.name}, condition: {word}")
    if todo.due and not todo.create:
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        cluster.record(cron, "JobAlreadyActive", text)
    if todo.create and cron.spec.starting_deadline_seconds is None and _missed(cron, now) > MANY:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        cluster.record(cron, "TooManyMissedTimes", text, warning=True)


def _missed(cron: CronJob, now: datetime) -> int:
    return parse(cron.spec.schedule, cron.spec.time_zone).missed(since(cron), now, MANY + 1)
