"""Launch plans are data: built, compared and walked here without root."""

import ctypes
import errno
import os

import pytest

from orchestr.runtime import mountopts, mounts, plan, process, seccomp, targets
from orchestr.runtime import syscalls as sc
from orchestr.runtime.mountopts import Options
from orchestr.runtime.plan import Builder, Plan, Result, Step
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.users import User

ROOT = 7


def calls(b: Builder) -> list[tuple[str, ...]]:
    return [(sc.NAMES[step.nr], step.what, step.where) for step in b.steps]


def run(b: Builder) -> plan.Outcome:
    return plan.run(Plan("test", (), -1, tuple(b.steps), b.slots), os.pipe2(os.O_CLOEXEC))


def test_a_tmpfs_is_these_calls_and_no_other() -> None:
    b = Builder()
    mounts.filesystem(
        mounts.Context(b, ROOT, -1, []), "tmpfs", "/shm", mountopts.parse(["nosuid", "size=64k"], "tmpfs", "/shm")
    )
    how = sc.open_how(sc.O_PATH | os.O_DIRECTORY)
    attached = sc.MOVE_MOUNT_EMPTY
    absent, there = (errno.ENOENT,), (errno.EEXIST,)
    assert b.steps == [
        Step("mount tmpfs", "/shm", sc.NR["openat2"], (ROOT, b"shm", how, len(how)), 0, absent, done=2),
        Step("make the directory to mount tmpfs", "/shm", sc.NR["mkdirat"], (ROOT, b"shm", 0o755), -1, there),
        Step("mount tmpfs", "/shm", sc.NR["openat2"], (ROOT, b"shm", how, len(how)), 0),
        Step("open tmpfs", "/shm", sc.NR["fsopen"], (b"tmpfs", 1), 1),
        Step("name tmpfs", "/shm", sc.NR["fsconfig"], (Result(1), 1, b"source", b"tmpfs", 0)),
        Step("set size of tmpfs", "/shm", sc.NR["fsconfig"], (Result(1), 1, b"size", b"64k", 0)),
        Step("create tmpfs", "/shm", sc.NR["fsconfig"], (Result(1), 6, None, None, 0)),
        Step("mount tmpfs", "/shm", sc.NR["fsmount"], (Result(1), 1, sc.MOUNT_ATTR_NOSUID), 2),
        Step("attach tmpfs", "/shm", sc.NR["move_mount"], (Result(2), b"", Result(0), b"", attached)),
    ]


def test_proc_is_never_mounted_through_a_link_of_the_image() -> None:
    b = Builder()
    mounts.filesystem(mounts.Context(b, ROOT, -1, []), "proc", "/proc", Options())
    opened = [step for step in b.steps if step.nr == sc.NR["openat2"]]
    no_links = sc.open_how(sc.O_PATH | os.O_DIRECTORY, 0, sc.INSIDE | sc.RESOLVE_NO_SYMLINKS)
    assert opened
    assert all(step.args[2] == no_links for step in opened)


@pytest.mark.parametrize("path", ["/a/../b", "a/b", "", "/a\0b"])
def test_a_target_is_an_absolute_path_inside(path: str) -> None:
    with pytest.raises(RuntimeFailure, match="cannot use path"):
        targets.open_or_make(Builder(), ROOT, path, "mount", directory=True)


def test_nothing_is_left_open_before_exec_but_the_pipe() -> None:
    b = Builder()
    process.close_all(b, 30, -1)
    assert calls(b) == [
        ("dup3", "keep the pipe", "the process"),
        ("close_range", "close descriptors", "the process"),
    ]
    assert b.steps[1].args == (4, 2**32 - 1, 0)


def test_the_command_is_tried_along_path_and_the_last_place_decides() -> None:
    b, keep = Builder(), process.Keep()
    process.Command(b, keep, {"args": ["web"]}, ["PATH=/bin:/opt"]).run()
    assert [(step.args[0], step.tolerate != ()) for step in b.steps] == [(b"/bin/web", True), (b"/opt/web", False)]


