"""Commands in running containers: with pipes, with a terminal, failing, left alone."""
# ruff: noqa: ASYNC230 - a test may look at files, and waits for state that has no event

import os
import signal
from typing import Any

import pytest
import trio

from orchestr.runtime.overlay import kernel
from orchestr.runtime.seam import ExecSession, ExecSpec, RuntimeFailure

Machine = Any  # of conftest.py


async def read_all(fd: int) -> bytes:
    parts = []
    with open(fd, "rb", buffering=0) as file:
        while True:
            try:
                part = await trio.to_thread.run_sync(file.read, 65536)
            except OSError:  # a terminal that nobody holds any more
                break
            if not part:
                break
            parts.append(part)
    return b"".join(parts)


async def outcome(session: ExecSession) -> tuple[int, bytes, bytes]:
    os.close(session.stdin)
    out, err = await read_all(session.stdout), await read_all(session.stderr)
    return await session.wait(), out, err


@pytest.fixture
async def container(machine: Machine) -> str:
    await machine.sandbox()
    await machine.start("c", "sleep", "1000")
    return "c"


async def test_output_and_code_come_back(machine: Machine, container: str) -> None:
    session = await machine.runtime.exec(ExecSpec(container, ("sh", "-c", "echo out; echo err >&2; exit 5")))
    assert await outcome(session) == (5, b"out\n", b"err\n")


async def test_input_environment_and_directory_are_passed(machine: Machine, container: str) -> None:
    spec = ExecSpec(container, ("sh", "-c", "cat; echo $X; pwd"), env={"X": "y"}, cwd="/tmp")
    session = await machine.runtime.exec(spec)
    os.write(session.stdin, b"in\n")
    assert await outcome(session) == (0, b"in\ny\n/tmp\n", b"")


async def test_a_signal_reaches_it(machine: Machine, container: str) -> None:
    session = await machine.runtime.exec(ExecSpec(container, ("sleep", "1000")))
    await session.kill(signal.SIGTERM)
    assert await outcome(session) == (143, b"", b"")
    await session.kill(signal.SIGTERM)  # of one that ended: fine


async def test_a_terminal_has_a_size(machine: Machine, container: str) -> None:
    session = await machine.runtime.exec(ExecSpec(container, ("sh", "-c", "read x; stty size; exit 3"), tty=True))
    assert (session.stdin, session.stderr) == (-1, -1)
    await session.resize(33, 101)
    os.write(session.stdout, b"go\n")
    output = await read_all(session.stdout)
    assert b"33 101" in output
    assert await session.wait() == 3


async def test_what_cannot_run_is_said(machine: Machine, container: str) -> None:
    with pytest.raises(RuntimeFailure) as failure:
        await machine.runtime.exec(ExecSpec(container, ("/nonexistent",)))
    assert failure.value.exit_code == 127
    with pytest.raises(RuntimeFailure, match="not there"):
        await machine.runtime.exec(ExecSpec("nothing", ("true",)))


async def test_failing_execs_leak_nothing(machine: Machine, container: str) -> None:
    supervisor = (await machine.runtime.state()).supervisor_pid
    before = machine.descriptors(supervisor), machine.descriptors("self")
    for _ in range(int(os.environ.get("ORCH_EXECS", "200"))):
        with pytest.raises(RuntimeFailure):
            await machine.runtime.exec(ExecSpec(container, ("/nonexistent",)))
        session = await machine.runtime.exec(ExecSpec(container, ("false",)))
        for fd in (session.stdin, session.stdout, session.stderr):
            os.close(fd)
        assert await session.wait() == 1
    await machine.runtime.stats([])
    assert (machine.descriptors(supervisor), machine.descriptors("self")) == before


async def test_an_exec_ends_with_its_daemon(machine: Machine, container: str) -> None:
    session = await machine.runtime.exec(ExecSpec(container, ("sleep", "1000")))
    pidfd = os.pidfd_open(session.pid)
    await machine.daemon()
    with trio.fail_after(10):
        await trio.lowlevel.wait_readable(pidfd)
    for fd in (pidfd, session.stdin, session.stdout, session.stderr):
        os.close(fd)


async def test_an_exec_is_waited_for_across_a_lost_supervisor(machine: Machine, container: str) -> None:
    session = await machine.runtime.exec(ExecSpec(container, ("sh", "-c", "read x; exit 6")))
    old = await machine.kill_supervisor()
    await machine.new_supervisor(old)
    os.write(session.stdin, b"go\n")
    if kernel() < (6, 15):  # which tells its parent alone
        with pytest.raises(RuntimeFailure, match="cannot tell how the command ended"):
            await outcome(session)
    else:
        assert (await outcome(session))[0] == 6
