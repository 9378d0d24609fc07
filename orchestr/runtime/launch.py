"""A container from its specification: everything is resolved and checked here, then run as a plan (see plan.py)."""

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from orchestr.runtime import (
    cgroups,
    devices,
    idmap,
    initprogram,
    labels,
    maskedpaths,
    memorypolicy,
    mountopts,
    mounts,
    overlay,
    process,
    rootfs,
    scheduler,
    seccomp,
    targets,
    users,
)
from orchestr.runtime import syscalls as sc
from orchestr.runtime.idmap import Mappings
from orchestr.runtime.namespaces import Namespaces
from orchestr.runtime.plan import Builder, LaunchError, Result
from orchestr.runtime.seam import ContainerSpec, RuntimeFailure, SandboxSpec
from orchestr.runtime.spawn import Launched, Spawn, Stdio, Tell
from orchestr.runtime.users import User

if TYPE_CHECKING:
    from types import ModuleType

NAME: Final = "orchestr.dev/name"  # annotation: what messages call the container; its id without
_LAUNCHING: Final = 8  # tasks; those of a launch are fewer


class Target(NamedTuple):
    """What a launch needs beside the OCI configuration, whoever asks: the agent's seam or orch-oci."""

    name: str
    root: int  # detached mount of the root
    userns: int
    ids: Mappings  # of that user namespace
    join: tuple[tuple[int, int], ...]  # (namespace descriptor, clone flag), in the order to join
    make: int  # clone flags of the container's own namespaces
    cgroup: str  # relative; "" for none
    init: bool
    tty: bool
    readonly: bool
    plain: bool = False  # of the terminal, see process.Terminal
    gate: int = -1  # a FIFO, open for both ways: the command runs once a byte is written to it
    pivot: bool = True  # False: chroot instead, see rootfs.enter
    preserve: int = 0  # descriptors 3, 4, ... that the command gets as they are here
    keyring: bool = True  # a session keyring of its own
    listener: Tell | None = None  # who gets the descriptor of a filter with SCMP_ACT_NOTIFY
    # Called with "createRuntime", then with "createContainer", and the pid of the container's process, which waits:
    # its namespaces and mounts are made, its root is not entered yet. When it raises, the launch is undone.
    hooks: Callable[[str, int], None] | None = None
    place: str = "/"  # where the root is attached before it is entered: its own path, if hooks are to find it there
    private: bool = (
        True  # False: no mount namespace of its own. The root stays detached, nothing is attached for others
    )
    # A mount namespace to be in instead. It is joined last: only who is still in the namespace that the root was cloned
    # in can attach to it, and the given one is not changed.
    mounts: int = -1
    time_offsets: bytes | None = None  # of a new time namespace, as /proc/PID/timens_offsets takes them; None for none
    configure: Callable[[Builder], None] | None = None  # first steps inside the namespaces
    sysctls: Callable[[Builder], None] | None = None  # steps after the hooks
    bundle: str = ""  # OCI bundle directory that sources of mounts are relative to; "" for the agent
    root_path: str = ""  # the root's path on the host; with bundle
    keep_groups: bool = False  # the caller's own supplementary groups instead of the process's


def short(id: str) -> str:
    """The name of a container's cgroup below its pod's."""
    return id[:200].replace("/", "_")  # NAME_MAX is 255; whole, for two containers must never share a cgroup


def cgroup_of(spec: ContainerSpec, sandbox: SandboxSpec) -> str:
    return f"{sandbox.cgroup}/{short(spec.id)}"


