"""A further process in a running container: `exec`.

The first child joins the container's cgroup and, by its pidfd, all its namespaces in one call; its sibling, made there,
drops to the process's identity and execs. While it is still our program nobody in the container can trace it or look at
its descriptors (it is undumpable), and it walks prepared calls only: the container's paths are opened by openat2 alone.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from orchestr.runtime import process, targets
from orchestr.runtime import syscalls as sc
from orchestr.runtime.launch import enter_outside, finish, identify
from orchestr.runtime.plan import LaunchError
from orchestr.runtime.seam import SandboxSpec
from orchestr.runtime.spawn import Launched, Spawn, Stdio

_NAMESPACES: Final = {
    "user": sc.CLONE_NEWUSER,
    "mnt": sc.CLONE_NEWNS,
    "pid": sc.CLONE_NEWPID,
    "net": sc.CLONE_NEWNET,
    "ipc": sc.CLONE_NEWIPC,
    "uts": sc.CLONE_NEWUTS,
    "cgroup": sc.CLONE_NEWCGROUP,
}


def enter(
    container_pid: int,
    container_cgroup: str,
    sandbox: SandboxSpec,
    process_: Mapping[str, Any],
    stdio: Stdio,
    tty: bool,
    *,
    seccomp: Mapping[str, Any] | None = None,
    name: str = "",
) -> Launched:
    """Starts an OCI `process` beside pid `container_pid`; a direct child of the caller, who reaps it.

    `seccomp` is the container's `linux.seccomp`. LaunchError (127, 126) when the command cannot be run, or when the
    container has ended. A user given as `username` is looked up in the container's root.
    """
    what = name or str(container_pid)
    try:
        pidfd = os.pidfd_open(container_pid)
        root = os.open(f"/proc/{container_pid}/root", sc.O_PATH | os.O_DIRECTORY)
    except OSError as error:
        raise LaunchError(f"cannot enter {what}: {error.strerror} (has it ended?)", reason="NotRunning") from error
    try:
        with Spawn(what, stdio, tty=tty) as spawn:
            spawn.fds += (pidfd, root)
            spawn.cgroup(container_cgroup)
            base = 0 if sandbox.host_users else sandbox.uid_base
            return _run(spawn, pidfd, root, _foreign(container_pid), base, process_, seccomp)
    except OSError as error:
        raise LaunchError(f"cannot enter {what}: {error.strerror} (has it ended?)", reason="NotRunning") from error


def _foreign(pid: int) -> int:
    """Clone flags of the namespaces in which it is not with us; joining one's own user namespace is an error."""
    return sum(
        flag
        for name, flag in _NAMESPACES.items()
        if os.stat(f"/proc/{pid}/ns/{name}").st_ino != os.stat(f"/proc/self/ns/{name}").st_ino
    )


def _run(
    spawn: Spawn,
    pidfd: int,
    root: int,
    flags: int,
    base: int,
    proc: Mapping[str, Any],
    seccomp: Mapping[str, Any] | None,
) -> Launched:
    enter_outside(spawn.outside, proc, spawn.tasks, ((pidfd, flags),) if flags else ())
    b = spawn.inside
    b.slots = spawn.outside.slots
    user = identify(proc, root)
    spawn.give_stdio(base + user.uid)
    cwd = str(proc.get("cwd") or "/")
    names = "/" + "/".join(targets.parts(cwd, "the working directory"))
    directory = targets.open_existing(b, root, names, "enter the working directory", flags=sc.O_PATH | os.O_DIRECTORY)
    streams = spawn.terminal(root, proc, user, console=False)
    b.add("enter the working directory", cwd, "fchdir", directory)
    process.session(b, streams, tty=spawn.tty)
    process.close_all(b, spawn.pipe, -1)
    finish(spawn, proc, seccomp, user, init=False)
    return spawn.run(0)
