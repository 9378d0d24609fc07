"""An image as a directory to look into: its layers over each other, read-only, below <root>/mounts/.

A mount is the kernel's own record: it outlives the daemon, and its image is in use as long as it is there.
"""

import errno
import os
from typing import Final

from orchestr.images.confined import check, libc
from orchestr.images.seam import Image, ImageError

FOLDER: Final = "mounts"
_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432  # system calls, the same on every architecture
_SET_STRING, _CREATE, _CLOEXEC = 1, 6, 1
_READ_ONLY = 0x1 | 0x2 | 0x4  # MOUNT_ATTR_RDONLY, NOSUID, NODEV
_EMPTY_PATH, _AT_FDCWD = 0x4, -100


def mount(root: str, image: Image) -> str:
    """The directory. ImageError."""
    target = place(root, image.digest)
    if image.digest in mounted(root):
        return target
    empty = os.path.join(root, FOLDER, ".empty")  # overlayfs wants two layers
    for folder in (empty, target):
        os.makedirs(folder, mode=0o700, exist_ok=True)
    try:
        _attach(_overlay((*image.lower, empty)), target)
    except OSError as error:
        os.rmdir(target)
        hint = "Linux 6.5 can" if error.errno == errno.EINVAL else "see the daemon's log"
        name = image.names[0] if image.names else image.digest
        raise ImageError(f"cannot mount {name}: {error.strerror} ({hint})") from error
    return target


def place(root: str, digest: str) -> str:
    return os.path.join(root, FOLDER, digest.removeprefix("sha256:"))


def _overlay(lower: tuple[str, ...]) -> int:
    """A descriptor of the mount, which is nowhere yet."""
    fs = check(libc.syscall(_FSOPEN, b"overlay", _CLOEXEC), "fsopen")
    try:
        for path in lower:
            _configure(fs, _SET_STRING, b"lowerdir+", os.fsencode(path))
        _configure(fs, _SET_STRING, b"source", b"orch-image")
        _configure(fs, _CREATE, None, None)
        return check(libc.syscall(_FSMOUNT, fs, _CLOEXEC, _READ_ONLY), "fsmount")
    finally:
        os.close(fs)


def _configure(fs: int, command: int, key: bytes | None, value: bytes | None) -> None:
    check(libc.syscall(_FSCONFIG, fs, command, key, value, 0), "fsconfig")


def _attach(tree: int, target: str) -> None:
    try:
        check(libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _EMPTY_PATH), "move_mount")
    finally:
        os.close(tree)


def unmount(root: str, digest: str) -> None:
    """Idempotent. ImageError while somebody is in it."""
    target = place(root, digest)
    try:
        if digest in mounted(root):
            check(libc.umount2(os.fsencode(target), 0), "umount")
    except OSError as error:
        raise ImageError(f"cannot unmount {target}: {error.strerror} (end what uses it)") from error
    if os.path.isdir(target):
        os.rmdir(target)


def mounted(root: str) -> frozenset[str]:
    """The digests of the manifests of the images that are mounted."""
    folder = os.path.join(root, FOLDER)
    names = [name for name in os.listdir(folder) if name != ".empty"] if os.path.isdir(folder) else []
    return frozenset(f"sha256:{name}" for name in names if os.path.ismount(os.path.join(folder, name)))
