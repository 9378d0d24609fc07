from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from controllers import cronjob as controller
from controllers import job as jobs
from controllers.cronjob import difference
from orchestr.api.base import Condition, Key, ObjectMeta
from orchestr.api.batch import Job, JobSpec, JobStatus
from orchestr.api.cronjob import CronJob, CronJobSpec, CronJobStatus, JobTemplateSpec
from orchestr.api.event import Event
from orchestr.api.pod import Pod
from tests.controllers.world import World, template, world
from tests.engine.fake import START, FakeCluster, eventually

KEY = Key("ns", "tick")


def cron(schedule: str = "* * * * *", **spec: Any) -> CronJob:
    job = JobSpec(template=template("tick", restart_policy="Never"), completions=1)
    spec.setdefault("time_zone", "UTC")
    return CronJob(
        metadata=ObjectMeta(name="tick", namespace="ns", uid="uid", creation_timestamp=START),
        spec=CronJobSpec(schedule=schedule, job_template=JobTemplateSpec(spec=job), **spec),
    )


def the(w: World) -> CronJob:
    return w.cluster.objects[CronJob][KEY]  # type: ignore[return-value]


def made(w: World) -> list[str]:
    return [ref for verb, ref in w.cluster.writes if verb == "create" and ref.startswith("job/")]


@asynccontextmanager
async def running(outcome: Callable[[Pod], str | None] = lambda pod: "Succeeded") -> AsyncIterator[World]:
    async with world(controller, jobs) as w:
        w.kubelet.outcome = outcome
        yield w


async def test_a_job_at_each_time(autojump_clock: MockClock) -> None:
    async with running() as w:
        await w.cluster.create(cron("*/5 * * * *"))
        await trio.sleep(11 * 60)
        minutes = int(START.timestamp()) // 60
        assert made(w) == [f"job/tick-{minutes + 5}", f"job/tick-{minutes + 10}"]
        job = w.cluster.of(Job)[0]
        assert job.metadata.controller.name == "tick"
        assert job.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"] == "2026-01-01T00:05:00Z"
        status = the(w).status
        assert status.last_schedule_time == START + timedelta(minutes=10)
        assert status.last_successful_time is not None
        assert status.active == ()


async def test_what_was_missed_is_made_up_for_once(autojump_clock: MockClock) -> None:
    cluster = FakeCluster()
    await cluster.create(cron())
    await trio.sleep(3 * 3600 + 30)
    async with world(controller, jobs, cluster=cluster) as w:
        w.kubelet.outcome = lambda pod: "Succeeded"
        await trio.sleep(20)
        assert len(made(w)) == 1
        assert the(w).status.last_schedule_time == START + timedelta(hours=3)
        assert "TooManyMissedTimes" in {event.reason for event in w.cluster.of(Event)}
        await trio.sleep(60)
        assert len(made(w)) == 2


async def test_unless_the_deadline_is_over(autojump_clock: MockClock) -> None:
    cluster = FakeCluster()
    await cluster.create(cron("0 * * * *", starting_deadline_seconds=60))
    await trio.sleep(3 * 3600 + 90)
    async with world(controller, jobs, cluster=cluster) as w:
        await trio.sleep(20)
        assert made(w) == []
        await trio.sleep(3600)
        assert len(made(w)) == 1


async def test_allow_lets_them_overlap(autojump_clock: MockClock) -> None:
    async with running(lambda pod: None) as w:
        await w.cluster.create(cron())
        await trio.sleep(3 * 60 + 5)
        assert len([job for job in w.cluster.of(Job) if not job.finished]) == 3
        assert [each.name for each in the(w).status.active] == [job.metadata.name for job in w.cluster.of(Job)]


async def test_forbid_waits_and_then_makes_up(autojump_clock: MockClock) -> None:
    async with running(lambda pod: None) as w:
        await w.cluster.create(cron(concurrency_policy="Forbid"))
        await trio.sleep(3 * 60 + 5)
        assert len(made(w)) == 1
        assert "JobAlreadyActive" in {event.reason for event in w.cluster.of(Event)}
        [pod] = w.cluster.of(Pod)
        await w.kubelet.set(pod, "Succeeded", ready=False)
        await eventually(lambda: len(made(w)) == 2, within=5)


async def test_replace_ends_the_one_that_runs(autojump_clock: MockClock) -> None:
    async with running(lambda pod: None) as w:
        await w.cluster.create(cron(concurrency_policy="Replace"))
        await trio.sleep(3 * 60 + 5)
        assert len(made(w)) == 3
        assert len(w.cluster.of(Job)) == 1


async def test_suspended_starts_nothing(autojump_clock: MockClock) -> None:
    async with running() as w:
        await w.cluster.create(cron(suspend=True))
        await trio.sleep(600)
        assert made(w) == []
        await w.cluster.patch(CronJob, KEY, {"spec": {"suspend": False}})
        await eventually(lambda: len(made(w)) == 1, within=5)


async def test_the_history_is_limited(autojump_clock: MockClock) -> None:
    async with running(lambda pod: "Failed" if int(pod.metadata.labels["job-name"][-1]) % 2 else "Succeeded") as w:
        job = JobSpec(template=template("tick", restart_policy="Never"), completions=1, backoff_limit=0)
        made = cron(successful_jobs_history_limit=2)
        await w.cluster.create(made.but(spec=made.spec.but(job_template=JobTemplateSpec(spec=job))))
        await trio.sleep(12 * 60 + 30)
        left = [job.status.has("Complete") for job in w.cluster.of(Job)]
        assert sorted(left) == [False, True, True]


async def test_a_job_that_a_person_made_does_not_count(autojump_clock: MockClock) -> None:
    async with running(lambda pod: None) as w:
        await w.cluster.create(cron(concurrency_policy="Forbid"))
        manual = Job(
            metadata=ObjectMeta(
                name="now",
                namespace="ns",
                annotations={"cronjob.kubernetes.io/instantiate": "manual"},
                owner_references=(the(w).owner_reference(),),
            ),
            spec=the(w).spec.job_template.spec,
        )
        await w.cluster.create(manual)
        await trio.sleep(65)
        assert len(made(w)) == 2
        assert [each.name for each in the(w).status.active] != ["now"]


def test_a_run_that_was_cut_off_makes_no_second_job() -> None:
    now = START + timedelta(minutes=1)
    one, two = difference(cron(), [], now), difference(cron(), [], now + timedelta(seconds=20))
    assert one.create is not None
    assert two.create is not None
    assert one.create.metadata.name == two.create.metadata.name


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_time_zone_is_told(zone: str) -> None:
    made = cron("0 12 * * *", time_zone=zone).but(status=CronJobStatus(last_schedule_time=START))
    todo = difference(made, [], datetime(2026, 1, 1, 18, tzinfo=UTC))
    assert todo.create is not None
    stamp = todo.create.metadata.annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"]
    assert stamp == {"UTC": "2026-01-01T12:00:00Z", "America/New_York": "2026-01-01T12:00:00-05:00"}[zone]


def test_an_ended_job_is_not_active() -> None:
    done = JobStatus(conditions=(Condition(type="Complete", status="True"),))
    job = Job(metadata=ObjectMeta(name="a"), spec=cron().spec.job_template.spec, status=done)
    assert controller.active([job]) == []