def launch(spec: ContainerSpec, sandbox: SandboxSpec, ns: Namespaces, stdio: Stdio) -> Launched:
    """Creates and starts; returns when the command has been exec'd. LaunchError or RuntimeFailure, with nothing left.

    The new process is a direct child of the caller, which is single-threaded and reaps it. `stdio` stays the caller's.
    """
    cgroup = cgroup_of(spec, sandbox)
    resources = (spec.oci.get("linux") or {}).get("resources") or {}
    classes = _network_classes(resources)
    few = _few(resources)
    limits = classes.left(resources) if classes else resources
    cgroups.create(cgroup, {**limits, "pids": {"limit": _LAUNCHING}} if few else limits)
    root = -1
    try:
        if classes:
            classes.apply(resources, cgroup, ns.net)
        base = 0 if sandbox.host_users else sandbox.uid_base
        root = overlay.make(spec.rootfs, ns.user, base)
        target = Target(
            name=str((spec.oci.get("annotations") or {}).get(NAME) or spec.id),
            root=root,
            userns=ns.user,
            ids=Mappings.shifted(base, sandbox.uid_count) if base else idmap.HOST,
            join=joins(ns),
            make=sc.CLONE_NEWNS | sc.CLONE_NEWCGROUP | (0 if sandbox.host_pid or ns.pid >= 0 else sc.CLONE_NEWPID),
            cgroup=cgroup,
            init=spec.init and ns.pid < 0 and not sandbox.host_pid,  # a shared pid namespace has one that reaps
            tty=spec.tty or bool((spec.oci.get("process") or {}).get("terminal")),
            readonly=spec.rootfs.readonly or bool((spec.oci.get("root") or {}).get("readonly")),
        )
        launched = start(target, spec.oci, stdio)
        if few:
            cgroups.update(cgroup, {"pids": few})
        return launched
    except BaseException as error:
        if classes:
            classes.remove(cgroup, ns.net)
        with suppress(OSError):
            cgroups.remove(cgroup)
        if isinstance(error, OSError):
            raise LaunchError(f"cannot start {spec.id}: {error.strerror}", reason="StartError") from error
        raise
    finally:
        if root >= 0:
            os.close(root)


def _network_classes(resources: Mapping[str, Any]) -> "ModuleType | None":
    """netclass.py where nftables has to do a part of these, which is rare."""
    if not resources.get("network"):
        return None
    from orchestr.runtime import netclass

    return netclass if netclass.wanted(resources) else None


