"""The two ways to walk a plan, machine code and Python, do the same; the machine code is what its source says."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr.runtime import native, plan
from orchestr.runtime import syscalls as sc
from orchestr.runtime.forked import Forked
from orchestr.runtime.native import Walker
from orchestr.runtime.plan import Builder, Outcome, Plan
from orchestr.runtime.signals import blocked

Make = Callable[[], Walker | Forked | None]


@pytest.fixture(params=[Walker.make, Forked], ids=["native", "forked"])
def walker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    made = request.param()
    if made is None:
        pytest.skip("no machine code here")
    seat = plan.Seat()
    seat.walker = made
    monkeypatch.setattr(plan, "_free", [seat])


def run(outside: Builder, flags: int, inside: Builder, *, waits: bool = False) -> Outcome:
    inside.slots = max(inside.slots, outside.slots)
    what = Plan("test", tuple(outside.steps), flags, tuple(inside.steps), inside.slots, waits=waits)
    with blocked():
        return plan.run(what, os.pipe2(os.O_CLOEXEC))


def exit_with(b: Builder, code: int) -> None:
    b.add("exit", "", "exit_group", code)


def ended(outcome: Outcome) -> int:
    assert outcome.failed is None
    return os.waitstatus_to_exitcode(os.waitpid(outcome.pid, 0)[1])


@pytest.mark.skipif(not (shutil.which("as") and shutil.which("objcopy")), reason="binutils are needed")
def test_the_code_is_its_source_assembled(tmp_path: Path) -> None:
    source, made, code = Path(__file__).with_name("walk.s"), tmp_path / "walk.o", tmp_path / "walk.bin"
    subprocess.run(["as", "--64", "-o", made, source], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", made, code], check=True)
    assert code.read_bytes() == native.CODE


@pytest.mark.usefixtures("walker")
@pytest.mark.parametrize("waits", [False, True])
def test_the_sibling_is_the_callers_child_and_knows_the_results_of_the_first(waits: bool) -> None:
    outside, inside = Builder(), Builder()
    read, write = os.pipe2(os.O_CLOEXEC)
    copy = outside.keep("copy", "", "fcntl", write, 1030, 50)  # F_DUPFD_CLOEXEC
    inside.slots = outside.slots
    inside.add("write", "", "write", copy, b"from the sibling", 16)
    exit_with(inside, 5)
    assert ended(run(outside, 0, inside, waits=waits)) == 5
    os.close(write)
    with os.fdopen(read) as file:
        assert file.read() == "from the sibling"


@pytest.mark.usefixtures("walker")
def test_a_failure_is_told_with_its_step_whoever_had_it() -> None:
    for failing in ("outside", "inside"):
        outside, inside = Builder(), Builder()
        for name, b in (("outside", outside), ("inside", inside)):
            b.add("set umask", "", "umask", 0o22)
            if name == failing:
                b.add(f"fail {name}", "", "fchdir", -1)
        outcome = run(outside, 0, inside)
        assert outcome.pid == 0
        assert outcome.failed is not None
        assert (outcome.failed[0].what, outcome.failed[1]) == (f"fail {failing}", 9)


@pytest.mark.usefixtures("walker")
def test_a_sibling_that_cannot_be_made_is_told() -> None:
    inside = Builder()
    inside.add("fail", "", "fchdir", -1)
    outcome = run(Builder(), sc.CLONE_NEWNS | 0x200, inside)  # CLONE_FS with it is refused
    assert outcome.failed is not None
    assert (outcome.failed[0].what, outcome.failed[1]) == ("make namespaces", 22)


@pytest.mark.usefixtures("walker")
def test_it_goes_on_while_the_child_waits_and_the_child_keeps_its_steps() -> None:
    """As create and start of an OCI runtime: the parent is told, and makes other plans before the child goes on."""
    gate, go = os.pipe2(os.O_CLOEXEC)
    outside, inside, pipe = Builder(), Builder(), os.pipe2(os.O_CLOEXEC)
    inside.add("report", "", "close", pipe[1])
    inside.add("wait", "", "read", gate, bytes(8), 1)
    exit_with(inside, 9)
    with blocked():
        outcome = plan.run(Plan("test", (), 0, tuple(inside.steps), 0, waits=True), pipe)
        other = Builder()
        exit_with(other, 1)
        assert ended(run(outside, 0, other)) == 1
    os.write(go, b"1")
    assert ended(outcome) == 9
    os.close(gate)
    os.close(go)


@pytest.mark.usefixtures("walker")
@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
def test_steps_are_skipped_as_they_say(steps: list[tuple[bool, int, int]]) -> None:
    """Each step leaves its number in a pipe or fails with a tolerated error, and skips some that follow."""
    read, write = os.pipe2(os.O_CLOEXEC)
    b, expected, at = Builder(), bytearray(), 0
    for number, (works, done, missing) in enumerate(steps):
        data = bytes([number])
        b.add("write", "", "write", write if works else -1, data, 1, tolerate=(2, 13, 9), done=done, missing=missing)
    for _ in range(4):
        exit_with(b, 0)
    while at < len(steps):
        works, done, missing = steps[at]
        expected += bytes([at]) if works else b""
        at += 1 + (done if works else missing)
    assert ended(run(b, -1, Builder())) == 0
    os.close(write)
    with os.fdopen(read, "rb") as file:
        assert file.read() == expected


@pytest.mark.usefixtures("walker")
def test_this_process_is_as_dumpable_as_before() -> None:
    b = Builder()
    b.add("become undumpable", "", "prctl", sc.PR_SET_DUMPABLE, 0, 0, 0, 0)
    exit_with(b, 0)
    assert ended(run(b, -1, Builder())) == 0
    assert sc.call("prctl", 3, 0, 0, 0, 0) == 1  # PR_GET_DUMPABLE
