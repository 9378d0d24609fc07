"""A launch as data: steps are built and checked by the parent; the child between clone and exec only walks them.

    parent                               first child ("outside")            its sibling ("inside")
    builds the plan, opens descriptors
    clone3 ---------------------------->  walks plan.outside: joins cgroups,
    waits for the end of the pipe         rlimits, namespaces; clone3
                                          (CLONE_PARENT) ------------------> is the parent's child; walks
    reaps it <--------------------------  exits                              plan.inside: mounts, user, seccomp
    end of pipe <---------------------------------------------------------  execve closes the pipe

The children import nothing, word no message and allocate next to nothing. A step that fails is told by (phase, index,
errno) in a page shared with the parent, which holds the same plan and says what, where and why.
"""

import ctypes
import errno
import mmap
import os
import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from orchestr.runtime import syscalls
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import SIGCHLD, SIGKILL
from orchestr.runtime.syscalls import NAMES, NR, Arg

HINTS: Final = {
    errno.ENOSYS: "the kernel or a seccomp filter lacks {call}(2); Linux 6.1 or newer is needed",
    errno.EPERM: "{call}(2) was refused; root with CAP_SYS_ADMIN is needed",
    errno.ENOSPC: "{call}(2); a limit on namespaces, mounts or disk space is reached",
    errno.ELOOP: "{call}(2); the path leads through a magic link or out of the container",
    errno.EROFS: "{call}(2); make the directory in the image, or the root writable",
    errno.ENOMEM: "{call}(2); the memory limit is too small to start anything",
}


class Result(NamedTuple):
    """Stands for the value that a named step will have returned: a descriptor, mostly."""

    slot: int


class Step(NamedTuple):
    what: str  # "attach tmpfs"
    where: str  # "/dev/shm"; with what, the parent's half of an error message
    nr: int
    args: tuple[Arg | Result, ...]
    slot: int = -1  # where the returned value is kept for Result
    tolerate: tuple[int, ...] = ()  # errnos that are as good as success
    done: int = 0  # steps to skip when it succeeded
    missing: int = 0  # steps to skip when it failed with a tolerated errno


class Plan(NamedTuple):
    name: str  # of the container, for messages
    outside: tuple[Step, ...]
    flags: int  # of the second clone3; -1: there is none, and inside is walked by the first child
    inside: tuple[Step, ...]
    slots: int
    first: int = 0  # flags of the first clone3


class LaunchError(RuntimeFailure):
    """A step failed; nothing is left behind. exit_code is 127 or 126 when the command was not found or cannot run."""


