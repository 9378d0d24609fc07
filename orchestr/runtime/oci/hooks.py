"""OCI `hooks`: programs of the machine's or the container's, run around its life. See runtime-spec config.md, "Hooks".

The container's state is their stdin, a file in memory; what they write is kept in another, whose last line an error
quotes: so no hook, and nothing that it leaves behind, can block us. A hook has a process group of its own, which is
killed when its time is over.
"""

import json
import os
import select
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestr.runtime import idmap, process
from orchestr.runtime import syscalls as sc
from orchestr.runtime.enter import enter, foreign
from orchestr.runtime.launch import become
from orchestr.runtime.oci import seccomp_agent
from orchestr.runtime.plan import Builder, Plan, launch_error
from orchestr.runtime.plan import run as run_plan
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.signals import SIGKILL, blocked, system, unblocked

Hook = Mapping[str, Any]
FAILED: Final = "HookFailed"  # reason of the RuntimeFailure
_QUOTED: Final = 200  # characters of what a failed hook wrote


def at(config: Mapping[str, Any], point: str) -> list[Hook]:
    return list((config.get("hooks") or {}).get(point) or ())


def launching(config: Mapping[str, Any], state: Mapping[str, Any]) -> Callable[[str, int], None] | None:
    """`launch.Target.hooks` for the hooks of `create`, None when there are none. `state` needs no pid."""
    if not any(at(config, point) for point in ("prestart", "createRuntime", "createContainer")):
        return None

    def called(point: str, pid: int) -> None:
        with unblocked():
            if point == "createRuntime":  # older hooks know no "creating"; crun tells them the same
                run("prestart", config, {**state, "status": "created"}, pid=pid)
            run(point, config, state, pid=pid)

    return called


def run(
    point: str, config: Mapping[str, Any], state: Mapping[str, Any], *, pid: int = 0, cgroup: str = ""
) -> list[str]:
    """Runs the hooks of a point in order. RuntimeFailure at the first that fails; those of poststop are warnings.

    `pid` is the container's process, which "createContainer" and "startContainer" need; the state gets it.
    "startContainer" runs in `cgroup`, the container's, too.
    """
    warnings = []
    for index, hook in enumerate(at(config, point)):
        pointer = f"/hooks/{point}/{index}"
        try:
            _run(point, pointer, hook, config, state, pid, cgroup)
        except RuntimeFailure as error:
            text = f"error running {point} hook #{index}: {error}"  # runc's words
            if point != "poststop":
                raise RuntimeFailure(text, reason=FAILED) from error  # its exit code is not the command's
            warnings.append(text)
    return warnings


