"""Jobs that know which completion a pod is for, and policies about what failures and successes mean."""

from datetime import timedelta
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from controllers import job as controller
from controllers.job import difference
from controllers.jobpolicy import meaning
from orchestr.api.base import Condition, Key, ObjectMeta
from orchestr.api.batch import (
    INDEX,
    Job,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from orchestr.api.indexes import numbers, text
from orchestr.api.pod import ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus
from tests.controllers.world import World, job, template, world
from tests.engine.fake import START, eventually

KEY = Key("ns", "work")


def the(w: World) -> Job:
    return w.cluster.objects[Job][KEY]  # type: ignore[return-value]


def indexed(completions: int, **spec: Any) -> Job:
    spec.setdefault("template", template("work", restart_policy="Never"))
    return job("work", completions=completions, completion_mode="Indexed", **spec)


def number(pod: Pod) -> int:
    return int(pod.metadata.annotations[INDEX])


def ends(w: World) -> list[tuple[str, str | None]]:
    return [(c.type, c.reason) for c in the(w).status.conditions if c.status == "True"]


async def test_each_pod_has_an_index(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.outcome = lambda pod: "Succeeded"
        await w.cluster.create(indexed(4, parallelism=2))
        await w.settle()
        pods = sorted(w.cluster.of(Pod), key=number)
        assert [pod.spec.hostname for pod in pods] == ["work-0", "work-1", "work-2", "work-3"]
        assert all(pod.metadata.name.startswith(f"{pod.spec.hostname}-") for pod in pods)
        assert [pod.metadata.labels[INDEX] for pod in pods] == ["0", "1", "2", "3"]
        variable = pods[0].spec.containers[0].env[-1]
        assert variable.name == "JOB_COMPLETION_INDEX"
        assert variable.value_from.field_ref.field_path == f"metadata.annotations['{INDEX}']"
        status = the(w).status
        assert (status.succeeded, status.completed_indexes, status.failed_indexes) == (4, "0-3", None)
        assert ends(w) == [("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")]


async def test_an_index_that_failed_is_tried_again(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        tried: list[int] = []

        def outcome(pod: Pod) -> str:
            tried.append(number(pod))
            return "Failed" if number(pod) == 1 and tried.count(1) < 3 else "Succeeded"

        w.kubelet.outcome = outcome
        await w.cluster.create(indexed(3, parallelism=3))
        await w.settle()
        assert sorted(tried) == [0, 1, 1, 1, 2]
        assert (the(w).status.completed_indexes, the(w).status.failed) == ("0-2", 2)


async def test_each_index_has_a_limit_of_its_own(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.outcome = lambda pod: "Failed" if number(pod) % 2 else "Succeeded"
        await w.cluster.create(indexed(4, parallelism=4, backoff_limit_per_index=1))
        await w.settle()
        status = the(w).status
        assert (status.completed_indexes, status.failed_indexes, status.failed) == ("0,2", "1,3", 4)
        assert ends(w)[-1] == ("Failed", "FailedIndexes")
        counts = [
            pod.metadata.annotations["batch.kubernetes.io/job-index-failure-count"]
            for pod in w.cluster.of(Pod)
            if number(pod) == 1
        ]
        assert sorted(counts) == ["0", "1"]


async def test_too_many_failed_indexes_end_it(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.outcome = lambda pod: "Failed" if number(pod) < 2 else None
        await w.cluster.create(indexed(9, parallelism=3, backoff_limit_per_index=0, max_failed_indexes=1))
        await w.settle()
        assert ends(w)[-1] == ("Failed", "MaxFailedIndexesExceeded")
        assert the(w).status.failed_indexes == "0,1"
        assert not [pod for pod in w.cluster.of(Pod) if pod.active]


async def test_a_success_policy_ends_it_early(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.outcome = lambda pod: "Succeeded" if number(pod) == 0 else None
        policy = SuccessPolicy(rules=(SuccessPolicyRule(succeeded_indexes="0,2-3", succeeded_count=1),))
        await w.cluster.create(indexed(5, parallelism=5, success_policy=policy))
        await eventually(lambda: the(w).status.has("SuccessCriteriaMet"), within=10)
        assert not the(w).finished  # the others still end
        await w.settle()
        assert ends(w) == [("SuccessCriteriaMet", "SuccessPolicy"), ("Complete", "SuccessPolicy")]
        status = the(w).status
        assert (status.completed_indexes, status.succeeded, status.active, status.terminating) == ("0", 1, 0, 0)


async def test_completions_grow_and_shrink_with_parallelism(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(indexed(3, parallelism=3))
        await eventually(lambda: len(w.cluster.of(Pod)) == 3, within=10)
        await w.cluster.patch(Job, KEY, {"spec": {"parallelism": 1, "completions": 1}})
        await w.settle()
        assert [number(pod) for pod in w.cluster.of(Pod)] == [0]


async def test_a_replacement_waits_where_the_policy_says_failed(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.grace = 30
        await w.cluster.create(indexed(1, pod_replacement_policy="Failed"))
        await eventually(lambda: any(pod.ready for pod in w.cluster.of(Pod)), within=10)
        await w.cluster.delete(w.cluster.of(Pod)[0])
        await trio.sleep(20)
        assert len(w.cluster.of(Pod)) == 1
        assert the(w).status.terminating == 1
        await eventually(lambda: any(pod.ready for pod in w.cluster.of(Pod)), within=20)


async def test_what_another_controller_manages_is_left_alone(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(job("work", completions=1, managed_by="example.com/other"))
        await w.settle()
        assert w.cluster.of(Pod) == []
        assert the(w).status.start_time is None


async def test_a_status_of_nonsense_does_no_harm(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        made = await w.cluster.create(indexed(2))
        await eventually(lambda: w.cluster.of(Pod), within=5)
        await w.cluster.patch_status(made, made.status.but(completed_indexes="many", failed_indexes="3-1"))
        w.kubelet.outcome = lambda pod: "Succeeded"
        for pod in w.cluster.of(Pod):
            await w.kubelet.set(pod, "Succeeded", ready=False)
        await w.settle()
        assert the(w).status.completed_indexes == "0,1"


def failed(code: int = 1, container: str = "main", **conditions: str) -> Pod:
    end = ContainerState(terminated=ContainerStateTerminated(exit_code=code, finished_at=START))
    return Pod(
        metadata=ObjectMeta(name="p", namespace="ns", creation_timestamp=START, annotations={INDEX: "0"}),
        spec=PodSpec(),
        status=PodStatus(
            phase="Failed",
            container_statuses=(ContainerStatus(name=container, state=end),),
            conditions=tuple(Condition(type=name, status=value) for name, value in conditions.items()),
        ),
    )


def codes(operator: str, *values: int, action: str = "FailJob", container: str | None = None) -> PodFailurePolicyRule:
    requirement = PodFailurePolicyOnExitCodesRequirement(operator=operator, values=values, container_name=container)
    return PodFailurePolicyRule(action=action, on_exit_codes=requirement)


DISRUPTED = PodFailurePolicyRule(
    action="Ignore", on_pod_conditions=(PodFailurePolicyOnPodConditionsPattern(type="DisruptionTarget"),)
)


@pytest.mark.parametrize(
    ("rules", "pod", "action"),
    [
        ([], failed(), "Count"),
        ([codes("In", 3, 42)], failed(42), "FailJob"),
        ([codes("In", 3)], failed(42), "Count"),
        ([codes("NotIn", 3)], failed(42), "FailJob"),
        ([codes("NotIn", 42)], failed(42), "Count"),
        ([codes("In", 42, container="side")], failed(42), "Count"),
        ([codes("In", 42, container="main")], failed(42), "FailJob"),
        ([DISRUPTED, codes("In", 42)], failed(42, DisruptionTarget="True"), "Ignore"),
        ([DISRUPTED], failed(42, DisruptionTarget="False"), "Count"),
        ([codes("In", 42, action="Count"), codes("In", 42)], failed(42), "Count"),
    ],
)
def test_the_first_rule_that_matches_decides(rules: list[PodFailurePolicyRule], pod: Pod, action: str) -> None:
    made = job("work", pod_failure_policy=PodFailurePolicy(rules=tuple(rules)))
    assert meaning(made, pod).action == action


def test_a_rule_may_fail_the_job() -> None:
    made = job("work", completions=1, pod_failure_policy=PodFailurePolicy(rules=(codes("In", 42),)))
    finish = difference(made, [failed(42)], START + timedelta(hours=1)).finish
    assert finish is not None
    assert (finish.type, finish.reason) == ("Failed", "PodFailurePolicy")
    assert finish.message == "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index 0"


def test_or_lose_an_index_at_once() -> None:
    rules = PodFailurePolicy(rules=(codes("In", 42, action="FailIndex"),))
    made = indexed(2, parallelism=1, backoff_limit_per_index=5, pod_failure_policy=rules)
    todo = difference(made, [failed(42)], START + timedelta(hours=1))
    assert [number(pod) for pod in todo.create] == [1]


def test_what_is_ignored_does_not_count() -> None:
    rules = PodFailurePolicy(rules=(DISRUPTED,))
    made = job("work", completions=1, backoff_limit=0, pod_failure_policy=rules)
    todo = difference(made, [failed(DisruptionTarget="True")], START + timedelta(hours=1))
    assert (todo.finish, len(todo.create)) == (None, 1)


@given(st.sets(st.integers(0, 40)))
def test_indexes_are_read_as_they_are_written(indexes: set[int]) -> None:
    assert numbers(text(indexes), 100) == indexes


def test_the_form_of_indexes() -> None:
    assert text({0, 1, 2, 5, 6, 9}) == "0-2,5,6,9"
    assert numbers("0-5", 3) == {0, 1, 2}
    for bad in ("2,1", "1-1", "3-1", "a", "1-", "-1", "1,,2", ","):
        with pytest.raises(ValueError, match="is"):
            numbers(bad, 9)
