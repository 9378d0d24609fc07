"""kill -9 of supervisor and daemon: no container, exit or log byte is lost; what nobody saw is said to be unknown."""

import os
import signal
from pathlib import Path
from typing import Any

import trio

Machine = Any  # of conftest.py
COUNT = "trap 'echo end $i; exit 7' TERM; i=0; while :; do echo $i; i=$((i+1)); done"


async def test_a_container_outlives_the_supervisor(machine: Machine) -> None:
    await machine.sandbox()
    started = await machine.start("c", "sleep", "1000")
    await machine.new_supervisor(await machine.kill_supervisor())
    state = await machine.runtime.state()
    assert [(it.status, it.pid) for it in state.containers] == [("running", started.pid)]
    fd = machine.runtime.netns("pod")
    assert os.fstat(fd).st_ino == os.stat(f"/proc/{started.pid}/ns/net").st_ino
    os.close(fd)
    await machine.start("d", "sh", "-c", "exit 5")
    assert (await machine.exited("d")).exit_code == 5
    await machine.runtime.kill("c", signal.SIGKILL)
    assert machine.ended(await machine.exited("c"), 137, signal.SIGKILL)


async def test_an_exit_while_no_supervisor_lived_is_known_to_the_daemon(machine: Machine) -> None:
    await machine.sandbox()
    script = "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep 0.01; done"
    started = await machine.start("c", "sh", "-c", script)
    while machine.output("c") != b"up\n":
        await machine.runtime.stats(["c"])
    pidfd = os.pidfd_open(started.pid)
    old = await machine.kill_supervisor()
    os.kill(started.pid, signal.SIGTERM)
    await trio.lowlevel.wait_readable(pidfd)
    os.close(pidfd)
    assert machine.ended(await machine.exited("c"), 9)
    assert machine.output("c") == b"up\nbye\n", "the daemon kept the pipe"
    await machine.new_supervisor(old)


async def test_an_exit_that_nobody_saw_is_unknown(machine: Machine) -> None:
    await machine.sandbox()
    started = await machine.start("c", "sleep", "1000")
    pidfd = os.pidfd_open(started.pid)
    await machine.kill_supervisor()
    machine.stop_daemon()
    os.kill(started.pid, signal.SIGKILL)
    await trio.lowlevel.wait_readable(pidfd)
    os.close(pidfd)
    await machine.eventually(lambda: not Path(f"/proc/{started.pid}").exists())  # reaped by init: nobody else can tell
    await machine.daemon()
    ended = await machine.exited("c")
    assert (ended.exit_code, ended.signal) == (None, None)
    assert "unknown" in ended.message
    state = await machine.runtime.state()
    assert state.sandboxes == (), "no living process held its namespaces"
    await machine.sandbox()
    await machine.runtime.remove_container("c")
    await machine.start("c", "sleep", "1000")


async def test_a_new_daemon_learns_everything(machine: Machine) -> None:
    await machine.sandbox()
    running = await machine.start("a", "sh", "-c", COUNT)
    await machine.start("b", "sh", "-c", "exit 4")
    machine.stop_daemon()
    await machine.daemon()
    assert (await machine.exited("b")).exit_code == 4
    state = await machine.runtime.state()
    assert {it.id: it.status for it in state.containers} == {"a": "running", "b": "exited"}
    await machine.runtime.kill("a", signal.SIGTERM)
    assert (await machine.exited("a")).exit_code == 7
    assert counted(machine.output("a"))
    assert running.pid == next(it.pid for it in state.containers if it.id == "a")


async def test_twenty_kills_under_load_lose_nothing(machine: Machine) -> None:
    from orchestr.runtime.seam import LogSpec

    await machine.sandbox()
    loud = ["c0", "c1", "c2"]
    for id in loud:
        await machine.start(id, "sh", "-c", COUNT, log=LogSpec(machine.logs(id), 1 << 20, 10_000))
    for turn in range(20):
        old = await machine.kill_supervisor()
        await machine.start(f"x{turn}", "sh", "-c", f"echo {turn}; exit {turn}")  # asked while none lives
        assert (await machine.exited(f"x{turn}")).exit_code == turn
        assert machine.output(f"x{turn}") == b"%d\n" % turn
        await machine.new_supervisor(old)
    for id in loud:
        await machine.runtime.kill(id, signal.SIGTERM)
        assert machine.ended(await machine.exited(id), 7)
        assert counted(machine.output(id))


def counted(output: bytes) -> bool:
    """Every number once, in order, and the end."""
    *numbers, end = output.split(b"\n")[:-1]
    return numbers == [b"%d" % n for n in range(len(numbers))] and end in (
        b"end %d" % len(numbers),
        b"end %d" % (len(numbers) - 1),
    )


async def test_a_terminal_outlives_the_supervisor(machine: Machine) -> None:
    await machine.sandbox()
    await machine.start("c", "sh", "-c", "trap 'echo bye; exit 3' TERM; tty; while :; do sleep 0.01; done", tty=True)
    while b"/dev/" not in machine.output("c"):
        await machine.runtime.stats(["c"])
    await machine.new_supervisor(await machine.kill_supervisor())
    await machine.runtime.kill("c", signal.SIGTERM)
    assert machine.ended(await machine.exited("c"), 3)
    assert machine.output("c").endswith(b"bye\r\n")