def poststop(config: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """After the container is gone. What goes wrong is logged: nothing can be undone any more."""
    from orchestr.runtime.oci import log

    for text in run("poststop", config, {**state, "status": "stopped"}):
        log.warning(text)


def _run(
    point: str, pointer: str, hook: Hook, config: Mapping[str, Any], state: Mapping[str, Any], pid: int, cgroup: str
) -> None:
    inside = point in ("createContainer", "startContainer")
    told = {**state, **({"pid": _innermost(pid) if inside else pid} if pid else {})}
    given, said = os.memfd_create("state"), os.memfd_create("output")
    try:
        os.write(given, json.dumps(told).encode())
        os.lseek(given, 0, os.SEEK_SET)
        stdio = given, said, said
        if point == "startContainer":
            child = _as_container(pointer, hook, config, (pid, cgroup), stdio, state)
        else:
            place = str(state["bundle"])
            if inside:  # as in runc; where the root is going to be entered
                place = os.path.join(place, str((config.get("root") or {}).get("path") or "rootfs"))
            child = _as_machine(pointer, hook, place, stdio, pid if inside else 0)
        _wait(f"{point} hook", pointer, hook, child, said)
    finally:
        os.close(given)
        os.close(said)


def _innermost(pid: int) -> int:
    """The pid as the container sees it."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[-1]) for line in file if line.startswith("NSpid:"))


def _as_container(
    pointer: str,
    hook: Hook,
    config: Mapping[str, Any],
    where: tuple[int, str],
    stdio: tuple[int, int, int],
    state: Mapping[str, Any],
) -> int:
    """With the identity and the limits of the container's process: the program is one of the container's."""
    own = config.get("process") or {}
    proc = {**own, "terminal": False, "args": _argv(hook)}
    if "env" in hook:  # else the process's own, as with runc
        proc["env"] = hook["env"]
    linux = config.get("linux") or {}
    launched = enter(
        *(*where, None, proc, stdio, False),
        seccomp=linux.get("seccomp"),
        linux=linux,
        name=pointer,
        path=str(hook["path"]),
        listener=seccomp_agent.told_by(config, {**state, "pid": where[0]}),
    )
    os.close(launched.pidfd)
    return launched.pid


def _as_machine(pointer: str, hook: Hook, directory: str, stdio: tuple[int, int, int], pid: int) -> int:
    """A program of the machine, with all rights; in all namespaces of process `pid`, or where we are with 0.

    Joining a mount namespace leads to what covers its root; from the waiting process's own root the machine's files
    are seen still.
    """
    keep, outside, inside = process.Keep(), Builder(), Builder()
    fds = []
    if pid:
        fds = [os.pidfd_open(pid), os.open(f"/proc/{pid}/root", sc.O_PATH | os.O_DIRECTORY)]
        flags = foreign(pid)
        outside.add("join namespaces", "", "setns", fds[0], flags)
        if flags & sc.CLONE_NEWUSER:
            become(outside, *idmap.of(pid).owner())
        outside.add("see the machine", "", "fchdir", fds[1])
        outside.add("see the machine", "", "chroot", b".")
    inside.add("enter", directory, "chdir", os.fsencode(directory))
    inside.add("start a session", "", "setsid")
    pipe = os.pipe2(os.O_CLOEXEC)
    high = [_raised(fd) for fd in (*stdio, pipe[1])]
    os.close(pipe[1])
    fds += high[:3]
    for number, fd in enumerate(high[:3]):
        inside.add("set stdio", "", "dup3", fd, number, 0)
    process.close_all(inside, high[3], -1)
    process.signals(inside)
    argv, env = keep.strings(_argv(hook)), keep.strings([str(item) for item in hook.get("env") or ()])
    inside.add("run", repr(str(hook["path"])), "execve", os.fsencode(str(hook["path"])), argv, env)
    try:
        with blocked():
            plan = Plan(pointer, tuple(outside.steps), 0, tuple(inside.steps), inside.slots, waits=True)
            outcome = run_plan(plan, (pipe[0], high[3]))
    finally:
        for fd in fds:
            os.close(fd)
    if outcome.failed:
        raise launch_error(pointer, *outcome.failed)
    return outcome.pid


def _raised(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, process.HIGH)


def _argv(hook: Hook) -> list[str]:
    return [str(arg) for arg in hook.get("args") or ()] or [str(hook["path"])]


def _wait(what: str, pointer: str, hook: Hook, child: int, said: int) -> None:
    """Until it ends or its time is over; then nothing of its group is left."""
    timeout = hook.get("timeout")
    pidfd = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        in_time = bool(poll.poll(int(timeout) * 1000 if timeout else None))
    except BaseException:
        in_time = False
        raise
    finally:
        os.close(pidfd)
        if not in_time:
            os.killpg(child, SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not in_time:
        raise RuntimeFailure(f"cannot run hook {pointer}: still running after {timeout} s (see {hook['path']})")
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}: {system.strsignal(-code)}".lower()
        said_last = os.pread(said, 1 << 16, max(0, os.fstat(said).st_size - (1 << 16))).decode(errors="replace")
        line = (said_last.strip().splitlines() or ["it wrote nothing"])[-1][-_QUOTED:]
        raise RuntimeFailure(f"cannot run hook {pointer}: {hook['path']}: {what} failed with {how} ({line})")
