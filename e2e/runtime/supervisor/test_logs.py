"""Logs of real containers: rotation under a follower, a full disk, a loud neighbour."""
# ruff: noqa: ASYNC240 - a test may look at files, and waits for state that has no event

import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

import trio

from orchestr.runtime import logs, syscalls
from orchestr.runtime.seam import LogSpec

Machine = Any  # of conftest.py


async def test_a_follower_sees_every_line_across_rotation(machine: Machine) -> None:
    await machine.sandbox()
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
    await machine.start("c", "sh", "-c", script, log=LogSpec(machine.logs("c"), 16 << 10, 1000))
    with trio.fail_after(30):
        async with aclosing(logs.follow(machine.logs("c"))) as lines:
            got = [line.data async for line in lines]
    assert got == [b"line %d" % number for number in range(20000)]


async def test_rotation_bounds_what_is_kept(machine: Machine) -> None:
    await machine.sandbox()
    await machine.start("c", "sh", "-c", "seq 1 200000", log=LogSpec(machine.logs("c"), 64 << 10, 3))
    await machine.exited("c")
    files = list(Path(machine.logs("c")).glob("*.log"))
    assert len(files) == 3
    assert machine.output("c").endswith(b"\n199999\n200000\n")


async def test_a_container_may_open_its_output_again(machine: Machine) -> None:
    await machine.sandbox()
    script = "echo a > /dev/stdout; echo b > /proc/self/fd/2; ls -l /proc/self/fd >/dev/null"
    await machine.start("c", "sh", "-c", script, user=(1000, 1000, ()))
    assert (await machine.exited("c")).exit_code == 0
    assert (machine.output("c"), machine.output("c", "stderr")) == (b"a\n", b"b\n")


async def test_a_full_disk_blocks_and_says_so(machine: Machine) -> None:
    small = machine.base / "small"
    small.mkdir()
    tmpfs = syscalls.new_mount(b"tmpfs", ((b"size", b"512k"),))
    target = os.open(small, syscalls.O_PATH)
    syscalls.call("move_mount", tmpfs, b"", target, b"", syscalls.MOVE_MOUNT_EMPTY)
    os.close(tmpfs)
    os.close(target)
    (small / "ballast").write_bytes(bytes(416 << 10))  # what fits beside it and into the pipe is less than all
    try:
        await machine.sandbox()
        await machine.start("c", "sh", "-c", "seq 1 40000; exit 3", log=LogSpec(str(small / "c")))
        held_up = await machine.until("c", lambda container: "no space left" in container.message.lower())
        assert held_up.status == "running"
        (small / "ballast").unlink()
        ended = await machine.until("c", lambda it: it.status == "exited" and not it.message)
        assert ended.exit_code == 3
        lines = [line.data for line in logs.read(str(small / "c"))]
        assert lines == [b"%d" % number for number in range(1, 40001)]
        await machine.runtime.remove_container("c")
    finally:
        syscalls.call("umount2", os.fsencode(small), syscalls.MNT_DETACH)


async def test_a_loud_container_does_not_hold_up_requests(machine: Machine) -> None:
    await machine.sandbox()
    await machine.start("loud", "sh", "-c", "yes 0123456789012345678901234567890123456789")
    with trio.fail_after(10):
        for number in range(20):
            await machine.start(f"c{number}", "true")
            await machine.exited(f"c{number}")
            await machine.runtime.remove_container(f"c{number}")
