"""A launch as data: steps are built and checked by the parent; the child between clone and exec only walks them.

    parent                               first child ("outside")            its sibling ("inside")
    builds the plan, opens descriptors
    clone3 ---------------------------->  walks plan.outside: joins cgroups,
    waits for the end of the pipe         rlimits, namespaces; clone3
                                          (CLONE_PARENT) ------------------> is the parent's child; walks
    reaps it <--------------------------  exits                              plan.inside: mounts, user, seccomp
    end of pipe <---------------------------------------------------------  execve closes the pipe

The children are machine code in the parent's memory (native.py) or, where that cannot be, forks of Python (forked.py).
They import nothing and word no message. A step that fails is told by its index and errno in a page shared with the
parent, which holds the same plan and says what, where and why.
"""

import ctypes
import errno
import mmap
import os
from collections.abc import Callable
from typing import NamedTuple

from orchestr.runtime import syscalls
from orchestr.runtime.forked import Forked
from orchestr.runtime.native import Walker
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import SIGCHLD, SIGKILL
from orchestr.runtime.steps import Builder, Result, Step
from orchestr.runtime.syscalls import NAMES, NR

__all__ = ["Builder", "LaunchError", "Outcome", "Plan", "Result", "Step", "launch_error", "run"]


class Plan(NamedTuple):
    name: str  # of the container, for messages
    outside: tuple[Step, ...]
    flags: int  # of the second clone3; -1: there is none, and inside is walked by the first child
    inside: tuple[Step, ...]
    slots: int
    first: int = 0  # flags of the first clone3
    waits: bool = False  # the child goes on after `run` has returned: it must have memory of its own


class LaunchError(RuntimeFailure):
    """A step failed; nothing is left behind. exit_code is 127 or 126 when the command was not found or cannot run."""


class Seat:
    """What one launch at a time works with; a hook is launched while its container's launch waits, in another."""

    def __init__(self) -> None:
        self.walker: Walker | Forked = Walker.make() or Forked()
        page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self.pid = ctypes.c_int.from_buffer(page)  # of the sibling; the kernel writes it for the first child


_free: list[Seat] = []


class Outcome(NamedTuple):
    pid: int  # 0 when there is none
    failed: tuple[Step, int, bool] | None  # the step, its errno, whether some execve before was refused with EACCES


def run(
    plan: Plan,
    pipe: tuple[int, int],
    *,
    cgroup: int = -1,
    meanwhile: Callable[[int], None] | None = None,
    paused: Callable[[int], None] | None = None,
) -> Outcome:
    """Carries the plan out; returns when the command runs or a step has failed. Reaps all but the command.

    `pipe` is closed on exec; its write end is the one that the children hold. `cgroup` is a v2 directory to be born
    in, or -1. `meanwhile` is called with the first child's pid while that runs, `paused` with the sibling's for each
    byte that it has written to the pipe; when one of them raises, the children are killed.
    Call with all signals blocked, in a process of one thread.
    """
    seat = _free.pop() if _free else Seat()
    share = 0 if plan.waits or not seat.walker.shares else syscalls.CLONE_VM
    if share and meanwhile is None:
        share |= syscalls.CLONE_VFORK  # with it the kernel never takes this process for the child's want of memory
    pid = _start(plan, seat, cgroup, share)
    os.close(pipe[1])
    try:
        if meanwhile is not None:
            meanwhile(pid)
        while os.read(pipe[0], 1):
            if paused is not None:
                paused(seat.pid.value)
    except BaseException:
        for child in (pid, seat.pid.value):
            if child:
                os.kill(child, SIGKILL)
                os.waitpid(child, 0)
        raise
    finally:
        os.close(pipe[0])
        if share:
            # A child that changes its identity makes the memory it runs in undumpable: this process's.
            syscalls.call("prctl", syscalls.PR_SET_DUMPABLE, 1, 0, 0, 0)
    outcome = _outcome(plan, pid, seat)
    _free.append(seat)
    return outcome


def _start(plan: Plan, seat: Seat, cgroup: int, share: int) -> int:
    into = syscalls.CLONE_INTO_CGROUP if cgroup >= 0 else 0
    flags = plan.first | share | syscalls.CLONE_CLEAR_SIGHAND | into
    first, second = syscalls.clone_args(flags, SIGCHLD, 0, max(cgroup, 0)), None
    seat.pid.value = 0
    if plan.flags != -1:
        flags = plan.flags | share | syscalls.CLONE_PARENT | syscalls.CLONE_PARENT_SETTID
        second = syscalls.clone_args(flags, 0, ctypes.addressof(seat.pid))
    return seat.walker.start(first, second, *_lists(plan), plan.slots)


def _lists(plan: Plan) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """The steps of the first child, and of its sibling."""
    return ((*plan.outside, *plan.inside), ()) if plan.flags == -1 else (plan.outside, plan.inside)


def _outcome(plan: Plan, first: int, seat: Seat) -> Outcome:
    pid, failure = first, seat.walker.failure()
    if plan.flags != -1:
        os.waitpid(first, 0)
        pid = seat.pid.value
    if failure is None:
        return Outcome(pid, None)
    if pid:
        os.waitpid(pid, 0)
    steps, index = _lists(plan)[failure.sibling], failure.at
    step = steps[index] if index < len(steps) else Step("make namespaces", "", NR["clone3"], ())
    return Outcome(0, (step, failure.code, failure.denied))


def launch_error(name: str, step: Step, code: int, denied: bool) -> LaunchError:
    """Words a failed step. See errnos.py for the part in parentheses."""
    call = NAMES[step.nr]
    if step.what in ("find", "run"):
        return _not_run(name, step, errno.EACCES if denied and code in (errno.ENOENT, errno.ENOTDIR) else code)
    hint = _cause(step, code) or syscalls.hint(call, code)
    where = f" on {step.where}" if step.where else ""
    return LaunchError(f"cannot {step.what}{where} of {name}: {os.strerror(code)} ({hint})", reason="StartError")


def _cause(step: Step, code: int) -> str:
    """What only the step knows, and the errno of its call does not say."""
    if step.what.startswith("set /process/scheduler") and code == errno.EPERM:
        from orchestr.runtime import scheduler

        return scheduler.refused()
    if step.what == "set oom_score_adj" and code == errno.EACCES:
        return "to lower it CAP_SYS_RESOURCE is needed, in the machine's user namespace"
    return ""


def _not_run(name: str, step: Step, code: int) -> LaunchError:
    if code in (errno.ENOENT, errno.ENOTDIR):
        cause = f"executable file not found: exec {step.where[1:-1]}: no such file or directory"
        text = f"{cause} (check the command, PATH and the script's first line)"
        return LaunchError(f"cannot run {step.where} of {name}: {text}", reason="ExecutableNotFound", exit_code=127)
    cause = "permission denied: is a directory" if code == errno.EISDIR else os.strerror(code)
    text = f"{cause} (is the file executable, and built for this machine?)".lower()
    return LaunchError(f"cannot run {step.where} of {name}: {text}", reason="NotExecutable", exit_code=126)
