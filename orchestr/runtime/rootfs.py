"""The container's root takes the place of the machine's: attached over it first, made the only one after all mounts."""

import errno
import os
from typing import Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime.plan import Builder, Result

_GONE: Final = (
    errno.EINVAL,
    errno.ENOENT,
    errno.EPERM,
)  # unmounted with another, covered by one, or not ours to unmount


def attach(b: Builder, root: int, *, pivot: bool, place: str = "/") -> None:
    """Covers `place` in the copy of the machine's mounts. Private first, lest an unmount below travels to the machine.

    `place` is a path of the machine, looked up in the copy: should it lead elsewhere, it is that copy that suffers.
    """
    private = sc.mount_attr(0, 0, sc.MS_PRIVATE)
    b.add("set umask", "", "umask", 0)
    b.add("make private", "/", "mount_setattr", sc.AT_FDCWD, b"/", sc.AT_RECURSIVE, private, len(private))
    if not pivot:
        _forget(b)
    b.add("attach the root", place, "move_mount", root, b"", sc.AT_FDCWD, os.fsencode(place), 0x04)


def enter(b: Builder, root: int | Result, propagation: int, recursive: bool, *, readonly: bool, pivot: bool) -> None:
    """Leaves the machine's mounts, then gives the root its propagation and makes it read-only.

    A root on the kernel's first filesystem (ramfs, of an initramfs) cannot be pivoted from: pivot_root(2) says EINVAL.
    Only there, when --no-pivot is asked for, the machine's mounts stay, covered, and chroot(2) is the way in. Whoever
    has CAP_SYS_CHROOT or CAP_SYS_ADMIN inside may get out of it; it is as (un)safe as runc's and crun's.
    """
    b.add("enter the root", "/", "fchdir", root)
    if pivot:
        b.add("pivot to the root", "/", "pivot_root", b".", b".")
        b.add("leave the machine's mounts", "/", "umount2", b".", sc.MNT_DETACH)
    else:
        b.add("change to the root", "/", "chroot", b".")
    if propagation not in (0, sc.MS_PRIVATE):  # private is what the root is; the rest comes after the pivot, as in runc
        attr, below = sc.mount_attr(0, 0, propagation), sc.AT_RECURSIVE if recursive else 0
        b.add("set propagation", "/", "mount_setattr", root, b"", sc.AT_EMPTY_PATH | below, attr, len(attr))
    if readonly:
        attr = sc.mount_attr(sc.MOUNT_ATTR_RDONLY)
        b.add("make read-only", "/", "mount_setattr", root, b"", sc.AT_EMPTY_PATH, attr, len(attr))


def _forget(b: Builder) -> None:
    """Drops the machine's proc and sysfs, for with one of them in its mount namespace a container may mount another."""
    with open("/proc/self/mountinfo", "rb") as file:
        entries = [line.split() for line in file]
    found = [entry[4] for entry in entries if entry[3] == b"/" and entry[entry.index(b"-") + 1] in (b"proc", b"sysfs")]
    for path in reversed(found):
        where = path.replace(b"\\040", b" ")
        b.add("leave the machine's mount", os.fsdecode(where), "umount2", where, sc.MNT_DETACH, tolerate=_GONE)
