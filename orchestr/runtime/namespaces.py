"""The namespaces that the containers of a pod share, made by a short-lived child and kept as descriptors.

A namespace needs a process to be born and nothing to live on but an open descriptor. With share_pid the child stays: as
pid 1 of the pod's pid namespace it pauses and reaps, in an empty root, without capabilities (a static `catatonit -P`).
"""

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from orchestr.runtime import capabilities, idmap, initprogram, process
from orchestr.runtime import syscalls as sc
from orchestr.runtime.idmap import Mappings
from orchestr.runtime.plan import Builder, LaunchError, Plan, launch_error, run
from orchestr.runtime.seam import RuntimeFailure, SandboxSpec
from orchestr.runtime.signals import SIGKILL, blocked

# Sysctls that belong to a namespace of the pod; all else would change the machine. See Kubernetes' "Using sysctls in a
# Kubernetes cluster". The value goes to one file in one write (CVE-2022-0811: no joined strings).
_IPC: Final = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
_KEY: Final = r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)+"
_VALUE: Final = r"[A-Za-z0-9 \t._-]{1,256}"


class Namespaces(NamedTuple):
    """Descriptors; -1 where the machine's own namespace is used (pid: or where each container has its own)."""

    user: int
    net: int
    ipc: int
    uts: int
    pid: int
    holder: int  # pid of the pausing pid 1 with share_pid, else 0

    def close(self) -> None:
        """Closes the descriptors. The holder is the caller's to kill and reap."""
        for fd in self[:5]:
            if fd >= 0:
                os.close(fd)


def _wanted(spec: SandboxSpec) -> tuple[tuple[str, int], ...]:
    """(name in /proc/PID/ns, clone flag) of what the pod has of its own; order as in Namespaces."""
    return (
        *(() if spec.host_users else (("user", sc.CLONE_NEWUSER),)),
        *(() if spec.host_network else (("net", sc.CLONE_NEWNET),)),
        *(() if spec.host_ipc else (("ipc", sc.CLONE_NEWIPC),)),
        # The host's network goes with the host's name: it is what a process there would tell others.
        *(() if spec.host_network and not spec.hostname else (("uts", sc.CLONE_NEWUTS),)),
        *((("pid", sc.CLONE_NEWPID),) if spec.share_pid and not spec.host_pid else ()),
    )


def make(spec: SandboxSpec) -> Namespaces:
    """Makes them. RuntimeFailure names what was refused; nothing is left behind then."""
    check(spec)
    wanted = _wanted(spec)
    holding = any(name == "pid" for name, _ in wanted)
    if not wanted:
        return Namespaces(-1, -1, -1, -1, -1, 0)
    flags = sum(flag for _, flag in wanted) | (sc.CLONE_NEWNS if holding else 0)
    ready, go = os.pipe2(os.O_CLOEXEC)
    pipe = os.pipe2(os.O_CLOEXEC)
    opened: dict[str, int] = {}

    def meanwhile(pid: int) -> None:
        if not spec.host_users:
            idmap.write(pid, Mappings.shifted(spec.uid_base, spec.uid_count))
        for name, _ in wanted:
            opened[name] = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        os.write(go, b"1")

    keep = process.Keep()
    init = initprogram.open_init() if holding else -1
    try:
        b = Builder()
        _inside(b, spec, ready, go)
        if holding:
            _hold(b, keep, init, pipe[1])
        else:
            b.add("exit", "", "exit_group", 0)
        plan = Plan(f"pod {spec.hostname or spec.id}", (), -1, tuple(b.steps), b.slots, first=flags)
        with blocked():
            outcome = run(plan, pipe, meanwhile=meanwhile)
        if outcome.failed:
            raise launch_error(plan.name, *outcome.failed)
        if not holding:
            _, status = os.waitpid(outcome.pid, 0)
            if status:
                raise LaunchError(f"cannot make namespaces of {plan.name}: the child was killed (out of memory?)")
    except BaseException as error:
        for fd in opened.values():
            os.close(fd)
        if isinstance(error, OSError):
            raise LaunchError(f"cannot make namespaces of pod {spec.hostname or spec.id}: {error.strerror}") from error
        raise
    finally:
        os.close(ready)
        os.close(go)
        if init >= 0:
            os.close(init)
    return _namespaces(opened, outcome.pid if holding else 0)


