"""A tmpfs on a directory of the host, kept out of swap where the kernel can (noswap, Linux 6.4)."""

import errno
import os
from contextlib import suppress

from orchestr.runtime import syscalls

_ATTRS = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC


def mount(directory: str, *, mode: int, size: str) -> None:
    """Makes the directory and mounts there unless something is mounted already. `size`: bytes, or a share: "10%"."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if os.path.ismount(directory):
        return
    tmpfs = _new(mode, size)
    target = os.open(directory, syscalls.O_PATH | os.O_DIRECTORY)
    try:
        syscalls.call("move_mount", tmpfs, b"", target, b"", syscalls.MOVE_MOUNT_EMPTY)
    finally:
        os.close(tmpfs)
        os.close(target)


def _new(mode: int, size: str) -> int:
    options: tuple[tuple[bytes, bytes | None], ...] = ((b"mode", b"%o" % mode), (b"size", size.encode()))
    try:
        return syscalls.new_mount(b"tmpfs", (*options, (b"noswap", None)), _ATTRS)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return syscalls.new_mount(b"tmpfs", options, _ATTRS)


def unmount(directory: str) -> None:
    """Unmounts and removes the directory; gone already is fine."""
    if os.path.ismount(directory):
        syscalls.call("umount2", os.fsencode(directory), syscalls.MNT_DETACH)
    with suppress(FileNotFoundError):
        os.rmdir(directory)
