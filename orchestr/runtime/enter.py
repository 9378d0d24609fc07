"""A further process in a running container: `exec`.

The first child joins the container's cgroup and, by its pidfd, all its namespaces in one call; its sibling, made there,
drops to the process's identity and execs. While it is still our program nobody in the container can trace it or look at
its descriptors (it is undumpable), and it walks prepared calls only: the container's paths are opened by openat2 alone.
"""

import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime import idmap, labels, memorypolicy, process, scheduler, targets
from orchestr.runtime import syscalls as sc
from orchestr.runtime.idmap import Mappings
from orchestr.runtime.launch import enter_outside, finish, identify, listen
from orchestr.runtime.plan import LaunchError
from orchestr.runtime.seam import SandboxSpec
from orchestr.runtime.spawn import Launched, Spawn, Stdio, Tell

_NAMESPACES: Final = {
    "user": sc.CLONE_NEWUSER,
    "mnt": sc.CLONE_NEWNS,
    "pid": sc.CLONE_NEWPID,
    "net": sc.CLONE_NEWNET,
    "ipc": sc.CLONE_NEWIPC,
    "uts": sc.CLONE_NEWUTS,
    "cgroup": sc.CLONE_NEWCGROUP,
    "time": sc.CLONE_NEWTIME,
}


def enter(
    container_pid: int,
    container_cgroup: str,
    sandbox: SandboxSpec | None,
    process_: Mapping[str, Any],
    stdio: Stdio,
    tty: bool,
    *,
    seccomp: Mapping[str, Any] | None = None,
    name: str = "",
    preserve: int = 0,
    plain: bool = False,
    path: str = "",
    linux: Mapping[str, Any] | None = None,
    listener: Tell | None = None,
    below: Mapping[str, str] | None = None,
    keep_groups: bool = False,
) -> Launched:
    """Starts an OCI `process` beside pid `container_pid`; a direct child of the caller, who reaps it.

    `seccomp` is the container's `linux.seccomp`, `listener` gets the descriptor of one with SCMP_ACT_NOTIFY; `linux`
    gives its personality, its memory policy and whether it has mounts of its own (without it, it has). `path` is the
    program when it is not args[0], `below` cgroups below the container's. Without `sandbox` the id mappings are read
    from the process. LaunchError (127, 126) when the command cannot be run, or when the container has ended. A user
    given as `username` is looked up in the container's root.
    """
    what = name or str(container_pid)
    try:
        pidfd = os.pidfd_open(container_pid)
        root = os.open(f"/proc/{container_pid}/root", sc.O_PATH | os.O_DIRECTORY)
        sc.call("pidfd_send_signal", pidfd, 0, 0, 0)  # it lives: nobody else had its number in between
    except OSError as error:
        raise LaunchError(f"cannot enter {what}: {error.strerror} (has it ended?)", reason="NotRunning") from error
    try:
        with Spawn(what, stdio, tty=tty, plain=plain, preserve=preserve) as spawn:
            spawn.fds += (pidfd, root)
            spawn.cgroup(container_cgroup, container_pid, below)
            listening = listen(spawn, seccomp, listener)
            place = Place(container_pid, pidfd, root, _ids(container_pid, sandbox))
            return _run(spawn, place, process_, linux, seccomp, path, listening, keep_groups)
    except OSError as error:
        raise LaunchError(f"cannot enter {what}: {error.strerror} (has it ended?)", reason="NotRunning") from error


class Place(NamedTuple):
    pid: int
    pidfd: int
    root: int
    ids: Mappings


def _ids(pid: int, sandbox: SandboxSpec | None) -> Mappings:
    if sandbox is None:
        return idmap.of(pid)
    return idmap.HOST if sandbox.host_users else Mappings.shifted(sandbox.uid_base, sandbox.uid_count)


def _private(linux: Mapping[str, Any]) -> bool:
    return any(item.get("type") == "mount" and not item.get("path") for item in linux.get("namespaces") or ())


def foreign(pid: int) -> int:
    """Clone flags of the namespaces in which it is not with us; joining one's own user namespace is an error."""
    return sum(
        flag
        for name, flag in _NAMESPACES.items()
        if os.stat(f"/proc/{pid}/ns/{name}").st_ino != os.stat(f"/proc/self/ns/{name}").st_ino
    )


def _run(
    spawn: Spawn,
    place: Place,
    proc: Mapping[str, Any],
    linux: Mapping[str, Any] | None,
    seccomp: Mapping[str, Any] | None,
    path: str,
    listening: int,
    keep_groups: bool,
) -> Launched:
    flags = foreign(place.pid)
    join = ((place.pidfd, flags),) if flags else ()
    scheduler.affinity(spawn.outside, proc, "initial")
    enter_outside(spawn.outside, proc, spawn.tasks, join, place.ids.owner(), keep_groups=keep_groups)
    b = spawn.inside
    b.slots = spawn.outside.slots
    user = identify(proc, place.root)._replace(keep=keep_groups)
    spawn.give_stdio(user, place.ids)
    scheduler.affinity(b, proc, "final")
    memorypolicy.apply(b, linux or {})
    labels.apply(b, proc, spawn.fds)
    cwd = str(proc.get("cwd") or "/")
    names = "/" + "/".join(targets.parts(cwd, "the working directory"))
    what = "enter the working directory"
    directory = targets.open_existing(b, place.root, names, what, flags=sc.O_PATH | os.O_DIRECTORY)
    streams = spawn.terminal(place.root, proc, user, console=False)
    if linux is not None and not _private(linux):  # the namespace's root is not the container's then
        b.add("enter the root", "/", "fchdir", place.root)
        b.add("change to the root", "/", "chroot", b".")
    b.add(what, cwd, "fchdir", directory)
    process.session(b, streams, tty=spawn.tty)
    last = process.close_all(b, spawn.pipe, -1, spawn.preserve, listening)
    finish(spawn, proc, seccomp, user, last, init=False, path=path)
    # A time namespace can be entered by nobody who shares his memory.
    return spawn.run(0, alone=bool(flags & sc.CLONE_NEWTIME))
