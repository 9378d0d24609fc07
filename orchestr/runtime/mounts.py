"""Mounts of a container: what comes from the host is opened and mapped here, before any child exists; what belongs to
the container's own namespaces (proc, sysfs, tmpfs, devpts, mqueue) is made by the child. See fsopen(2), open_tree(2).

A descriptor of a mount from another mount namespace cannot be cloned by the child (EINVAL), and a detached mount can be
attached once: so each launch clones what it needs.
"""

import errno
import os
import stat
from collections.abc import Mapping
from typing import Any, Final

from orchestr.runtime import mountopts, targets
from orchestr.runtime import syscalls as sc
from orchestr.runtime.mountopts import Options
from orchestr.runtime.plan import Builder, Result
from orchestr.runtime.seam import RuntimeFailure

OWN_FILESYSTEMS: Final = ("proc", "sysfs", "tmpfs", "devpts", "mqueue")
SYMLINKS: Final = (
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
)
DEVICES: Final = {  # the nodes of runtime-spec config-linux.md "Default Devices": name, (major, minor)
    "null": (1, 3),
    "zero": (1, 5),
    "full": (1, 7),
    "random": (1, 8),
    "urandom": (1, 9),
    "tty": (5, 0),
}
_host_nodes: dict[str, int] = {}