class Builder:
    """Collects the steps of one child and hands out slots."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.slots = 0

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def add(
        self,
        what: str,
        where: str,
        name: str,
        *args: Arg | Result,
        tolerate: tuple[int, ...] = (),
        done: int = 0,
        missing: int = 0,
    ) -> None:
        self.steps.append(Step(what, where, NR[name], args, -1, tolerate, done, missing))

    def keep(
        self,
        what: str,
        where: str,
        name: str,
        *args: Arg | Result,
        slot: int | None = None,
        tolerate: tuple[int, ...] = (),
        done: int = 0,
        missing: int = 0,
    ) -> Result:
        """Like add, and the value returned can be used by later steps."""
        slot = self.slot() if slot is None else slot
        self.steps.append(Step(what, where, NR[name], args, slot, tolerate, done, missing))
        return Result(slot)


# The page: phase, index, errno, whether EACCES was tolerated; then the second child's pid, which the kernel writes.
# One launch at a time uses it.
_PAGE: Final = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
_RECORD: Final = struct.Struct("iiii")
_PID: Final = struct.Struct("i")
_PID_ADDRESS: Final = ctypes.addressof(ctypes.c_char.from_buffer(_PAGE)) + 16
OUTSIDE, INSIDE = 0, 1


def _walk(steps: tuple[Step, ...], results: list[int], phase: int) -> None:
    """In a child: carries out the steps; on failure records where and exits. Returns after the last one."""
    put, page, raw, get_errno, zeros = _RECORD.pack_into, _PAGE, syscalls.raw, ctypes.get_errno, (0,) * 6
    index, end, denied = 0, len(steps), 0
    while index < end:
        _, _, nr, args, slot, tolerate, done, missing = steps[index]
        real = [results[arg[0]] if type(arg) is Result else arg for arg in args]
        result = raw(nr, *real, *zeros[len(real) :])
        if result >= 0:
            if slot >= 0:
                results[slot] = result
            index += done
        else:
            code = get_errno()
            denied |= code == errno.EACCES
            if code not in tolerate:
                put(page, 0, phase, index, code, denied)
                raw(NR["exit_group"], 125, *zeros[1:])
            index += missing
        index += 1


class Outcome(NamedTuple):
    pid: int  # 0 when there is none
    failed: tuple[Step, int, bool] | None  # the step, its errno, whether some execve before was refused with EACCES


def run(
    plan: Plan, pipe: tuple[int, int], *, cgroup: int = -1, meanwhile: Callable[[int], None] | None = None
) -> Outcome:
    """Carries the plan out; returns when the command runs or a step has failed. Reaps all but the command.

    `pipe` is closed on exec; its write end is the one that the children hold. `cgroup` is a v2 directory to be born
    in, or -1. `meanwhile` is called with the first child's pid while that runs; when it raises, the child is killed.
    Call with all signals blocked, in a process of one thread.
    """
    _RECORD.pack_into(_PAGE, 0, -1, 0, 0, 0)
    _PID.pack_into(_PAGE, 16, 0)
    into = syscalls.CLONE_INTO_CGROUP if cgroup >= 0 else 0
    first = syscalls.clone_args(plan.first | syscalls.CLONE_CLEAR_SIGHAND | into, SIGCHLD, 0, max(cgroup, 0))
    second = syscalls.clone_args(
        max(plan.flags, 0) | syscalls.CLONE_PARENT | syscalls.CLONE_PARENT_SETTID, 0, _PID_ADDRESS
    )
    results = [0] * plan.slots
    pid = syscalls.call("clone3", first, len(first))
    if pid == 0:
        _child(plan, results, second)
    os.close(pipe[1])
    if meanwhile is not None:
        try:
            meanwhile(pid)
        except BaseException:
            os.kill(pid, SIGKILL)
            os.waitpid(pid, 0)
            os.close(pipe[0])
            raise
    return _await(plan, pid, pipe)


def _child(plan: Plan, results: list[int], second: bytes) -> None:
    try:
        _walk(plan.outside, results, OUTSIDE)
        if plan.flags != -1:
            made = syscalls.raw(NR["clone3"], second, len(second), 0, 0, 0, 0)
            if made != 0:
                if made < 0:
                    _RECORD.pack_into(_PAGE, 0, OUTSIDE, len(plan.outside), ctypes.get_errno(), 0)
                os._exit(0 if made > 0 else 125)
        _walk(plan.inside, results, INSIDE)
    finally:
        os._exit(125)  # a bug of ours: no exception may ever return into the parent's code


def _await(plan: Plan, first: int, pipe: tuple[int, int]) -> Outcome:
    while os.read(pipe[0], 1):
        pass
    os.close(pipe[0])
    phase, index, code, denied = _RECORD.unpack_from(_PAGE, 0)
    pid = first
    if plan.flags != -1:
        os.waitpid(first, 0)
        (pid,) = _PID.unpack_from(_PAGE, 16)
    if phase == -1:
        return Outcome(pid, None)
    if pid:
        os.waitpid(pid, 0)
    return Outcome(0, (_step(plan, phase, index), code, bool(denied)))


def _step(plan: Plan, phase: int, index: int) -> Step:
    steps = plan.outside if phase == OUTSIDE else plan.inside
    return steps[index] if index < len(steps) else Step("make namespaces", "", NR["clone3"], ())


def launch_error(name: str, step: Step, code: int, denied: bool) -> LaunchError:
    """Words a failed step. See HINTS for the part in parentheses."""
    call = NAMES[step.nr]
    if call in ("execve", "execveat", "faccessat2"):
        return _not_run(name, step, errno.EACCES if denied and code in (errno.ENOENT, errno.ENOTDIR) else code)
    hint = HINTS.get(code, "{call}(2)").format(call=call)
    where = f" on {step.where}" if step.where else ""
    return LaunchError(f"cannot {step.what}{where} of {name}: {os.strerror(code)} ({hint})", reason="StartError")


def _not_run(name: str, step: Step, code: int) -> LaunchError:
    if code in (errno.ENOENT, errno.ENOTDIR):
        text = (
            "executable file not found: No such file or directory (check the command, PATH and the script's first line)"
        )
        return LaunchError(f"cannot run {step.where} of {name}: {text}", reason="ExecutableNotFound", exit_code=127)
    text = f"{os.strerror(code)} (is the file executable, and built for this machine?)".lower()
    return LaunchError(f"cannot run {step.where} of {name}: {text}", reason="NotExecutable", exit_code=126)
