"""/sys/fs/cgroup of a container: its own cgroups, never the machine's whole trees."""

import errno
import os

from orchestr.runtime import mounts, targets
from orchestr.runtime import syscalls as sc
from orchestr.runtime.mountcontext import Context, attach
from orchestr.runtime.mountopts import Options
from orchestr.runtime.seam import RuntimeFailure


def cgroup(context: Context, fstype: str, destination: str, options: Options) -> None:
    """One bind per v1 hierarchy in a tmpfs, or the v2 directory alone: on a v2 machine, and for type cgroup2."""
    shown = context.cgroup_mounts
    if fstype == "cgroup2" and not (len(shown) == 1 and shown[0][0] == ""):
        if not context.cgroup_v2:
            raise RuntimeFailure(
                f"cannot mount {destination}: type 'cgroup2' is not mounted on this machine (use cgroup)"
            )
        shown = (("", context.cgroup_v2),)
    attrs = options.on | options.deep_on
    if len(shown) == 1 and shown[0][0] == "":
        mount = _clone(context, shown[0][1], attrs, options.propagation)
        attach(context.builder, mount, mounts.place(context, fstype, destination), "cgroup", destination)
        return mounts.settle(context, destination, mount, mount)
    b = context.builder
    flags = (attrs | sc.MOUNT_ATTR_NOSUID | sc.MOUNT_ATTR_NODEV | sc.MOUNT_ATTR_NOEXEC) & ~sc.MOUNT_ATTR_RDONLY
    around = mounts.filesystem(
        context, "tmpfs", destination, Options(on=flags, parameters=((b"mode", b"755"),)), "cgroup"
    )
    for name, path in shown:
        where = f"{destination}/{name}"
        clone = _clone(context, path, attrs, options.propagation)
        attach(b, clone, targets.make_directory(b, around, name, where, "mount cgroup"), "cgroup", where)
        for part in name.split(",") if "," in name else ():
            link = os.fsencode(part)
            b.add(
                "link", f"{destination}/{part}", "symlinkat", os.fsencode(name), around, link, tolerate=(errno.EEXIST,)
            )
    if attrs & sc.MOUNT_ATTR_RDONLY:
        context.late.append((destination, around))


def _clone(context: Context, path: str, attrs: int, propagation: int) -> int:
    mount = context.own(sc.open_tree(sc.AT_FDCWD, path))
    sc.mount_setattr(mount, sc.mount_attr(attrs, 0, propagation or sc.MS_PRIVATE))
    return mount
