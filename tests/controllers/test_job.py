from datetime import timedelta

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from controllers import job as controller
from controllers.job import difference, tally
from orchestr.api.base import Key
from orchestr.api.batch import Job, JobStatus
from orchestr.api.pod import ContainerStatus, Pod
from tests.controllers.strategies import pod_lists, times
from tests.controllers.world import World, job, template, world
from tests.engine.fake import START, eventually

KEY = Key("ns", "migrate")
jobs = st.builds(
    job,
    st.just("migrate"),
    completions=st.none() | st.integers(0, 5),
    parallelism=st.integers(0, 5),
    backoff_limit=st.integers(0, 5),
    active_deadline_seconds=st.none() | st.integers(1, 1000),
    suspend=st.none() | st.booleans(),
)


def the(w: World) -> Job:
    return w.cluster.objects[Job][KEY]  # type: ignore[return-value]


@given(jobs, pod_lists(), times)
def test_never_more_pods_than_parallelism_and_completions_allow(job: Job, pods: list[Pod], now: object) -> None:
    todo = difference(job, pods, now)  # type: ignore[arg-type]
    seen = tally(job, pods)
    left = [pod for pod in seen.active if pod not in todo.delete] + list(todo.create)
    if todo.finish or job.spec.suspend:
        assert left == []
    elif todo.create or todo.delete:
        assert len(left) <= job.spec.parallelism or not todo.create
        if job.spec.completions is not None:
            assert len(left) + seen.succeeded <= max(job.spec.completions, seen.succeeded)
    assert not {pod.metadata.name for pod in todo.create} & {pod.metadata.name for pod in pods}


@given(jobs, pod_lists())
def test_too_many_failures_end_it(job: Job, pods: list[Pod]) -> None:
    todo = difference(job, pods, START + timedelta(days=1))
    if sum(pod.status.phase == "Failed" for pod in pods) > job.spec.backoff_limit:
        assert todo.finish
        assert todo.finish.reason == "BackoffLimitExceeded"
        assert not todo.create


async def test_it_completes_and_stays_complete(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.outcome = lambda pod: "Succeeded"
        await w.cluster.create(job("migrate", completions=5, parallelism=2))
        most = 0

        def check() -> None:
            nonlocal most
            most = max(most, sum(pod.active for pod in w.cluster.of(Pod)))

        w.cluster.after_write = check
        await w.settle()
        assert most == 2
        assert (the(w).status.succeeded, the(w).status.active, len(w.cluster.of(Pod))) == (5, 0, 5)
        assert the(w).status.has("Complete")
        assert the(w).status.completion_time >= the(w).status.start_time  # type: ignore[operator]
        for pod in w.cluster.of(Pod):
            await w.cluster.delete(pod)
        await w.settle()
        assert w.cluster.of(Pod) == []


async def test_failures_wait_longer_each_time_until_the_limit(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.delay = 0
        w.kubelet.outcome = lambda pod: "Failed"
        start = trio.current_time()
        await w.cluster.create(job("migrate", completions=1, backoff_limit=5))
        await eventually(lambda: the(w).finished)
        # 0.5 + 1 + 2 + 4 + 8, less what a whole second of finishedAt hides
        assert 12 <= trio.current_time() - start <= 17
        assert len(w.cluster.of(Pod)) == 6
        failed = the(w).status.conditions[-1]
        assert (failed.type, failed.reason) == ("Failed", "BackoffLimitExceeded")


async def test_on_failure_counts_restarts_of_containers(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(
            job("migrate", completions=1, backoff_limit=2, template=template("x", restart_policy="OnFailure"))
        )
        await eventually(lambda: any(pod.ready for pod in w.cluster.of(Pod)))
        pod = w.cluster.of(Pod)[0]
        crashed = pod.status.but(container_statuses=(ContainerStatus(name="main", restart_count=2),))
        await w.cluster.patch_status(pod, crashed)
        await eventually(lambda: the(w).status.has("Failed"))
        await w.settle()
        assert w.cluster.of(Pod) == []


async def test_the_deadline_ends_it(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        start = trio.current_time()
        await w.cluster.create(job("migrate", completions=1, active_deadline_seconds=20))
        await eventually(lambda: the(w).finished)
        assert trio.current_time() - start == pytest.approx(20, abs=1.1)
        assert the(w).status.conditions[-1].reason == "DeadlineExceeded"
        await w.settle()
        assert w.cluster.of(Pod) == []


async def test_it_is_deleted_after_its_time_to_live(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.outcome = lambda pod: "Succeeded"
        await w.cluster.create(job("migrate", completions=1, ttl_seconds_after_finished=50))
        await eventually(lambda: the(w).finished)
        await trio.sleep(45)
        assert w.cluster.of(Job)
        await eventually(lambda: not w.cluster.of(Job) and not w.cluster.of(Pod), within=10)


async def test_suspended_has_no_pods_and_resumes(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(job("migrate", completions=1, suspend=True))
        await w.settle()
        assert w.cluster.of(Pod) == []
        assert the(w).status.has("Suspended")
        await w.cluster.patch(Job, KEY, {"spec": {"suspend": False}})
        await eventually(lambda: any(pod.ready for pod in w.cluster.of(Pod)), within=5)
        await w.cluster.patch(Job, KEY, {"spec": {"suspend": True}})
        await w.settle()
        assert w.cluster.of(Pod) == []
        assert the(w).status.start_time is None


def test_what_was_counted_stays_counted_when_pods_are_deleted() -> None:
    done = job("migrate", completions=3).but(status=JobStatus(succeeded=2, failed=1))
    seen = tally(done, [])
    assert (seen.succeeded, seen.failed) == (2, 1)