def _few(resources: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A limit of tasks that is too small for the launch itself: it is set when the container is alone."""
    pids: Mapping[str, Any] = resources.get("pids") or {}
    return pids if 0 <= int(pids.get("limit", -1)) < _LAUNCHING else None


def joins(ns: Namespaces) -> tuple[tuple[int, int], ...]:
    flags = (sc.CLONE_NEWUSER, sc.CLONE_NEWNET, sc.CLONE_NEWIPC, sc.CLONE_NEWUTS, sc.CLONE_NEWPID)
    return tuple((fd, flag) for fd, flag in zip(ns[:5], flags, strict=True) if fd >= 0)


def start(target: Target, oci: Mapping[str, Any], stdio: Stdio) -> Launched:
    """Builds the plan and runs it."""
    with Spawn(target.name, stdio, tty=target.tty, plain=target.plain, preserve=target.preserve) as spawn:
        spawn.cgroup(target.cgroup)
        proc = oci.get("process") or {}
        enter_outside(
            *(spawn.outside, proc, spawn.tasks, target.join, target.ids.owner(), target.time_offsets),
            keep_groups=target.keep_groups,
        )
        init = spawn.raised(spawn.own(initprogram.open_init())) if target.init else -1
        init = spawn.raised(target.gate) if target.gate >= 0 else init
        spawn.inside.slots = spawn.outside.slots
        build(spawn, target, oci, init)
        return spawn.run(target.make, waits=target.gate >= 0, paused=_paused(target.hooks))


def _paused(hooks: Callable[[str, int], None] | None) -> Callable[[int], None] | None:
    def paused(pid: int) -> None:
        for point in ("createRuntime", "createContainer"):
            hooks(point, pid)  # type: ignore[misc]

    return paused if hooks else None


def enter_outside(
    b: Builder,
    proc: Mapping[str, Any],
    cgroup_files: tuple[int, ...],
    join: tuple[tuple[int, int], ...],
    owner: tuple[int, int] = (0, 0),
    time_offsets: bytes | None = None,
    *,
    keep_groups: bool = False,
) -> None:
    """What the first child does while it is still root of the machine, then the way into the pod's namespaces."""
    # Not to be traced by a neighbour in the pod's user namespace while this is still our program (CVE-2016-9962).
    b.add("become undumpable", "", "prctl", sc.PR_SET_DUMPABLE, 0, 0, 0, 0)
    for file in cgroup_files:
        # "0" to `tasks` moves the writer without the lock over all forks of the machine, which costs 0.1 ms each.
        b.add("join cgroup", "", "write", file, b"0", 1)
    scheduler.all_cpus(b, proc)
    process.raise_limits(b, proc)
    process.oom_score(b, proc)
    scheduler.outside(b, proc)
    if time_offsets:  # opened here, for the right to write is looked up when it is opened
        path = b"/proc/self/timens_offsets"
        clocks = b.keep("open the clocks", "", "openat", sc.AT_FDCWD, path, os.O_WRONLY | os.O_CLOEXEC, 0)
    for fd, flag in join:
        b.add("join namespace", hex(flag), "setns", fd, flag)
    if any(flag & sc.CLONE_NEWUSER for _, flag in join):
        if not keep_groups:
            b.add("clear groups", "", "setgroups", 0, None, tolerate=(errno.EPERM,))  # see process.identity
        become(b, *owner)
    if time_offsets is not None:  # for the children of who asks; once the first is in it, the clocks are set for good
        b.add("make time namespace", "", "unshare", sc.CLONE_NEWTIME)
    if time_offsets:
        b.add("set the clocks", "/linux/timeOffsets", "write", clocks, time_offsets, len(time_offsets))


def become(b: Builder, uid: int, gid: int) -> None:
    """Root of a user namespace just joined, or whom else it has: with ids that it does not map nothing can be made."""
    b.add("become root", "", "setresgid", gid, gid, gid)
    b.add("become root", "", "setresuid", uid, uid, uid)


def build(spawn: Spawn, target: Target, oci: Mapping[str, Any], init: int) -> None:
    """The steps of the container's process, from a copy of the machine's mounts to exec."""
    b, proc, linux = spawn.inside, oci.get("process") or {}, oci.get("linux") or {}
    listening = listen(spawn, linux.get("seccomp"), target.listener)
    user = identify(proc, target.root)._replace(keep=target.keep_groups)
    spawn.give_stdio(user, target.ids)
    memorypolicy.apply(b, linux)
    labels.apply(b, proc, spawn.fds)
    context = _mount_context(spawn, target, linux)
    if target.configure:
        target.configure(b)
    if target.private:
        rootfs.attach(b, target.root, pivot=target.pivot, place=target.place)
    else:
        b.add("set umask", "", "umask", 0)
    entries = oci.get("mounts") or ()
    for mount in entries:
        mounts.add(context, mount)
    devices.add(context, linux.get("devices") or (), entries)
    streams = spawn.terminal(context.root, proc, user, console=True)
    cwd = str(proc.get("cwd") or "/")
    directory = _working_directory(b, context.root, cwd)
    maskedpaths.read_only(context, linux.get("readonlyPaths") or ())
    maskedpaths.mask(context, linux.get("maskedPaths") or ())
    mounts.finish(context)
    if target.mounts >= 0:
        b.add("join namespace", "mount", "setns", target.mounts, sc.CLONE_NEWNS)
    propagation = mountopts.root_propagation(str(linux.get("rootfsPropagation") or ""))
    if target.hooks:
        spawn.pause()
    if target.sysctls:
        target.sysctls(b)
    rootfs.enter(b, context.root, *propagation, readonly=target.readonly, pivot=target.pivot and target.private)
    b.add("enter the working directory", cwd, "fchdir", directory)
    process.session(b, streams, tty=target.tty, keyring=target.keyring)
    last = process.close_all(b, spawn.pipe, init, target.preserve, listening)
    finish(spawn, proc, linux.get("seccomp"), user, last, init=target.init, gate=target.gate >= 0)


def _mount_context(spawn: Spawn, target: Target, linux: Mapping[str, Any]) -> mounts.Context:
    label = str(linux.get("mountLabel") or "")
    return mounts.Context(
        spawn.inside,
        target.root,
        target.userns,
        spawn.fds,
        cgroups.mounts(target.cgroup) if target.cgroup else (),
        cgroup_v2=cgroups.directory_v2(target.cgroup) if target.cgroup and target.bundle else "",
        bundle=target.bundle,
        root_path=target.root_path,
        ids=target.ids,
        private=target.private,
        # Without SELinux there is nothing that a label could mean; callers give it all the same (as crun).
        label=label if label and labels.selinux() else "",
    )


def identify(proc: Mapping[str, Any], root: int) -> User:
    homes = [str(item) for item in proc.get("env") or () if str(item).startswith("HOME=")]
    return users.of_process(proc.get("user") or {}, root, home=not homes or homes[-1] == "HOME=")


def finish(
    spawn: Spawn,
    proc: Mapping[str, Any],
    config: Mapping[str, Any] | None,
    user: User,
    last: int,
    *,
    init: bool,
    gate: bool = False,
    path: str = "",
) -> None:
    """Identity, filter and the command: the last steps, the same for a container and for an exec into it.

    `last` is the highest descriptor open, see process.close_all.
    """
    if gate and not proc:  # for hooks and for joining; `start` refuses it
        process.end_by_signals(spawn.inside)
        process.identity(spawn.inside, {}, user, None, lambda: None)
        process.wait(spawn.inside, spawn.keep, spawn.preserve)
        spawn.inside.add("end", "", "exit_group", 1)
        return
    load = _loader(spawn, proc, config, last) if config else None
    scheduler.inside(spawn.inside, proc)
    if gate:
        process.end_by_signals(spawn.inside)
    process.limit(spawn.inside, proc)
    env = process.environment(proc, user)
    command = process.Command(spawn.inside, spawn.keep, proc, env, path=path, preserve=spawn.preserve)
    process.identity(spawn.inside, proc, user, load, command.find if init or gate else lambda: None)
    if gate:
        process.wait(spawn.inside, spawn.keep, spawn.preserve)
    if init:
        command.run_below_init()
    else:
        command.run(alone=gate)


def listen(spawn: Spawn, config: Mapping[str, Any] | None, tell: Tell | None) -> int:
    """The child's way to hand on the filter's listener, -1 without one. RuntimeFailure when nobody would get it."""
    if not config or not seccomp.notifies(config):
        return -1
    if tell is None:
        raise RuntimeFailure("cannot use SCMP_ACT_NOTIFY without anybody who listens (set /linux/seccomp/listenerPath)")
    return spawn.listen(tell)


def _loader(spawn: Spawn, proc: Mapping[str, Any], config: Mapping[str, Any], last: int) -> Callable[[], None]:
    sets = proc.get("capabilities") or {}
    filtered = _filter(config, sets)

    def load() -> None:
        seccomp.install(spawn.inside, filtered)

    def load_and_send() -> None:
        assert spawn.listener
        spawn.listener.steps(spawn.inside, spawn.keep, load, last, process.PIPE + spawn.preserve)

    return load_and_send if spawn.listener else load


def _filter(config: Mapping[str, Any], sets: Mapping[str, Iterable[str]]) -> seccomp.Filter:
    if config.get(seccomp.PROFILE) != "default":
        return seccomp.compiled(config)
    from orchestr.runtime import seccomp_profile  # a long text that engines with a profile of their own do without

    return seccomp.compiled(seccomp_profile.expand(config, sets), seccomp_profile.key(config, sets))


def _working_directory(b: Builder, root: int | Result, cwd: str) -> Result:
    """Made when it is missing, but in the kernel's own filesystems, where nothing can be made."""
    what = "enter the working directory"
    path = "/" + "/".join(targets.parts(cwd, what))
    if path.startswith(("/proc/", "/sys/")):
        return targets.open_existing(b, root, path, what, flags=sc.O_PATH | os.O_DIRECTORY)
    return targets.open_or_make(b, root, path, what, directory=True)