def of(pid: int, spec: SandboxSpec) -> Namespaces:
    """Opens them again from a living process of the pod (adoption). OSError when it has ended."""
    opened: dict[str, int] = {}
    try:
        for name, _ in _wanted(spec):
            opened[name] = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        for fd in opened.values():
            os.close(fd)
        raise
    return _namespaces(opened, 0)


def _namespaces(opened: dict[str, int], holder: int) -> Namespaces:
    user, net, ipc, uts, pid = (opened.get(name, -1) for name in ("user", "net", "ipc", "uts", "pid"))
    return Namespaces(user, net, ipc, uts, pid, holder)


def check(spec: SandboxSpec) -> None:
    """All that can be said without trying. Raises RuntimeFailure."""
    if spec.sysctls:
        import re  # for those alone

    for key, value in spec.sysctls.items():
        net = key.startswith("net.") and not spec.host_network
        ipc = key.startswith(_IPC) and not spec.host_ipc
        if not (net or ipc) or not re.fullmatch(_KEY, key):
            raise RuntimeFailure(f"cannot set sysctl {key}: not one of a pod's own namespaces (set it on the machine)")
        if not re.fullmatch(_VALUE, value):
            raise RuntimeFailure(f"cannot set sysctl {key}: value {value!r} is not a word or number")
    if not spec.host_users and not (0 < spec.uid_base <= 2**32 - 2 - spec.uid_count and spec.uid_count > 0):
        raise RuntimeFailure(
            f"cannot map ids {spec.uid_base}+{spec.uid_count}: out of range (choose uid_base above 65535)"
        )
    if len(spec.hostname) > 64 or "\0" in spec.hostname:
        raise RuntimeFailure(f"cannot use host name {spec.hostname!r}: longer than 64 characters")


def _inside(b: Builder, spec: SandboxSpec, ready: int, go: int) -> None:
    _wait(b, ready, go)
    if not spec.host_users:
        b.add("become root", "", "setresgid", 0, 0, 0)
        b.add("become root", "", "setresuid", 0, 0, 0)
    if spec.hostname and any(name == "uts" for name, _ in _wanted(spec)):
        name, domain = os.fsencode(spec.hostname), os.fsencode(spec.domainname)
        b.add("set host name", "", "sethostname", name, len(name))
        b.add("set domain name", "", "setdomainname", domain, len(domain))
    if not spec.host_network:
        bring_up_loopback(b)
    for key, value in spec.sysctls.items():
        set_sysctl(b, key, key.replace(".", "/"), value)


def bring_up_loopback(b: Builder) -> None:
    socket = b.keep("open a socket", "", "socket", 2, 1 | os.O_CLOEXEC, 0)  # AF_INET, SOCK_STREAM
    request = struct.pack("16sH22x", b"lo", 0x41)  # struct ifreq: IFF_UP | IFF_RUNNING
    b.add("bring up", "lo", "ioctl", socket, 0x8914, request)  # SIOCSIFFLAGS


def set_sysctl(b: Builder, key: str, path: str, value: str) -> None:
    where = f"/proc/sys/{path}".encode()
    file = b.keep("open sysctl", key, "openat", sc.AT_FDCWD, where, os.O_WRONLY | os.O_CLOEXEC, 0)
    data = value.encode()
    b.add("set sysctl", key, "write", file, data, len(data))


