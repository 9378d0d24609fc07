"""HorizontalPodAutoscaler: what a metric asks for, how fast it is followed, and what the status says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from controllers import autoscaler, replicationcontroller
from controllers.scaling import DOWN_LIMIT, FEWER, HELD_DOWN, HELD_UP, MORE, READY, UP_LIMIT, History, decide
from controllers.usage import Unknown, Wanted, propose
from orchestr.api import scheme
from orchestr.api.autoscaling import HorizontalPodAutoscaler
from orchestr.api.base import Key
from orchestr.api.core import Pod
from orchestr.api.metrics import PodMetrics
from orchestr.api.replication import ReplicationController
from tests.controllers.world import World, world

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(hours=1)


def pod(name: str, cpu: str | None = "1", ready: bool = True, since: datetime = OLD, phase: str = "Running") -> Pod:
    requests = {"requests": {"cpu": cpu, "memory": "100Mi"}} if cpu else {}
    return Pod.model_validate(
        {
            "metadata": {"name": name, "namespace": "ns", "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "v1", "resources": requests}]},
            "status": {
                "phase": phase,
                "startTime": since,
                "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": since}],
            },
        }
    )


def reading(name: str, cpu: str, at: datetime = NOW) -> PodMetrics:
    usage = {"cpu": cpu, "memory": "50Mi"}
    wire = {"metadata": {"name": name, "namespace": "ns"}, "timestamp": at, "window": "15s"}
    return PodMetrics.model_validate({**wire, "containers": [{"name": "main", "usage": usage}]})


def asked(pods: list[Pod], used: dict[str, str], percent: int = 50, current: int | None = None, **more: Any) -> int:
    wanted = Wanted("cpu", "", percent, None, **more)
    readings = [reading(name, cpu) for name, cpu in used.items()]
    return propose(wanted, pods, readings, len(pods) if current is None else current, NOW).replicas


def test_use_by_what_is_meant_rounded_up() -> None:
    two = [pod("a"), pod("b")]
    assert asked(two, {"a": "1", "b": "1"}) == 4
    assert asked(two, {"a": "600m", "b": "600m"}) == 3
    assert asked(two, {"a": "100m", "b": "100m"}) == 1
    assert asked(two, {"a": "530m", "b": "530m"}) == 2  # a tenth is tolerated
    assert asked(two, {"a": "530m", "b": "530m"}, tolerance=(0.1, 0.0)) == 3
    found = propose(Wanted("memory", "main", None, 25 * 2.0**20), two, [reading("a", "1"), reading("b", "1")], 2, NOW)
    assert (found.replicas, found.average, found.percent) == (4, 50 * 2**20, None)


def test_pods_without_a_reading_count_with_care() -> None:
    three = [pod("a"), pod("b"), pod("c")]
    assert asked(three, {"a": "1", "b": "1"}) == 4  # c as if idle: 2 of 1.5
    assert asked(three, {"a": "100m", "b": "100m"}) == 3  # c as if busy: 1.2 of 1.5 ...
    assert asked(three, {"a": "0", "b": "0"}, percent=80) == 2  # ... and even so too many
    starting = [pod("a"), pod("b", ready=False, since=NOW - timedelta(seconds=9)), pod("c", phase="Pending")]
    assert asked(starting, {"a": "1", "b": "2"}) == 3  # neither b nor c counts, but they are there
    assert asked(starting, {"a": "4", "b": "0"}) == 8


@pytest.mark.parametrize(
    ("pods", "used", "words"),
    [
        ([pod("a")], {}, "no metrics returned"),
        ([], {"a": "1"}, "no pods returned by selector"),
        ([pod("a", cpu=None)], {"a": "1"}, "missing request for cpu in container main of Pod a"),
        ([pod("a", phase="Pending")], {"a": "1"}, "pods might be unready"),
    ],
)
def test_what_cannot_be_told_is_said(pods: list[Pod], used: dict[str, str], words: str) -> None:
    with pytest.raises(Unknown, match=words):
        asked(pods, used)


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=9), st.integers(1, 200))
def test_more_use_never_asks_for_fewer(milli: list[int], percent: int) -> None:
    pods = [pod(str(index)) for index in range(len(milli))]
    one, more = (asked(pods, {str(i): f"{m + add}m" for i, m in enumerate(milli)}, percent) for add in (0, 1000))
    assert one <= more


def hpa(least: int = 1, most: int = 10, behavior: Any = None, **spec: Any) -> HorizontalPodAutoscaler:
    ref = {"apiVersion": "v1", "kind": "ReplicationController", "name": "web"}
    spec = {"scaleTargetRef": ref, "minReplicas": least, "maxReplicas": most, "behavior": behavior, **spec}
    return scheme.default(HorizontalPodAutoscaler.model_validate({"metadata": META, "spec": spec}))


META = {"name": "web", "namespace": "ns"}


def decided(of: HorizontalPodAutoscaler, current: int, desired: int, *recent: tuple[int, int]) -> tuple[Any, ...]:
    """`recent`: (seconds ago, recommendation)."""
    past = History([(NOW - timedelta(seconds=ago), replicas) for ago, replicas in recent])
    found = decide(of, current, desired, past, NOW)
    return found.replicas, found.able, found.limited


def test_without_rules_it_grows_at_most_twofold_and_shrinks_after_five_minutes() -> None:
    assert decided(hpa(), 2, 3) == (3, READY, None)
    assert decided(hpa(), 1, 9) == (4, READY, UP_LIMIT)
    assert decided(hpa(), 3, 9) == (6, READY, UP_LIMIT)
    assert decided(hpa(most=5), 3, 9) == (5, READY, MORE)
    assert decided(hpa(least=2), 3, 1) == (2, READY, FEWER)
    assert decided(hpa(), 3, 1, (299, 3), (15, 2)) == (3, HELD_DOWN, None)
    assert decided(hpa(), 3, 1, (301, 3), (15, 2)) == (2, HELD_DOWN, None)


def test_rules_say_how_fast() -> None:
    up = {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}
    assert decided(hpa(behavior=up), 3, 9) == (4, READY, UP_LIMIT)
    least = {"scaleUp": {"selectPolicy": "Min"}}
    assert decided(hpa(most=50, behavior=least), 10, 40) == (14, READY, UP_LIMIT)  # 4 pods, and not 100 percent
    waiting = {"scaleUp": {"stabilizationWindowSeconds": 60}}
    assert decided(hpa(behavior=waiting), 3, 6, (59, 4)) == (4, HELD_UP, None)
    none = {"scaleUp": {"selectPolicy": "Disabled"}}
    assert decided(hpa(behavior=none), 3, 6) == (3, READY, UP_LIMIT)
    down = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": [PERCENT]}}
    assert decided(hpa(behavior=down), 9, 1, (5, 9)) == (4, READY, DOWN_LIMIT)
    assert decided(hpa(behavior=up), 9, 1, (5, 9)) == (9, HELD_DOWN, None)


PERCENT = {"type": "Percent", "value": 50, "periodSeconds": 60}


def test_what_was_added_in_the_period_counts() -> None:
    up = {"scaleUp": {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}}
    past = History(changed=[(NOW - timedelta(seconds=61), 5), (NOW - timedelta(seconds=30), 1)])
    assert decide(hpa(behavior=up), 4, 9, past, NOW).replicas == 5  # of 3 that there were a minute ago


async def running(it: World, replicas: int = 2) -> None:
    spec = {"replicas": replicas, "selector": {"app": "web"}}
    container = {"name": "main", "image": "v1", "resources": {"requests": {"memory": "50Mi"}}}
    spec["template"] = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    await it.cluster.create(ReplicationController.model_validate({"metadata": META, "spec": spec}))
    await trio.sleep(1)
    for each in it.cluster.of(Pod):
        it.cluster.objects.setdefault(PodMetrics, {})[each.key] = reading(each.metadata.name, "1")


def by_memory(percent: int) -> list[Any]:
    resource = {"name": "memory", "target": {"type": "Utilization", "averageUtilization": percent}}
    return [{"type": "Resource", "resource": resource}]


async def test_the_target_follows_and_the_status_says_why(autojump_clock: trio.testing.MockClock) -> None:
    async with world(autoscaler, replicationcontroller) as it:
        await running(it)
        await it.cluster.create(hpa(metrics=by_memory(50), most=3))
        await trio.sleep(1)
        (rc,) = it.cluster.of(ReplicationController)
        assert rc.spec.replicas == 3
        told = it.cluster.objects[HorizontalPodAutoscaler][Key("ns", "web")].status
        assert (told.current_replicas, told.desired_replicas, told.observed_generation) == (2, 3, 1)
        assert told.current_metrics[0].resource.current.average_utilization == 100
        words = {each.type: (each.status, each.reason) for each in told.conditions}
        assert words == {
            "AbleToScale": ("True", "SucceededRescale"),
            "ScalingActive": ("True", "ValidMetricFound"),
            "ScalingLimited": ("True", "TooManyReplicas"),
        }
        assert told.last_scale_time is not None
        await trio.sleep(20)  # the new pod has no reading, and counts as idle
        assert it.cluster.of(ReplicationController)[0].spec.replicas == 3


async def test_what_is_not_there_or_has_no_replicas_is_said(autojump_clock: trio.testing.MockClock) -> None:
    async with world(autoscaler, replicationcontroller) as it:
        await it.cluster.create(hpa())
        await trio.sleep(1)
        told = it.cluster.of(HorizontalPodAutoscaler)[0].status
        assert [(each.type, each.status, each.reason) for each in told.conditions] == [
            ("AbleToScale", "False", "FailedGetScale")
        ]
        await running(it)
        it.cluster.objects[PodMetrics] = {}
        await trio.sleep(20)
        told = it.cluster.of(HorizontalPodAutoscaler)[0].status
        words = {each.type: (each.status, each.reason) for each in told.conditions}
        assert words["ScalingActive"] == ("False", "FailedGetResourceMetric")
        assert words["AbleToScale"] == ("True", "SucceededGetScale")


async def test_beyond_the_limits_it_is_brought_within(autojump_clock: trio.testing.MockClock) -> None:
    async with world(autoscaler, replicationcontroller) as it:
        await running(it, 5)
        await it.cluster.create(hpa(most=4))
        await trio.sleep(1)
        assert it.cluster.of(ReplicationController)[0].spec.replicas == 4
        rc = it.cluster.of(ReplicationController)[0]
        await it.cluster.update(rc.but(spec=rc.spec.but(replicas=0)))
        await trio.sleep(20)  # asleep: nobody wakes it
        assert it.cluster.of(ReplicationController)[0].spec.replicas == 0
        told = it.cluster.of(HorizontalPodAutoscaler)[0].status
        assert "ScalingDisabled" in {each.reason for each in told.conditions}
