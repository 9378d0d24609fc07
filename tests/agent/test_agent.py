"""The agent's whole way with a pod: start, crash, back-off, adoption, reboot, deletion, deadline."""

import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orchestr.api.core import (
    Container,
    PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSource,
    Pod,
    Probe,
    Volume,
)
from orchestr.api.storage import PersistentVolume
from orchestr.runtime.seam import RuntimeFailure
from tests.agent.world import World
from tests.engine.fake import eventually


async def inline(work: Callable[..., Any], *args: Any, **_options: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return work(*args)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(trio.to_thread, "run_sync", inline)  # or time would jump while a thread writes files
    return World(tmp_path)


STRANGER = "00000000-0000-4000-8000-00000000dead"


def main(pod: Pod) -> Any:
    return pod.status.container_statuses[0]


async def test_a_pod_starts_and_is_told(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        await world.create()
        pod = await world.ready()
        assert pod.status.phase == "Running"
        assert pod.ips == ("10.1.0.2", "fd01::2")
        assert set(world.dataplane.links) == {pod.metadata.uid}


async def test_a_link_that_somebody_removed_is_made_again(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        await world.create()
        uid = (await world.ready()).metadata.uid or ""
        before = world.dataplane.links.pop(uid)
        await world.dataplane.removed.send(STRANGER)
        await world.dataplane.removed.send(uid)
        await eventually(lambda: world.dataplane.links.get(uid) == before)
        assert "Reconnected" in world.events.reasons


async def test_restarts_wait_longer_each_time_and_a_good_run_forgets(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        await world.create()
        starts = []
        for attempt in range(4):
            record = await world.record(attempt=attempt)
            starts.append(trio.current_time())
            world.runtime.exit(record.id, 3)
        gaps = [later - earlier for earlier, later in pairwise(starts)]
        assert [round(gap, 1) for gap in gaps] == pytest.approx([0.5, 1, 2], abs=0.2)
        record = await world.record(attempt=4)
        await trio.sleep(11)
        fell = trio.current_time()
        world.runtime.exit(record.id, 3)
        await world.record(attempt=5)
        assert trio.current_time() - fell < 0.2
        await eventually(lambda: main(world.pod()).restart_count == 5)
        assert main(world.pod()).last_state.terminated.exit_code == 3


async def test_the_daemon_is_killed_and_the_next_one_takes_over(autojump_clock: MockClock, world: World) -> None:
    """Same process, still ready in every write, addresses and history kept; an exit in between is told as it was."""
    async with world.agent():
        await world.create()
        await world.record()
        await world.create("other")
        world.runtime.exit((await world.record()).id, 5)
        before = await world.record(attempt=1)
        await world.ready()
        await world.ready("other")
        fallen = await world.record("other")
    writes = len(world.cluster.writes)
    world.runtime.exit(fallen.id, 7)
    async with world.agent():
        assert (await world.record(attempt=1)).pid == before.pid
        assert ("patch_status", "Pod/web") not in world.cluster.writes[writes:], "nothing of it has changed"
        assert world.pod().ready
        assert main(world.pod()).last_state.terminated.exit_code == 5
        await world.record("other", attempt=1)
        await world.ready("other")
        assert main(world.pod("other")).last_state.terminated.exit_code == 7
        assert world.pod("other").ips == ("10.1.0.3", "fd01::3")


async def test_after_a_reboot_nothing_counts_until_it_runs_again(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        await world.create()
        await world.ready()
    world.runtime.reboot()
    world.dataplane.links.clear()
    async with world.agent():
        assert not world.pod().ready
        assert world.pod().status.phase == "Pending"
        pod = await world.ready()
        told = main(pod)
        assert (told.restart_count, told.last_state.terminated.reason) == (1, "ContainerStatusUnknown")
        assert pod.ips == ("10.1.0.2", "fd01::2")


async def test_a_dependency_is_asked_before_every_start(autojump_clock: MockClock, world: World) -> None:
    needs = {"orchestr.dev/depends-on": "pod/db"}
    probe = Probe.model_validate({"exec": {"command": ["ready"]}, "periodSeconds": 1, "initialDelaySeconds": 5})
    slow = Container(name="main", image="busy", command=("run",), readiness_probe=probe)
    async with world.agent():
        await world.create("db", containers=(slow,))
        await world.create("web", needs)
        await eventually(lambda: world.pod().status.container_statuses)
        assert main(world.pod()).state.waiting.reason == "DependencyNotReady"
        await world.ready()
        assert world.pod("db").ready
        world.runtime.exit((await world.record("db")).id, 1)
        world.runtime.exit((await world.record("web")).id, 1)
        await world.record("web", attempt=1)
        assert world.pod("db").ready, "web came back after db, not before"


async def test_a_deleted_pod_is_asked_then_killed_and_leaves_nothing(autojump_clock: MockClock, world: World) -> None:
    async with world.agent() as agent:
        made = await world.create(termination_grace_period_seconds=5)
        record = await world.record()
        await world.ready()
        deaf = world.runtime.kill

        async def kill(container: str, number: int, *, everyone: bool = False) -> None:
            world.events.reasons.append(signal.Signals(number).name)
            if number == signal.SIGKILL:
                await deaf(container, number, everyone=everyone)

        world.runtime.kill = kill  # type: ignore[method-assign]
        begun = trio.current_time()
        await world.cluster.delete(made)
        await eventually(world.gone)
        assert world.events.reasons.index("SIGTERM") < world.events.reasons.index("SIGKILL")
        assert 5 <= trio.current_time() - begun < 7
        await eventually(lambda: not agent.workers)
        assert not world.dataplane.links
        assert not (await world.runtime.state()).sandboxes
        assert world.files("logs") == []
        assert record.id not in world.runtime.specs


async def test_connections_are_drained_before_the_signal(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        made = await world.create(termination_grace_period_seconds=20)
        pod = await world.ready()
        address: Any = next(iter(world.dataplane.links.values())).ipv4
        world.dataplane.open[address] = 1
        await world.cluster.delete(made)
        await trio.sleep(3)
        assert not any(verb == "kill" for verb, _ in world.runtime.calls)
        world.dataplane.open.clear()
        await eventually(world.gone, within=5)
        assert pod.metadata.uid


async def test_the_deadline_fails_a_pod(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        await world.create(active_deadline_seconds=30)
        await world.ready()
        await eventually(lambda: world.pod().finished, within=40)
        assert (world.pod().status.phase, world.pod().status.reason) == ("Failed", "DeadlineExceeded")
        await eventually(lambda: not world.dataplane.links)


@pytest.mark.parametrize(
    ("policy", "code", "phase"), [("Never", 0, "Succeeded"), ("Never", 2, "Failed"), ("OnFailure", 0, "Succeeded")]
)
async def test_a_pod_finishes_as_its_policy_says(
    autojump_clock: MockClock, world: World, policy: str, code: int, phase: str
) -> None:
    async with world.agent():
        await world.create(restart_policy=policy)
        world.runtime.exit((await world.record()).id, code)
        await eventually(lambda: world.pod().finished)
        assert world.pod().status.phase == phase


async def test_what_cannot_be_started_is_told_and_tried_again(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        made = await world.create()
        world.runtime.fail_start(
            f"{made.metadata.uid}.main.0", RuntimeFailure("cannot run x: no", reason="NotExecutable")
        )
        await eventually(lambda: world.pod().status.container_statuses and main(world.pod()).state.waiting)
        await world.ready()
        assert "NotExecutable" in world.events.reasons
        assert main(world.pod()).restart_count == 0


async def test_a_start_that_failed_leaves_the_log_of_the_run_before(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        made = await world.create()
        first = await world.record()
        log = os.path.join(world.state, "logs", f"ns_web_{made.metadata.uid}", "main", "0")
        os.makedirs(log)
        failure = RuntimeFailure("cannot start it: the supervisor went", reason="StartError")
        world.runtime.fail_start(f"{made.metadata.uid}.main.1", failure)
        world.runtime.exit(first.id, 1)
        await world.record(attempt=1)
        assert world.files(f"logs/ns_web_{made.metadata.uid}/main") == ["0"]


async def test_an_image_that_is_not_there_is_named(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        await world.create(containers=(Container(name="main", image="nothing", image_pull_policy="Never"),))
        await eventually(lambda: world.pod().status.container_statuses)
        waiting = main(world.pod()).state.waiting
        assert waiting.reason == "ErrImageNeverPull"
        assert "here are busy" in waiting.message
        assert world.registry.asked == []


async def test_an_image_that_no_registry_has_is_asked_for_ever_less_often(
    autojump_clock: MockClock, world: World
) -> None:
    async with world.agent():
        await world.create(containers=(Container(name="main", image="nothing", image_pull_policy="IfNotPresent"),))
        await eventually(lambda: "ErrImagePull" in reasons(world))
        await eventually(lambda: "ImagePullBackOff" in reasons(world))
        assert "cannot find nothing" in main(world.pod()).state.waiting.message
        await trio.sleep(100)
        assert 4 <= len(world.registry.asked) <= 6  # after 10, 20, 40, 80 s


def reasons(world: World) -> list[str]:
    return [s.state.waiting.reason or "" for s in world.pod().status.container_statuses if s.state.waiting]


async def test_a_sandbox_that_went_is_made_anew(autojump_clock: MockClock, world: World) -> None:
    async with world.agent():
        made = await world.create()
        record = await world.record()
        world.runtime.exit(record.id, 1)
        await world.runtime.remove_sandbox(made.metadata.uid or "")
        await world.record(attempt=1)
        await world.ready()


async def test_stop_all_goes_in_reverse_and_keeps_the_objects(autojump_clock: MockClock, world: World) -> None:
    async with world.agent() as agent:
        await world.create("db")
        await world.create("web", {"orchestr.dev/depends-on": "pod/db"})
        await world.ready("db")
        await world.ready("web")
        await agent.stop_all()
        ended = [id for verb, id in world.runtime.calls if verb == "kill"]
        assert [id.split(".")[0] for id in ended] == [world.pod("web").metadata.uid, world.pod("db").metadata.uid]
    world.runtime.reboot()
    async with world.agent():
        await world.ready("web")
        assert main(world.pod("web")).last_state.terminated.exit_code == 143


async def test_files_of_strangers_are_swept(autojump_clock: MockClock, world: World) -> None:
    os.makedirs(os.path.join(world.state, "pods", STRANGER))
    async with world.agent():
        await world.create()
        await world.ready()
        assert STRANGER not in world.files("pods")


async def test_a_volume_for_one_pod_goes_from_one_to_the_next(
    autojump_clock: MockClock, world: World, tmp_path: Path
) -> None:
    alone = {"accessModes": ["ReadWriteOncePod"]}
    claim = {"metadata": {"name": "data", "namespace": "ns"}, "spec": {**alone, "volumeName": "v"}}
    await world.cluster.create(PersistentVolumeClaim.model_validate({**claim, "status": {"phase": "Bound"}}))
    volume = {"metadata": {"name": "v"}, "spec": {**alone, "local": {"path": str(tmp_path)}}}
    source = PersistentVolumeClaimVolumeSource(claim_name="data")
    mounting = {"volumes": (Volume(name="v", persistent_volume_claim=source),)}
    async with world.agent():
        await world.create("a", **mounting)
        await eventually(lambda: "volume of claim data not known yet" in str(world.pod("a").status))
        await world.cluster.create(PersistentVolume.model_validate(volume))
        await world.ready("a")
        await world.create("b", **mounting)
        await eventually(lambda: "claim data is in use by pod a (ReadWriteOncePod)" in str(world.pod("b").status))
        await world.cluster.delete(world.pod("a"))
        await eventually(lambda: world.gone("a"))
        await world.ready("b")
