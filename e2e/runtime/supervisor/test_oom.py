"""Out of memory: the whole container ends, and the numbers are told."""

from pathlib import Path
from typing import Any

import pytest

Machine = Any  # of conftest.py
EAT = "x=$(head -c 100000000 /dev/zero | tr '\\0' x)"  # in the shell itself


@pytest.mark.parametrize("script", [EAT, f'sh -c "{EAT}" & sleep 1000'])
async def test_the_container_ends_with_limit_and_peak(machine: Machine, script: str) -> None:
    limit = 32 << 20
    await machine.sandbox()
    started = await machine.start("c", "sh", "-c", script, resources={"memory": {"limit": limit, "swap": limit}})
    ended = await machine.exited("c")
    assert ended.exit_code == 137
    assert ended.oom is not None
    assert ended.oom.limit == limit
    assert 0 < ended.oom.peak <= limit
    if ended.oom.victim is not None:  # where /dev/kmsg can be read
        assert " pid " in ended.oom.victim
    await machine.eventually(lambda: not Path(f"/proc/{started.pid}").exists())


async def test_an_ordinary_kill_is_no_oom(machine: Machine) -> None:
    await machine.sandbox()
    await machine.start("c", "sleep", "1000", resources={"memory": {"limit": 32 << 20}})
    await machine.runtime.kill("c", 9)
    ended = await machine.exited("c")
    assert (ended.exit_code, ended.oom) == (137, None)
