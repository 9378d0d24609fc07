"""tmpcopyup: a tmpfs that begins with what the container's root has at that place; made and filled here."""

import os
import stat
from contextlib import suppress

from orchestr.runtime import mounts
from orchestr.runtime import syscalls as sc
from orchestr.runtime.mountcontext import Context, attach
from orchestr.runtime.mountopts import Options
from orchestr.runtime.seam import RuntimeFailure

_CHUNK = 1 << 20


def tmpfs(context: Context, destination: str, options: Options, source: str) -> None:
    if destination == "/":
        raise RuntimeFailure("cannot mount tmpfs on /: tmpcopyup is not supported for the root (name a directory)")
    with context.look(destination) as fd:
        status = os.fstat(fd) if fd >= 0 else None
        parameters = list(options.parameters)
        if status is not None and not any(key == b"mode" for key, _ in parameters):
            parameters.append((b"mode", b"%o" % stat.S_IMODE(status.st_mode)))
        if context.label:
            parameters.append((b"context", os.fsencode(context.label)))
        read_only = (options.on | options.deep_on) & sc.MOUNT_ATTR_RDONLY
        # The filesystem belongs to the machine; with a user namespace no device in it may be one for the container.
        flags = (options.on | options.deep_on) & ~read_only | (sc.MOUNT_ATTR_NODEV if context.userns >= 0 else 0)
        try:
            made = context.own(sc.new_mount(b"tmpfs", ((b"source", os.fsencode(source)), *parameters), flags))
            if status is not None and stat.S_ISDIR(status.st_mode):
                root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=made)
                here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
                try:
                    os.chown(root, status.st_uid, status.st_gid)
                    _copy(here, root)
                finally:
                    os.close(root)
                    os.close(here)
        except OSError as error:
            raise RuntimeFailure(
                f"cannot copy {destination} up: {error.strerror} (is the tmpfs large enough?)", reason="StartError"
            ) from error
    if options.propagation not in (0, sc.MS_PRIVATE):
        sc.mount_setattr(made, sc.mount_attr(0, 0, options.propagation))
    attach(context.builder, made, mounts.place(context, "tmpfs", destination), "tmpfs", destination)
    mounts.settle(context, destination, made, made)
    if read_only:
        context.late.append((destination, made))


def _copy(source: int, target: int) -> None:
    """Everything in a directory, nothing through a link. What somebody else removes meanwhile is not copied."""
    for name in os.listdir(source):
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            _make(source, target, name, status)
            if not stat.S_ISSOCK(status.st_mode):
                os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
                _finish(target, name, status)


def _make(source: int, target: int, name: str, status: os.stat_result) -> None:
    directory = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(name, dir_fd=target)
        below, made = os.open(name, directory, dir_fd=source), os.open(name, directory, dir_fd=target)
        try:
            _copy(below, made)
        finally:
            os.close(below)
            os.close(made)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    elif stat.S_ISREG(status.st_mode):
        _file(source, target, name)
    elif not stat.S_ISSOCK(status.st_mode):
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)


def _file(source: int, target: int, name: str) -> None:
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    read = os.open(name, os.O_RDONLY | flags, dir_fd=source)
    try:
        write = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=target)
        try:
            while os.sendfile(write, read, None, _CHUNK):
                pass
        finally:
            os.close(write)
    finally:
        os.close(read)


def _finish(target: int, name: str, status: os.stat_result) -> None:
    """Mode and times, after the owner: chown(2) clears the set-user-id bit."""
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)