def test_groups_are_set_even_when_there_are_none() -> None:
    b = Builder()
    process.identity(b, {"noNewPrivileges": True}, User(5, 6), None, lambda: None)
    names = [name for name, _, _ in calls(b)]
    assert names.index("setgroups") < names.index("setresgid") < names.index("setresuid") < names.index("capset")
    assert next(step for step in b.steps if step.nr == sc.NR["setgroups"]).args == (0, b"")


@pytest.mark.parametrize("no_new_privs", [True, False])
def test_the_command_is_looked_for_before_a_filter_that_may_not_allow_that(no_new_privs: bool) -> None:
    """And with the process's own rights. Without no_new_privs the filter needs CAP_SYS_ADMIN, which goes afterwards."""
    b, keep = Builder(), process.Keep()
    command = process.Command(b, keep, {"args": ["web"]}, ["PATH=/bin"])
    filtered = seccomp.Filter(ctypes.create_string_buffer(8), 0)

    def load() -> None:
        seccomp.install(b, filtered)

    process.identity(b, {"noNewPrivileges": no_new_privs}, User(5, 6), load, command.find)
    names = [name for name, _, _ in calls(b)]
    assert names.index("setresuid") < names.index("capset") < names.index("faccessat2") < names.index("seccomp")
    assert (names[-1] == "seccomp") is no_new_privs
    assert "execve" not in names


def test_home_is_given_when_missing_or_empty_and_the_last_of_a_name_counts() -> None:
    def given(*env: str) -> list[str]:
        return process.environment({"env": env}, User(1, 1, (), "/home/x"))

    assert given("A=1", "A=2") == ["A=2", "HOME=/home/x"]
    assert given("HOME=/y", "HOME=") == ["HOME=/home/x"]
    assert given("HOME=", "PATH=/x", "HOME=/y") == ["HOME=/y", "PATH=/x"]


def test_a_failed_step_is_told_with_its_object_and_hint() -> None:
    b = Builder()
    b.add("open", "/nowhere", "openat", sc.AT_FDCWD, b"/nowhere/at/all", os.O_RDONLY, 0)
    outcome = run(b)
    assert outcome.pid == 0
    assert outcome.failed is not None
    error = plan.launch_error("web-1", *outcome.failed)
    assert str(error) == "cannot open on /nowhere of web-1: No such file or directory (openat(2))"


def test_a_missing_command_is_127_and_one_that_may_not_run_is_126() -> None:
    for args, code in ((["nowhere"], 127), (["/etc/passwd"], 126), (["/etc"], 126)):
        for step in (process.Command.run, process.Command.find):
            b, keep = Builder(), process.Keep()
            step(process.Command(b, keep, {"args": args}, ["PATH=/bin:/usr/bin"]))
            outcome = run(b)
            assert outcome.failed is not None
            assert plan.launch_error("x", *outcome.failed).exit_code == code


def test_a_command_that_runs_is_a_child_to_reap() -> None:
    b, keep = Builder(), process.Keep()
    process.Command(b, keep, {"args": ["sh", "-c", "exit 7"]}, ["PATH=/bin:/usr/bin"]).run()
    outcome = run(b)
    assert outcome.failed is None
    assert os.waitstatus_to_exitcode(os.waitpid(outcome.pid, 0)[1]) == 7


def test_a_step_that_may_fail_skips_what_depends_on_it() -> None:
    b = Builder()
    absent = (errno.ENOENT,)
    b.add("open", "", "openat", sc.AT_FDCWD, b"/nowhere", os.O_RDONLY, 0, tolerate=absent, missing=1)
    b.add("exit", "", "exit_group", 3)
    b.add("exit", "", "exit_group", 4)
    assert os.waitstatus_to_exitcode(os.waitpid(run(b).pid, 0)[1]) == 4
