"""The nodes and links of /dev: runtime-spec config-linux.md "Devices" and "Default Devices", runtime-linux.md.

Every node is bound, for a user namespace may not make any: the default ones from the host's, OCI `linux.devices` from a
tmpfs that is filled here, with any number, mode and owner, whether the host has such a node or not. So the container's
cgroup may forbid making them, too.
"""

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from typing import Any, Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime import targets
from orchestr.runtime.mountcontext import Context, attach, change, clone, stage
from orchestr.runtime.plan import Result
from orchestr.runtime.seam import RuntimeFailure

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
_TYPES: Final = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_NAMES: Final = {stat.S_IFCHR: "a character device", stat.S_IFBLK: "a block device", stat.S_IFIFO: "a FIFO"}
_INERT: Final = sc.mount_attr(sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NOEXEC)
_host_nodes: dict[str, int] = {}


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


def add(context: Context, extra: Sequence[Mapping[str, Any]], mounts: Sequence[Mapping[str, Any]]) -> None:
    """All of them; a /dev that is bound from the host has its own, and nothing is made in it."""
    kind, options = "", ()
    for mount in mounts:
        if str(mount["destination"]).strip("/") == "dev":
            kind, options = str(mount.get("type") or ""), mount.get("options") or ()
    bound = kind == "bind" or "bind" in options or "rbind" in options
    wanted = {_path(item): item for item in extra}
    wanted.pop("/dev/ptmx", None)  # a link, in every container
    if not bound:
        _standard(context, wanted, fresh=kind == "tmpfs")
    if bound:
        wanted = {path: item for path, item in wanted.items() if not path.startswith("/dev/")}
    if wanted:
        _extra(context, wanted)


def _path(item: Mapping[str, Any]) -> str:
    path = str(item["path"])
    return "/" + "/".join(targets.parts(path if path.startswith("/") else f"/{path}", "make the device"))


def _standard(context: Context, wanted: dict[str, Mapping[str, Any]], *, fresh: bool) -> None:
    b, what = context.builder, "open the directory of devices"
    if fresh:
        directory = targets.open_existing(b, context.root, "/dev", what)
    else:
        directory = targets.open_or_make(b, context.root, "/dev", what, directory=True, symlinks=False)
    for target, name in (*SYMLINKS, *((("/proc/kcore", "core"),) if context.bundle and _has_kcore() else ())):
        b.add("link", f"/dev/{name}", "symlinkat", target.encode(), directory, name.encode(), tolerate=(errno.EEXIST,))
    for name, device in DEVICES.items():
        where = f"/dev/{name}"
        item = wanted.get(where)
        if item is not None and (item.get("major"), item.get("minor")) == device and not _owned(item):
            del wanted[where]
        elif item is not None:
            continue
        made = targets.make_file(b, directory, name, where, "mount device")
        node = context.own(sc.open_tree(host_node(name, device), ""))
        sc.mount_setattr(node, _INERT)
        attach(b, node, made, "device", where)


def _has_kcore() -> bool:
    return os.path.exists("/proc/kcore")


def _owned(item: Mapping[str, Any]) -> bool:
    """Whether more is said of a node than which it is."""
    return bool(item.get("uid") or item.get("gid") or (item.get("fileMode") or 0o666) & 0o777 != 0o666)


def _extra(context: Context, wanted: Mapping[str, Mapping[str, Any]]) -> None:
    b = context.builder
    shelf = context.own(sc.new_mount(b"tmpfs", ((b"mode", b"711"), (b"size", b"4k"), (b"nr_inodes", b"0"))))
    missing = [(path, item) for path, item in wanted.items() if not _there(context, path, item)]
    if not missing:
        return
    stage(context, shelf, "devices")
    for number, (path, item) in enumerate(missing):
        name = str(number)
        _make(context, shelf, name, path, item)
        node = clone(b, shelf, name.encode(), "device", path)
        change(b, node, _INERT, "restrict the device", path)
        attach(b, node, _place(context, path), "device", path)


def _place(context: Context, path: str) -> Result:
    parent, name = targets.open_parent(context.builder, context.root, path, "mount device")
    return targets.make_file(context.builder, parent, name, path, "mount device")


def _there(context: Context, path: str, item: Mapping[str, Any]) -> bool:
    """Whether the root has it already. RuntimeFailure when it has something else of that name, as the spec demands."""
    kind, number = _kind(path, item)
    with context.look(path) as fd:
        if fd < 0:
            return False
        status = os.fstat(fd)
    if stat.S_IFMT(status.st_mode) != kind or (kind != stat.S_IFIFO and status.st_rdev != number):
        raise RuntimeFailure(
            f"cannot make device {path}: the root has something else there, not {_NAMES[kind]} "
            f"{os.major(number)}:{os.minor(number)} (remove it, or choose another path)",
            reason="StartError",
        )
    return not _owned(item)


def _kind(path: str, item: Mapping[str, Any]) -> tuple[int, int]:
    """(type bits of the mode, device number)"""
    kind = _TYPES.get(str(item.get("type") or ""))
    if kind is None:
        raise RuntimeFailure(f"cannot make device {path}: type {item.get('type')!r} is not one of c, b, u, p")
    if kind == stat.S_IFIFO:
        return kind, 0
    major, minor = int(item.get("major", 0)), int(item.get("minor", 0))
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise RuntimeFailure(f"cannot make device {path}: {major}:{minor} is out of range (below 4096:1048576)")
    return kind, os.makedev(major, minor)


def _make(context: Context, shelf: int, name: str, path: str, item: Mapping[str, Any]) -> None:
    kind, number = _kind(path, item)
    mode = int(item["fileMode"]) & 0o7777 if item.get("fileMode") is not None else 0o666
    try:
        os.mknod(name, kind | 0o600, number, dir_fd=shelf)
        owner = (context.ids.host_uid(int(item.get("uid") or 0)), context.ids.host_gid(int(item.get("gid") or 0)))
        os.chown(name, *owner, dir_fd=shelf, follow_symlinks=False)
        os.chmod(name, mode, dir_fd=shelf)
    except OSError as error:
        raise RuntimeFailure(f"cannot make device {path}: {error.strerror}", reason="StartError") from error
