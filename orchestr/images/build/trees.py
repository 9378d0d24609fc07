"""File trees for the worker: layers on each other, and paths that never lead out of a tree.

Everything here runs in a child with a mount namespace of its own (worker.py), so that no mount outlives it. The overlay
is made by mount(2) with short relative names: its options must fit into one page, and 500 layers do so only this way.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator, Sequence

from orchestr.images.confined import check, libc
from orchestr.images.unpack import CLONE_NEWNS, MS_PRIVATE, MS_REC

OPENAT2, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS = 437, 0x10, 0x02
AT_FDCWD = -100


class Refused(Exception):
    """What cannot be done with these files; the text is for whoever wrote the Dockerfile."""


def own_mounts() -> None:
    check(libc.unshare(CLONE_NEWNS), "unshare")
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount private")


def mount_tmpfs(place: str) -> None:
    check(libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, b"mode=0755"), "mount tmpfs")


def merged(lower: Sequence[str], step: str, scratch: str) -> int:
    """A descriptor of the layers (top first) with `step`/upper on them; without `step` what is written is thrown away.

    `scratch`: an empty directory, covered by a tmpfs.
    """
    mount_tmpfs(scratch)
    upper = step or scratch
    for name in ("upper", "work"):
        os.makedirs(f"{upper}/{name}", exist_ok=True)
    os.chmod(f"{upper}/upper", 0o755)
    if not lower:
        return os.open(f"{upper}/upper", os.O_RDONLY | os.O_DIRECTORY)
    for name, target in (("u", f"{upper}/upper"), ("w", f"{upper}/work"), *((str(i), p) for i, p in enumerate(lower))):
        os.symlink(target, f"{scratch}/{name}")
    os.mkdir(f"{scratch}/merged")
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(scratch)
    layers = ":".join(map(str, range(len(lower))))
    # What is renamed or only changed in its rights is copied whole: a layer must stand for itself.
    options = f"lowerdir={layers},upperdir=u,workdir=w,redirect_dir=off,metacopy=off"
    check(libc.mount(b"overlay", b"merged", b"overlay", 0, options.encode()), "mount overlay")
    found = os.open("merged", os.O_RDONLY | os.O_DIRECTORY)
    os.fchdir(before)
    os.close(before)
    return found


def open_in(root: int, path: str, flags: int = os.O_PATH) -> int:
    """openat2(2): links in `path` count as if `root` were the root directory. OSError."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    name = os.fsencode(path.strip("/") or ".")
    call = ctypes.c_long(OPENAT2)
    for _ in range(100):  # EAGAIN: somebody renames meanwhile
        found = libc.syscall(call, ctypes.c_long(root), name, how, ctypes.c_size_t(len(how)))
        if found >= 0:
            return int(found)
        if ctypes.get_errno() != errno.EAGAIN:
            break
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), path)


def children(folder: int) -> list[str]:
    """Names in a directory given by an O_PATH or readable descriptor, sorted."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        return sorted(os.listdir(readable))
    finally:
        os.close(readable)


def walk(folder: int, prefix: str = "") -> Iterator[tuple[str, os.stat_result, int, str]]:
    """(path, status, descriptor of its directory, name) of everything below, a directory before what is in it.

    Links are told, not followed. The descriptor is good until the next step.
    """
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        for name in sorted(os.listdir(here)):
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
            yield prefix + name, status, here, name
            if stat.S_ISDIR(status.st_mode):
                try:
                    below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
                except FileNotFoundError:
                    continue
                try:
                    yield from walk(below, f"{prefix}{name}/")
                finally:
                    os.close(below)
    finally:
        os.close(here)
