"""A container from start to removal: what is told is true, and what is removed is gone."""
# ruff: noqa: ASYNC240 - a test may look at files, and waits for state that has no event

import os
import signal
from typing import Any

import pytest

from orchestr.runtime import cgroups
from orchestr.runtime.seam import RuntimeFailure, SandboxSpec

Machine = Any  # of conftest.py


@pytest.mark.parametrize("code", [0, 1, 3, 255])
async def test_an_exit_code_is_told(machine: Machine, code: int) -> None:
    await machine.sandbox()
    started = await machine.start("c", "sh", "-c", f"echo out; echo err >&2; exit {code}")
    assert started.pid
    ended = await machine.exited("c")
    assert (ended.exit_code, ended.signal, ended.oom, ended.message) == (code, None, None, "")
    assert ended.started_at <= ended.finished_at
    assert machine.output("c") == b"out\n"
    assert machine.output("c", "stderr") == b"err\n"


@pytest.mark.parametrize("everyone", [False, True])
async def test_a_signal_is_told(machine: Machine, everyone: bool) -> None:
    await machine.sandbox()
    await machine.start("c", "sleep", "1000")
    await machine.runtime.kill("c", signal.SIGKILL, everyone=everyone)
    ended = await machine.exited("c")
    assert (ended.exit_code, ended.signal) == (137, signal.SIGKILL)
    await machine.runtime.kill("c", signal.SIGKILL)  # of one that exited: fine


async def test_a_signal_is_handled_by_the_container(machine: Machine) -> None:
    await machine.sandbox()
    await machine.start("c", "sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done")
    while machine.output("c") != b"ready\n":
        await machine.runtime.stats(["c"])
    await machine.runtime.kill("c", signal.SIGTERM)
    assert (await machine.exited("c")).exit_code == 7


async def test_starting_the_same_id_again_changes_nothing(machine: Machine) -> None:
    await machine.sandbox()
    first = await machine.start("c", "sleep", "1000")
    assert (await machine.start("c", "sleep", "1000")).pid == first.pid
    await machine.sandbox()
    state = await machine.runtime.state()
    assert [it.id for it in state.containers] == ["c"]
    assert state.sandboxes[0].pid_path == f"/proc/{first.pid}"


@pytest.mark.parametrize(
    ("args", "reason", "code"),
    [(["/nonexistent"], "ExecutableNotFound", 127), (["/etc"], "NotExecutable", 126)],
)
async def test_a_start_that_fails_leaves_nothing(machine: Machine, args: list[str], reason: str, code: int) -> None:
    await machine.sandbox()
    with pytest.raises(RuntimeFailure) as failure:
        await machine.start("c", *args)
    assert (failure.value.reason, failure.value.exit_code) == (reason, code)
    assert not (await machine.runtime.state()).containers
    assert not list(cgroups.directories(f"{machine.cgroup}/pod/c"))
    assert not os.listdir(f"{machine.run}/containers")


async def test_what_is_unknown_is_said(machine: Machine) -> None:
    with pytest.raises(RuntimeFailure, match="create it first"):
        await machine.start("c", "true")
    with pytest.raises(RuntimeFailure, match="choose another"):
        await machine.runtime.create_sandbox(SandboxSpec("../x", "h", machine.cgroup))
    with pytest.raises(KeyError):
        machine.runtime.netns("nothing")
    await machine.runtime.remove_container("nothing")
    await machine.runtime.remove_sandbox("nothing")
    assert await machine.runtime.stats(["nothing"]) == {}


async def test_removing_takes_everything(machine: Machine) -> None:
    await machine.sandbox()
    await machine.start("c", "sh", "-c", "sleep 1000 & sleep 1000")
    await machine.start("d", "true")
    await machine.exited("d")
    await machine.runtime.remove_container("c", keep_upper=True)
    assert (machine.base / "upper" / "c").exists()
    assert os.path.exists(machine.logs("c"))
    await machine.runtime.remove_container("d", keep_logs=False)
    assert not (machine.base / "upper" / "d").exists()
    assert not os.path.exists(machine.logs("d"))
    assert not list(cgroups.directories(f"{machine.cgroup}/pod/c"))
    await machine.runtime.remove_sandbox("pod")
    assert not list(cgroups.directories(f"{machine.cgroup}/pod"))
    state = await machine.runtime.state()
    assert (state.sandboxes, state.containers) == ((), ())


async def test_a_sandbox_is_removed_with_what_runs_in_it(machine: Machine) -> None:
    await machine.sandbox(share_pid=True)
    for number in range(3):
        await machine.start(f"c{number}", "sleep", "1000")
    await machine.runtime.remove_sandbox("pod")
    assert {it.exit_code for it in (await machine.runtime.state()).containers} == {137}


async def test_the_network_namespace_is_handed_out(machine: Machine) -> None:
    await machine.sandbox()
    started = await machine.start("c", "sleep", "1000")
    fd = machine.runtime.netns("pod")
    assert os.fstat(fd).st_ino == os.stat(f"/proc/{started.pid}/ns/net").st_ino
    os.close(fd)


async def test_limits_are_changed_while_it_runs(machine: Machine) -> None:
    await machine.sandbox()
    await machine.start("c", "sleep", "1000")
    await machine.runtime.update("c", {"memory": {"limit": 64 << 20}})
    assert cgroups.oom(f"{machine.cgroup}/pod/c").limit == 64 << 20
    stats = await machine.runtime.stats(["c", "pod"])
    assert stats["c"].pids == 1
    assert stats["pod"].memory_bytes >= stats["c"].memory_bytes > 0


async def test_volatile_is_a_private_tmpfs(machine: Machine) -> None:
    place = machine.runtime.volatile()
    assert os.path.ismount(place)
    assert os.stat(place).st_mode & 0o7777 == 0o700


async def test_ids_that_begin_alike_are_two_containers(machine: Machine) -> None:
    await machine.sandbox()
    uid = "0b5a6f0c-96ac-4c7e-9b39-0a3c7d1f2e4d"
    await machine.start(f"{uid}.web1.0", "sleep", "1000")
    await machine.start(f"{uid}.web2.0", "sleep", "1000")
    await machine.runtime.kill(f"{uid}.web1.0", signal.SIGKILL, everyone=True)
    await machine.exited(f"{uid}.web1.0")
    assert {it.status for it in (await machine.runtime.state()).containers} == {"exited", "running"}
