"""FakeRuntime keeps the seam's promises without a process."""

import os

import pytest
import trio
from trio.testing import MockClock

from orchestr.runtime.fake import FakeRuntime, Script
from orchestr.runtime.seam import ContainerSpec, ExecSpec, OomKill, Rootfs, Runtime, RuntimeFailure, SandboxSpec


def spec(id: str, sandbox: str = "pod") -> ContainerSpec:
    return ContainerSpec(id, sandbox, {}, Rootfs((), ""), None)


@pytest.fixture
async def fake() -> FakeRuntime:
    made = FakeRuntime(clock=lambda: 5.0)
    await made.create_sandbox(SandboxSpec("pod", "h", "orch/pod"))
    return made


def test_it_is_a_runtime() -> None:
    _: Runtime = FakeRuntime()


async def test_starting_twice_is_once(fake: FakeRuntime) -> None:
    first = await fake.start_container(spec("c"))
    assert await fake.start_container(spec("c")) == first
    assert (first.status, first.pid, first.started_at) == ("running", 1001, 5.0)
    with pytest.raises(RuntimeFailure, match="create it first"):
        await fake.start_container(spec("d", "nowhere"))


async def test_ends_are_told_with_their_cause(fake: FakeRuntime) -> None:
    for id in ("a", "b", "c", "d"):
        await fake.start_container(spec(id))
    fake.exit("a", 3)
    fake.oom_kill("b", OomKill(1, 2, None))
    fake.exit("c", None, message="unknown")
    await fake.kill("d", 15)
    told = {it.id: it for it in (await fake.state()).containers}
    assert [told[id].exit_code for id in "abcd"] == [3, 137, None, 143]
    assert told["b"].oom == OomKill(1, 2, None)
    assert (told["d"].signal, told["c"].message) == (15, "unknown")
    with pytest.raises(ValueError, match="is exited"):
        fake.exit("a")


async def test_a_failure_is_raised_once(fake: FakeRuntime) -> None:
    fake.fail_start("c", RuntimeFailure("cannot", reason="StartError"))
    with pytest.raises(RuntimeFailure):
        await fake.start_container(spec("c"))
    assert (await fake.start_container(spec("c"))).status == "running"


async def test_scripts_follow_the_clock(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    fake = FakeRuntime(lambda spec: Script(after=3600, code=2) if spec.id == "short" else None)
    await nursery.start(fake.run)
    await fake.create_sandbox(SandboxSpec("pod", "h", "orch/pod"))
    await fake.start_container(spec("short"))
    await fake.start_container(spec("long"))
    start = trio.current_time()
    async for it in fake.events():
        if it.status == "exited":
            break
    assert (it.id, it.exit_code, trio.current_time() - start) == ("short", 2, 3600)


async def test_a_reader_gets_the_present_and_the_latest_of_what_comes(fake: FakeRuntime) -> None:
    await fake.start_container(spec("a"))
    events = fake.events()
    assert (await anext(events)).id == "a"
    await fake.start_container(spec("b"))
    fake.exit("b", 1)
    fake.exit("a", 0)
    assert [(it.id, it.status) for it in (await anext(events), await anext(events))] == [
        ("b", "exited"),
        ("a", "exited"),
    ]
    fake.lose_connection()
    assert {(await anext(events)).id, (await anext(events)).id} == {"a", "b"}


async def test_removal_forgets(fake: FakeRuntime) -> None:
    await fake.start_container(spec("a"))
    await fake.start_container(spec("b"))
    await fake.remove_container("a")
    await fake.remove_container("a")
    await fake.remove_sandbox("pod")
    state = await fake.state()
    assert state.sandboxes == ()
    assert [(it.id, it.exit_code) for it in state.containers] == [("b", 137)]
    with pytest.raises(KeyError):
        fake.netns("pod")


async def test_an_exec_has_descriptors_that_the_caller_closes(fake: FakeRuntime) -> None:
    await fake.start_container(spec("a"))
    with pytest.raises(RuntimeFailure, match="not running"):
        await fake.exec(ExecSpec("b", ("x",)))
    session = await fake.exec(ExecSpec("a", ("x",)))
    for fd in (session.stdin, session.stdout, session.stderr):
        os.close(fd)
    assert await session.wait() == 0


async def test_ten_thousand_containers(fake: FakeRuntime) -> None:
    for number in range(10_000):
        await fake.start_container(spec(f"c{number}"))
    assert len((await fake.state()).containers) == 10_000
