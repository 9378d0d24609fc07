"""A container's root: overlayfs of read-only layers and its own upper directory, every layer mapped to the pod's ids.

An overlay cannot be idmapped as a whole (EINVAL), its layers can: each is an open_tree clone with MOUNT_ATTR_IDMAP,
handed over by descriptor. Linux takes such descriptors since 6.15; before, the clones are attached in a private mount
namespace of a short-lived child, which makes the overlay there from paths, and whose descriptor is taken over.

Mounted `volatile`: an upper directory lives no longer than its container, and every exit would else wait until the
whole filesystem below is synced. fsync(2) on the root does nothing then; what must last lies on volumes.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime.seam import Rootfs, RuntimeFailure

_STAGE: Final = "/proc"  # any directory that every machine has: it is covered in a namespace nobody else is in

_PR_SET_SECUREBITS, _NO_SETUID_FIXUP = 28, 4


def kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()))


def make(rootfs: Rootfs, userns: int, owner: int) -> int:
    """A descriptor of the detached overlay; `owner` is the machine's id of the container's root.

    Makes `upper`'s directories, and leaves them when it fails.
    """
    fds: list[int] = []
    try:
        lower = [_layer(path, userns, fds) for path in rootfs.lower]
        _make_upper(rootfs.upper)
        parent = _layer(rootfs.upper, userns, fds)
        if kernel() >= (6, 15):
            return _by_descriptor(lower, parent, fds, owner)
        return _staged(lower, parent, owner)
    except OSError as error:
        raise RuntimeFailure(
            f"cannot make the root overlay of {rootfs.upper}: {error.strerror} "
            "(layers and upper must lie on filesystems with idmapped mounts, such as ext4, xfs, btrfs, tmpfs)",
            reason="StartError",
        ) from error
    finally:
        for fd in fds:
            os.close(fd)


def _layer(path: str, userns: int, fds: list[int]) -> int:
    mount = sc.open_tree(sc.AT_FDCWD, path)
    fds.append(mount)
    if userns >= 0:
        sc.mount_setattr(mount, sc.mount_attr(sc.MOUNT_ATTR_IDMAP, 0, sc.MS_PRIVATE, userns))
    return mount


def _make_upper(path: str) -> None:
    """upper/ is owned by the container's root, id 0 on disk; the directory around keeps everybody else out."""
    try:
        os.mkdir(f"{path}/work", 0o700)
    except FileNotFoundError:
        os.makedirs(path, mode=0o700)
        os.mkdir(f"{path}/work", 0o700)
    except FileExistsError:
        pass
    with suppress(FileExistsError):
        os.mkdir(f"{path}/upper")
        os.chmod(f"{path}/upper", 0o755)
    # Left by a volatile mount that ended; the kernel wants to be told that it may go on.
    with suppress(FileNotFoundError):
        os.unlink(f"{path}/work/work/incompat/volatile/dirty")
        os.rmdir(f"{path}/work/work/incompat/volatile")


def _by_descriptor(lower: list[int], parent: int, fds: list[int], owner: int) -> int:
    directory = sc.O_PATH | os.O_DIRECTORY
    upper, work = os.open("upper", directory, dir_fd=parent), os.open("work", directory, dir_fd=parent)
    fds += (upper, work)
    fs = sc.call("fsopen", b"overlay", sc.FSOPEN_CLOEXEC)
    fds.append(fs)
    for layer in lower:
        sc.call("fsconfig", fs, sc.FSCONFIG_SET_FD, b"lowerdir+", None, layer)
    sc.call("fsconfig", fs, sc.FSCONFIG_SET_FD, b"upperdir", None, upper)
    sc.call("fsconfig", fs, sc.FSCONFIG_SET_FD, b"workdir", None, work)
    return _finish(fs, owner)


def _finish(fs: int, owner: int) -> int:
    sc.call("fsconfig", fs, sc.FSCONFIG_SET_STRING, b"source", b"orch", 0)
    sc.call("fsconfig", fs, sc.FSCONFIG_SET_FLAG, b"volatile", None, 0)
    with _acting_as(owner):
        sc.call("fsconfig", fs, sc.FSCONFIG_CMD_CREATE, None, None, 0)
    return sc.call("fsmount", fs, sc.FSMOUNT_CLOEXEC, 0)


@contextmanager
def _acting_as(owner: int) -> Iterator[None]:
    """Files made by this process belong to `owner`; its capabilities stay.

    The overlay makes its work directory and copies files up as who mounted it. The machine's root has no id on a mapped
    layer (EOVERFLOW), and the overlay would then silently be read-only.
    """
    if owner:
        sc.call("prctl", _PR_SET_SECUREBITS, _NO_SETUID_FIXUP, 0, 0, 0)
        sc.call("setfsgid", owner)
        sc.call("setfsuid", owner)
    try:
        yield
    finally:
        if owner:
            sc.call("setfsuid", 0)
            sc.call("setfsgid", 0)
            sc.call("prctl", _PR_SET_SECUREBITS, 0, 0, 0, 0)


def _staged(lower: list[int], parent: int, owner: int) -> int:
    """For Linux 6.1 to 6.14: see the module's text."""
    told, tell = os.pipe2(os.O_CLOEXEC)
    wait, go = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(go)
            os.write(tell, struct.pack("i", _stage(lower, parent, owner)))
            os.read(wait, 1)  # keeps the descriptor alive until the parent has taken it
        except OSError as error:
            os.write(tell, struct.pack("i", -(error.errno or 1)))
        finally:
            os._exit(0)
    os.close(tell)
    os.close(wait)
    try:
        answer = os.read(told, 4)
        fd = struct.unpack("i", answer)[0] if answer else -1
        if fd < 0:
            raise OSError(-fd, os.strerror(-fd))
        pidfd = os.pidfd_open(pid)
        try:
            return sc.call("pidfd_getfd", pidfd, fd, 0)
        finally:
            os.close(pidfd)
    finally:
        os.close(told)
        os.close(go)
        os.waitpid(pid, 0)


def _stage(lower: list[int], parent: int, owner: int) -> int:
    """In the child: the overlay's descriptor number."""
    sc.call("unshare", sc.CLONE_NEWNS)
    attr = sc.mount_attr(0, 0, sc.MS_PRIVATE)
    sc.call("mount_setattr", sc.AT_FDCWD, b"/", sc.AT_RECURSIVE, attr, len(attr))
    stage = sc.new_mount(b"tmpfs")
    sc.call("move_mount", stage, b"", sc.AT_FDCWD, _STAGE.encode(), 0x04)
    names = [str(index) for index in range(len(lower))]
    for name, mount in (*zip(names, lower, strict=True), ("p", parent)):
        os.mkdir(f"{_STAGE}/{name}")
        sc.call("move_mount", mount, b"", sc.AT_FDCWD, f"{_STAGE}/{name}".encode(), 0x04)
    fs = sc.call("fsopen", b"overlay", sc.FSOPEN_CLOEXEC)
    os.chdir(_STAGE)
    # Relative names keep the one string of all layers short: fsconfig(2) takes 256 bytes.
    for key, value in (("lowerdir", ":".join(names)), ("upperdir", "p/upper"), ("workdir", "p/work")):
        sc.call("fsconfig", fs, sc.FSCONFIG_SET_STRING, key.encode(), value.encode(), 0)
    return _finish(fs, owner)