class Context:
    """What the mounts of one launch share."""

    __slots__ = ("builder", "cgroup_mounts", "fds", "kernel", "root", "userns")

    def __init__(
        self,
        builder: Builder,
        root: int,
        userns: int,
        fds: list[int],
        cgroup_mounts: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.builder = builder
        self.root = root  # descriptor of the container's root mount
        self.userns = userns  # to map binds to, -1 when the host's ids are used
        self.fds = fds  # everything opened here; the caller closes it after the launch
        self.cgroup_mounts = cgroup_mounts  # (name below /sys/fs/cgroup, host directory); one named "" is v2
        self.kernel: dict[str, int | Result] = {}  # destination: mount, of what was mounted on /proc and /sys


def host_node(name: str, device: tuple[int, int]) -> int:
    """A kept O_PATH descriptor of the host's /dev/<name>, checked to be that character device and no link."""
    fd = _host_nodes.get(name)
    if fd is None:
        fd = os.open(f"/dev/{name}", sc.O_PATH | os.O_NOFOLLOW)
        status = os.fstat(fd)
        if not stat.S_ISCHR(status.st_mode) or (os.major(status.st_rdev), os.minor(status.st_rdev)) != device:
            os.close(fd)
            major, minor = device
            raise RuntimeFailure(
                f"cannot use /dev/{name}: not character device {major}:{minor} (restore the host's /dev)"
            )
        _host_nodes[name] = fd
    return fd


def clone_node(context: Context, name: str, device: tuple[int, int]) -> int:
    return _own(context, sc.open_tree(host_node(name, device), ""))


def _own(context: Context, fd: int) -> int:
    context.fds.append(fd)
    return fd


def attach(b: Builder, mount: int | Result, target: int | Result, what: str, where: str) -> None:
    b.add(f"attach {what}", where, "move_mount", mount, b"", target, b"", sc.MOVE_MOUNT_EMPTY)


def add(context: Context, mount: Mapping[str, Any]) -> None:
    """One entry of OCI `mounts`."""
    destination = str(mount["destination"])
    options = list(mount.get("options") or ())
    fstype = str(mount.get("type") or ("bind" if {"bind", "rbind"} & set(options) else "none"))
    parsed = mountopts.parse(options, fstype, destination)
    made: int | Result | None = None
    if parsed.bind:
        made = bind(context, str(mount["source"]), destination, parsed)
    elif fstype in OWN_FILESYSTEMS:
        made = filesystem(context, fstype, destination, parsed)
    elif fstype in ("cgroup", "cgroup2"):
        cgroup(context, destination, parsed)
    else:
        raise RuntimeFailure(
            f"cannot mount {destination}: type {fstype!r} is not supported (use bind, {', '.join(OWN_FILESYSTEMS)})"
        )
    if made is not None and destination.rstrip("/") in ("/proc", "/sys"):
        context.kernel[destination.rstrip("/")] = made


def filesystem(context: Context, fstype: str, destination: str, options: Options) -> Result:
    """The mount of a new proc, sysfs, tmpfs, devpts or mqueue, made by the child in its own namespaces."""
    b = context.builder
    b_open = targets.open_or_make(
        # proc and sysfs are never mounted through a link of the image (CVE-2023-27561), nor is the tree of devices
        b,
        context.root,
        destination,
        f"mount {fstype}",
        directory=True,
        symlinks=fstype not in ("proc", "sysfs"),
    )
    fs = b.keep(f"open {fstype}", destination, "fsopen", fstype.encode(), sc.FSOPEN_CLOEXEC)
    parameters = options.parameters
    if fstype == "tmpfs" and not any(key == b"mode" for key, _ in parameters):
        parameters = (*parameters, (b"mode", b"1777"))
    for key, value in parameters:
        if key == b"newinstance":
            continue  # every devpts is, since Linux 4.7
        kind = sc.FSCONFIG_SET_FLAG if value is None else sc.FSCONFIG_SET_STRING
        b.add(f"set {key.decode()} of {fstype}", destination, "fsconfig", fs, kind, key, value, 0)
    b.add(f"create {fstype}", destination, "fsconfig", fs, sc.FSCONFIG_CMD_CREATE, None, None, 0)
    made = b.keep(f"mount {fstype}", destination, "fsmount", fs, sc.FSMOUNT_CLOEXEC, options.on | options.deep_on)
    attach(b, made, b_open, fstype, destination)
    return made


def bind(context: Context, source: str, destination: str, options: Options) -> int:
    """A host directory or file, cloned and mapped here."""
    mount, directory = open_source(context, source, destination, options)
    set_attributes(context, mount, source, destination, options)
    target = targets.open_or_make(context.builder, context.root, destination, "mount volume", directory=directory)
    attach(context.builder, mount, target, "volume", destination)
    return mount


def open_source(context: Context, source: str, destination: str, options: Options) -> tuple[int, bool]:
    """The detached clone, and whether it is a directory."""
    try:
        if options.subpath:
            base = os.open(source, sc.O_PATH | os.O_DIRECTORY)
            try:
                beneath = sc.RESOLVE_BENEATH | sc.RESOLVE_NO_MAGICLINKS
                fd = sc.openat2(base, options.subpath, sc.O_PATH, beneath)
            finally:
                os.close(base)
            _own(context, fd)
            mount = sc.open_tree(fd, "", recursive=options.recursive)
        else:
            mount = sc.open_tree(sc.AT_FDCWD, source, recursive=options.recursive)
    except OSError as error:
        path = f"{source}/{options.subpath}" if options.subpath else source
        raise RuntimeFailure(
            f"cannot mount {path} on {destination}: {error.strerror} (the source must exist on the host)",
            reason="StartError",
        ) from error
    _own(context, mount)
    return mount, stat.S_ISDIR(os.fstat(mount).st_mode)


def set_attributes(context: Context, mount: int, source: str, destination: str, options: Options) -> None:
    """Flags, propagation and id mapping of a detached bind; nothing can see it yet."""
    propagation = options.propagation or sc.MS_PRIVATE
    if not options.propagation or options.deep_propagation:
        sc.mount_setattr(mount, sc.mount_attr(0, 0, propagation), recursive=options.recursive)
        propagation = 0
    if options.deep_on or options.deep_off:
        sc.mount_setattr(mount, sc.mount_attr(options.deep_on, options.deep_off), recursive=True)
    if options.on or options.off or propagation:
        sc.mount_setattr(mount, sc.mount_attr(options.on, options.off, propagation))
    if options.idmap and context.userns >= 0:
        try:
            attr = sc.mount_attr(sc.MOUNT_ATTR_IDMAP, userns=context.userns)
            sc.mount_setattr(mount, attr, recursive=options.deep_idmap or options.recursive)
        except OSError as error:
            raise RuntimeFailure(
                f"cannot map the ids of {source} for {destination}: {os.strerror(error.errno or 0)} "
                "(its filesystem has no idmapped mounts; set hostUsers: true)",
                reason="NotIdmappable",
            ) from error


def cgroup(context: Context, destination: str, options: Options) -> None:
    """The container's own cgroups, read-only unless "rw" is said: one bind per v1 hierarchy, or the v2 directory."""
    b, whole = context.builder, len(context.cgroup_mounts) == 1 and context.cgroup_mounts[0][0] == ""
    read_only = 0 if options.off & sc.MOUNT_ATTR_RDONLY else sc.MOUNT_ATTR_RDONLY
    flags = sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NODEV | sc.MOUNT_ATTR_NOEXEC
    around = (
        None if whole else filesystem(context, "tmpfs", destination, Options(on=flags, parameters=((b"mode", b"755"),)))
    )
    for name, path in context.cgroup_mounts:
        where = f"{destination}/{name}".rstrip("/")
        mount = _own(context, sc.open_tree(sc.AT_FDCWD, path))
        sc.mount_setattr(mount, sc.mount_attr(flags | read_only, 0, sc.MS_PRIVATE))
        if around:
            target = targets.make_directory(b, around, name, where, "mount cgroup")
        else:
            target = targets.open_or_make(b, context.root, where, "mount cgroup", directory=True)
        attach(b, mount, target, "cgroup", where)
    if around and read_only:
        attr = sc.mount_attr(read_only)
        b.add("make read-only", destination, "mount_setattr", around, b"", sc.AT_EMPTY_PATH, attr, len(attr))


def devices(context: Context, extra: tuple[Mapping[str, Any], ...], tmpfs: bool) -> None:
    """The standard nodes and OCI `linux.devices`, each a bind of the host's node; the links, on a /dev of ours only."""
    b = context.builder
    if tmpfs:
        directory = targets.open_existing(b, context.root, "/dev", "open the directory of devices")
        for target, name in SYMLINKS:
            b.add(
                "link", f"/dev/{name}", "symlinkat", target.encode(), directory, name.encode(), tolerate=(errno.EEXIST,)
            )
        for name, device in DEVICES.items():
            where = f"/dev/{name}"
            made = targets.make_file(b, directory, name, where, "mount device")
            attach(b, clone_node(context, name, device), made, "device", where)
    for item in extra:
        path = str(item["path"])
        device = (int(item.get("major", 0)), int(item.get("minor", 0)))
        if path.removeprefix("/dev/") not in DEVICES:
            node(context, clone_node(context, path.removeprefix("/dev/"), device), path)


def node(context: Context, mount: int | Result, path: str) -> None:
    target = targets.open_or_make(context.builder, context.root, path, "mount device", directory=False)
    attach(context.builder, mount, target, "device", path)


def _base(context: Context, path: str) -> tuple[int | Result, str]:
    """Where to look a path up, and as what: below the mount itself for what lies in /proc and /sys.

    By way of the root it could be missed: who shares the root exchanges /proc for an empty directory and back, and
    what is not there is not hidden.
    """
    top, slash, rest = path[1:].partition("/")
    found = context.kernel.get(f"/{top}")
    return (context.root, path) if found is None or not slash else (found, rest)


def mask(context: Context, path: str) -> None:
    """Hides a path: the host's /dev/null, checked (CVE-2025-31133), over a file; an empty tmpfs over a directory.

    /proc and /sys show the same names in every container, so what the host lacks there need not be looked for.
    """
    b = context.builder
    if path.startswith(("/proc/", "/sys/")):
        try:
            directory: bool | None = stat.S_ISDIR(os.stat(path).st_mode)
        except OSError:
            return
    else:
        directory = None
    absent = (errno.ENOENT, errno.ENOTDIR)
    for is_directory in (True, False) if directory is None else (directory,):
        if is_directory:
            mount = sc.new_mount(b"tmpfs", ((b"size", b"4k"), (b"mode", b"555")), _EMPTY)
        else:
            mount = sc.open_tree(host_node("null", DEVICES["null"]), "")
        _own(context, mount)
        flags = sc.O_PATH | (os.O_DIRECTORY if is_directory else 0)
        base, name = _base(context, path)
        target = targets.open_existing(b, base, name, "open", flags=flags, tolerate=absent, missing=1, where=path)
        tolerate = (errno.ENOTDIR,) if directory is None and not is_directory else ()
        b.add("mask", path, "move_mount", mount, b"", target, b"", sc.MOVE_MOUNT_EMPTY, tolerate=tolerate)


_EMPTY: Final = sc.MOUNT_ATTR_RDONLY | sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NODEV | sc.MOUNT_ATTR_NOEXEC


def read_only_path(context: Context, path: str) -> None:
    """Binds a path of the container over itself, read-only. Nothing when it is not there."""
    b = context.builder
    if path.startswith(("/proc/", "/sys/")) and not os.path.exists(path):
        return
    absent = (errno.ENOENT, errno.ENOTDIR)
    base, name = _base(context, path)
    target = targets.open_existing(b, base, name, "open", tolerate=absent, missing=3, where=path)
    flags = sc.OPEN_TREE_CLONE | sc.OPEN_TREE_CLOEXEC | sc.AT_RECURSIVE | sc.AT_EMPTY_PATH
    clone = b.keep("clone", path, "open_tree", target, b"", flags)
    attr = sc.mount_attr(sc.MOUNT_ATTR_RDONLY)
    recursive = sc.AT_EMPTY_PATH | sc.AT_RECURSIVE
    b.add("make read-only", path, "mount_setattr", clone, b"", recursive, attr, len(attr))
    attach(b, clone, target, "read-only copy", path)
