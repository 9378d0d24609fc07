"""`<run>/volatile`: a tmpfs for secrets. Mode 0700, gone after a reboot, not swapped (Linux 6.4)."""

import errno
import os
from contextlib import suppress

from orchestr.runtime import syscalls

_ATTRS = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV | syscalls.MOUNT_ATTR_NOEXEC


def place(run: str) -> str:
    return f"{run}/volatile"


def mount(run: str) -> None:
    """Mounts it unless it is there."""
    directory = place(run)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    if os.path.ismount(directory):
        return
    tmpfs = _tmpfs()
    target = os.open(directory, syscalls.O_PATH | os.O_DIRECTORY)
    try:
        syscalls.call("move_mount", tmpfs, b"", target, b"", syscalls.MOVE_MOUNT_EMPTY)
    finally:
        os.close(tmpfs)
        os.close(target)


def _tmpfs() -> int:
    options: tuple[tuple[bytes, bytes | None], ...] = ((b"mode", b"0700"), (b"size", b"10%"))
    try:
        return syscalls.new_mount(b"tmpfs", (*options, (b"noswap", None)), _ATTRS)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return syscalls.new_mount(b"tmpfs", options, _ATTRS)


def unmount(run: str) -> None:
    directory = place(run)
    if os.path.ismount(directory):
        syscalls.call("umount2", os.fsencode(directory), syscalls.MNT_DETACH)
    with suppress(FileNotFoundError):
        os.rmdir(directory)
