"""What is changed in a pod that runs: ephemeral containers, and resources in place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orchestr.agent.decide import Nothing, Resize, Start, decide
from orchestr.agent.resizing import infeasible
from orchestr.api.container import ContainerResizePolicy, EphemeralContainer, ResourceRequirements
from orchestr.api.core import Container, Pod
from tests.agent.objects import pod, run
from tests.agent.world import World
from tests.engine.fake import eventually

SMALL = ResourceRequirements(limits={"memory": "64Mi"}, requests={"memory": "64Mi"})
LARGE = ResourceRequirements(limits={"memory": "128Mi"}, requests={"memory": "128Mi"})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    async def inline(work: Callable[..., Any], *args: Any, **_options: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return work(*args)

    monkeypatch.setattr(trio.to_thread, "run_sync", inline)
    return World(tmp_path)


def looking(name: str = "look", **more: Any) -> EphemeralContainer:
    return EphemeralContainer(name=name, image="busy", command=("sh",), **more)


def test_an_ephemeral_container_waits_for_its_target_and_starts_once() -> None:
    both = pod(ephemeral_containers=(looking(target_container_name="main"),))
    assert decide(both, {}, sandbox=True, now=0.0) == Start("main", False, 0)
    assert decide(both, {"main": run()}, sandbox=True, now=0.0) == Start("look", False, 0)
    ended = {"main": run(), "look": run("look", ended=True, code=1)}
    assert decide(both, ended, sandbox=True, now=9.0) == Nothing()
    crashed = {"main": run(ended=True, code=1, not_before=5.0)}
    assert decide(both, crashed, sandbox=True, now=0.0) == Nothing(5.0)


def test_resources_that_differ_are_given_when_it_is_time() -> None:
    wanted = pod(containers=(Container(name="main", image="busy", resources=LARGE),))
    assert decide(wanted, {"main": run(resources=LARGE)}, sandbox=True, now=0.0) == Nothing()
    assert decide(wanted, {"main": run()}, sandbox=True, now=0.0) == Nothing()
    assert decide(wanted, {"main": run(resources=SMALL)}, sandbox=True, now=0.0) == Resize("main")
    held = {"main": run(resources=SMALL, resize_at=5.0)}
    assert decide(wanted, held, sandbox=True, now=0.0) == Nothing(5.0)
    again = {"main": run(ended=True, code=0, again=True)}
    never = pod(restart_policy="Never")
    assert decide(never, again, sandbox=True, now=9.0) == Start("main", False, 1)


def test_what_no_machine_has_is_infeasible() -> None:
    wanted = pod(containers=(Container(name="main", image="busy", resources=LARGE),))
    assert infeasible(wanted, 1000, 128 << 20) == ""
    assert "memory, requested: 134217728, capacity: 1000" in infeasible(wanted, 1000, 1000)


async def changed(world: World, **spec: Any) -> None:
    now = world.pod()
    await world.cluster.update(now.but(spec=now.spec.but(**spec)))


async def test_an_ephemeral_container_in_a_running_pod(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        await world.create()
        uid = (await world.ready()).metadata.uid
        await changed(world, ephemeral_containers=(looking(target_container_name="main"), looking("other")))
        await eventually(lambda: len(world.pod().status.ephemeral_container_statuses) == 2)
        await eventually(lambda: bool(status(world.pod(), "look").state.running))
        assert world.runtime.specs[f"{uid}.look.0"].pid_of == f"{uid}.main.0"
        assert not status(world.pod(), "look").ready
        world.runtime.exit(f"{uid}.look.0", 3)
        await eventually(lambda: bool(status(world.pod(), "look").state.terminated))
        assert world.pod().ready, "its end is nothing to the pod"
    async with world.agent():
        await trio.sleep(60)
        assert status(world.pod(), "look").state.terminated.exit_code == 3, "and it stays ended"
        assert world.pod().status.phase == "Running"


def status(pod: Pod, name: str) -> Any:
    return next(each for each in pod.status.ephemeral_container_statuses if each.name == name)


async def test_other_resources_in_place_and_by_a_restart(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        container = Container(name="main", image="busy", command=("run",), resources=SMALL)
        await world.create(containers=(container,))
        uid = (await world.ready()).metadata.uid
        assert world.pod().status.container_statuses[0].resources == SMALL
        await changed(world, containers=(container.but(resources=LARGE),))
        await eventually(lambda: world.pod().status.container_statuses[0].resources == LARGE)
        assert world.runtime.resources[f"{uid}.main.0"]["memory"]["limit"] == 128 << 20
        assert world.pod().status.container_statuses[0].restart_count == 0
        policy = (ContainerResizePolicy(resource_name="memory", restart_policy="RestartContainer"),)
        await changed(world, containers=(container.but(resources=SMALL, resize_policy=policy),))
        await eventually(lambda: world.pod().status.container_statuses[0].restart_count == 1)
        await eventually(lambda: world.pod().status.container_statuses[0].resources == SMALL)


async def test_what_cannot_be_is_told_and_taken_back(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        container = Container(name="main", image="busy", command=("run",), resources=SMALL)
        await world.create(containers=(container,))
        await world.ready()
        huge = ResourceRequirements(requests={"memory": "1Pi"}, limits={"memory": "1Pi"})
        await changed(world, containers=(container.but(resources=huge),))
        await eventually(lambda: world.pod().status.condition("PodResizePending") is not None)
        assert world.pod().status.condition("PodResizePending").reason == "Infeasible"  # type: ignore[union-attr]
        await changed(world, containers=(container.but(resources=SMALL),))
        await eventually(lambda: world.pod().status.condition("PodResizePending") is None)
        tiny = ResourceRequirements(requests={"memory": "1Ki"}, limits={"memory": "1Ki"})
        await changed(world, containers=(container.but(resources=tiny),))
        await eventually(lambda: world.pod().status.condition("PodResizeInProgress") is not None)
        assert "uses 1Mi of memory" in (world.pod().status.condition("PodResizeInProgress").message or "")  # type: ignore[union-attr]
