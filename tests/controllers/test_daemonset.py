from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from controllers import daemonset as controller
from controllers.daemonset import difference, suits
from controllers.revisions import revision_of
from orchestr.api.base import Key
from orchestr.api.daemonset import DaemonSet, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from orchestr.api.node import Node, NodeSpec
from orchestr.api.pod import Pod
from orchestr.api.templates import ControllerRevision
from tests.controllers.strategies import pod_lists, times
from tests.controllers.world import World, daemon_set, machine, template, world

KEY = Key("ns", "log")
SURGE = DaemonSetUpdateStrategy(rolling_update=RollingUpdateDaemonSet(max_surge=1, max_unavailable=0))
ON_DELETE = DaemonSetUpdateStrategy(type="OnDelete")


def the(w: World) -> DaemonSet:
    return w.cluster.objects[DaemonSet][KEY]  # type: ignore[return-value]


def image(pod: Pod) -> str:
    return pod.spec.containers[0].image or ""


async def roll(w: World, image: str) -> None:
    await w.cluster.patch(DaemonSet, KEY, {"spec": {"template": template("log", image).wire()}})


async def label(w: World, **labels: str | None) -> None:
    await w.cluster.patch(Node, Key("", "here"), {"metadata": {"labels": labels}})


async def test_one_pod_on_the_one_node(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(daemon_set("log"))
        await w.settle()
        assert w.cluster.of(Pod) == []
        await w.cluster.create(machine())
        await w.settle()
        [pod] = w.cluster.of(Pod)
        [revision] = w.cluster.of(ControllerRevision)
        assert revision.metadata.name == f"log-{pod.metadata.labels['controller-revision-hash']}"
        counts = the(w).status.but(conditions=()).wire()
        assert counts == {
            "currentNumberScheduled": 1,
            "numberMisscheduled": 0,
            "desiredNumberScheduled": 1,
            "numberReady": 1,
            "observedGeneration": 1,
            "updatedNumberScheduled": 1,
            "numberAvailable": 1,
            "numberUnavailable": 0,
        }


async def test_it_follows_the_labels_of_the_node(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(machine())
        await w.cluster.create(daemon_set("log", pod={"node_selector": {"color": "blue"}}))
        await w.settle()
        assert (w.cluster.of(Pod), the(w).status.desired_number_scheduled) == ([], 0)
        await label(w, color="blue")
        await w.settle()
        assert len(w.cluster.of(Pod)) == 1
        await label(w, color="green")
        await w.settle()
        assert w.cluster.of(Pod) == []
        assert the(w).status.number_misscheduled == 0


async def test_the_old_pod_goes_before_the_new_one_comes(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(machine())
        await w.cluster.create(daemon_set("log"))
        await w.settle()
        most = 0

        def check() -> None:
            nonlocal most
            most = max(most, len(w.cluster.of(Pod)))

        w.cluster.after_write = check
        await roll(w, "v2")
        await w.settle()
        assert (most, [image(pod) for pod in w.cluster.of(Pod)]) == (1, ["v2"])
        assert the(w).status.updated_number_scheduled == 1


async def test_in_a_surge_the_new_pod_is_available_first(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(machine())
        await w.cluster.create(daemon_set("log", update_strategy=SURGE, min_ready_seconds=20))
        await w.settle()
        least = 2

        def check() -> None:
            nonlocal least
            least = min(least, sum(pod.ready and not pod.metadata.deleting for pod in w.cluster.of(Pod)))

        w.cluster.after_write = check
        await roll(w, "v2")
        await w.settle()
        assert (least, [image(pod) for pod in w.cluster.of(Pod)]) == (1, ["v2"])


async def test_on_delete_waits_for_whoever_deletes(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(machine())
        await w.cluster.create(daemon_set("log", update_strategy=ON_DELETE))
        await w.settle()
        await roll(w, "v2")
        await w.settle()
        assert [image(pod) for pod in w.cluster.of(Pod)] == ["v1"]
        assert the(w).status.updated_number_scheduled == 0
        await w.cluster.delete(w.cluster.of(Pod)[0])
        await w.settle()
        assert [image(pod) for pod in w.cluster.of(Pod)] == ["v2"]


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_a_pod_that_ended_is_replaced(autojump_clock: MockClock, phase: str) -> None:
    async with world(controller) as w:
        await w.cluster.create(machine())
        await w.cluster.create(daemon_set("log"))
        await w.settle()
        [old] = w.cluster.of(Pod)
        await w.kubelet.set(old, phase, ready=False)
        await w.settle()
        [new] = w.cluster.of(Pod)
        assert new.ready
        assert new.metadata.uid != old.metadata.uid


async def test_a_template_that_comes_back_brings_its_revision(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(machine())
        await w.cluster.create(daemon_set("log", revision_history_limit=1))
        for each in ("v2", "v1", "v3", "v4"):
            await w.settle()
            await roll(w, each)
        await w.settle()
        found = sorted(w.cluster.of(ControllerRevision), key=lambda each: each.revision)
        assert [each.revision for each in found] == [4, 5]


def tainted(effect: str) -> Node:
    return machine(disk="ssd").but(spec=NodeSpec(taints=[{"key": "gpu", "value": "yes", "effect": effect}]))


@pytest.mark.parametrize(
    ("spec", "node", "new", "stays"),
    [
        ({}, machine(), True, True),
        ({"node_name": "there"}, machine(), False, False),
        ({"node_selector": {"disk": "ssd"}}, machine(disk="ssd"), True, True),
        ({"node_selector": {"disk": "hdd"}}, machine(disk="ssd"), False, False),
        ({}, tainted("NoSchedule"), False, True),
        ({}, tainted("NoExecute"), False, False),
        ({"tolerations": [{"operator": "Exists"}]}, tainted("NoExecute"), True, True),
        ({}, machine().but(spec=NodeSpec(unschedulable=True)), True, True),
    ],
)
def test_the_node_is_chosen_by_name_labels_and_taints(spec: Any, node: Node, new: bool, stays: bool) -> None:
    ds = daemon_set("log", pod=spec)
    assert (suits(ds, node), suits(ds, node, running=True)) == (new, stays)


async def test_its_pods_bear_what_other_pods_do_not(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(machine())
        await w.cluster.create(daemon_set("log", pod={"tolerations": [{"key": "gpu", "operator": "Exists"}]}))
        await w.settle()
        [pod] = w.cluster.of(Pod)
        keys = [each["key"].removeprefix("node.kubernetes.io/") for each in pod.spec.tolerations]
        assert keys[:3] == ["gpu", "not-ready", "unreachable"]
        assert keys[3:] == ["disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"]


@given(
    st.builds(daemon_set, st.just("log"), update_strategy=st.sampled_from([SURGE, ON_DELETE])),
    pod_lists(),
    times,
    st.booleans(),
)
def test_never_more_than_one_and_its_successor(ds: DaemonSet, pods: list[Pod], now: Any, there: bool) -> None:
    todo = difference(ds, pods, machine() if there else None, revision_of(ds, 1), now)
    left = [pod for pod in pods if pod.active and pod not in todo.delete] + list(todo.create)
    if not there:
        assert left == []
    if todo.create:
        assert len(left) <= 2
    assert not {pod.metadata.name for pod in todo.create} & {pod.metadata.name for pod in pods}