def _wait(b: Builder, ready: int, go: int) -> None:
    # When the supervisor is killed while we wait, read(2) gives 0, and prctl(0) fails where prctl(1),
    # PR_SET_PDEATHSIG, does nothing: the child ends, and does not wait for ever with the supervisor's socket open.
    b.add("leave the other end", "", "close", go)
    got = b.keep("wait for the id maps", "", "read", ready, bytes(8), 1)
    b.add("have the id maps", "", "prctl", got, 0, 0, 0, 0)


def make_user(ids: Mappings) -> int:
    """A descriptor of a new user namespace. RuntimeFailure."""
    opened: list[int] = []

    def meanwhile(pid: int) -> None:
        idmap.write(pid, ids)
        opened.append(os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC))

    try:
        _visit(Builder(), sc.CLONE_NEWUSER, meanwhile)
    except OSError as error:
        raise LaunchError(
            f"cannot make a user namespace: {error.strerror} (are the mappings allowed here? see user_namespaces(7))"
        ) from error
    return opened[0]


def ids_of(user: int) -> Mappings:
    """The mappings of a user namespace of which only a descriptor is at hand: /proc shows those of a process in it."""
    pid = os.fork()
    if pid == 0:
        try:
            sc.call("setns", user, sc.CLONE_NEWUSER)
            os.kill(os.getpid(), 19)  # SIGSTOP
        finally:
            os._exit(1)
    try:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            raise LaunchError("cannot join a user namespace: it was refused (is it ours already?)")
        return idmap.of(pid)
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, SIGKILL)
            os.waitpid(pid, 0)


def _visit(b: Builder, flags: int, meanwhile: Callable[[int], None]) -> None:
    """A child that carries out `b`, waits while `meanwhile` runs with its pid, and ends."""
    ready, go = os.pipe2(os.O_CLOEXEC)
    try:
        _wait(b, ready, go)
        b.add("exit", "", "exit_group", 0)
        plan = Plan("a user namespace", (), -1, tuple(b.steps), b.slots, first=flags)

        def then(pid: int) -> None:
            meanwhile(pid)
            os.write(go, b"1")

        with blocked():
            outcome = run(plan, os.pipe2(os.O_CLOEXEC), meanwhile=then)
        if outcome.failed:
            raise launch_error(plan.name, *outcome.failed)
        os.waitpid(outcome.pid, 0)
    finally:
        os.close(ready)
        os.close(go)


def _hold(b: Builder, keep: process.Keep, init: int, pipe: int) -> None:
    """Becomes the pod's pid 1: nothing to see in its root, nothing to gain from its identity."""
    private = sc.mount_attr(0, 0, sc.MS_PRIVATE)
    b.add("make private", "/", "mount_setattr", sc.AT_FDCWD, b"/", sc.AT_RECURSIVE, private, len(private))
    fs = b.keep("open tmpfs", "/", "fsopen", b"tmpfs", sc.FSOPEN_CLOEXEC)
    b.add("create tmpfs", "/", "fsconfig", fs, sc.FSCONFIG_CMD_CREATE, None, None, 0)
    root = b.keep("mount tmpfs", "/", "fsmount", fs, sc.FSMOUNT_CLOEXEC, sc.MOUNT_ATTR_RDONLY)
    b.add("attach tmpfs", "/", "move_mount", root, b"", sc.AT_FDCWD, b"/", 0x04)
    b.add("enter the root", "/", "fchdir", root)
    b.add("pivot to the root", "/", "pivot_root", b".", b".")
    b.add("leave the machine's mounts", "/", "umount2", b".", sc.MNT_DETACH)
    b.add("start a session", "", "setsid")
    process.close_all(b, pipe, init)
    b.add("close stdio", "", "close_range", 0, 2, 0)
    b.add("set no_new_privs", "", "prctl", sc.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    capabilities.bound(b, 0)
    capabilities.apply(b, {})
    process.signals(b)
    argv = keep.strings(["orch-pause", "-P"])
    b.add("run", "the pausing pid 1", "execveat", process.INIT, b"", argv, keep.strings([]), sc.AT_EMPTY_PATH)
