"""Compiled seccomp filters kept on disk for the next orch-oci: libseccomp takes 20 ms for Docker's profile.

A file holds the key in full, so that its name need be no digest: two configurations of one name only push each other
out, and there are never more than 251. Files of another owner, or that others may write, are not believed.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from orchestr.runtime import seccomp
from orchestr.runtime.oci import log

_LIBRARIES: Final = ("/usr/lib/{}-linux-gnu", "/usr/lib64", "/usr/lib", "/lib/{}-linux-gnu", "/lib64", "/lib")
_FORMAT: Final = 1  # one more whenever what we make of a configuration changes
_MOST: Final = 1 << 20  # bytes


def prepare(config: Mapping[str, Any]) -> None:
    """So that a launch with this `linux.seccomp` finds it compiled. RuntimeFailure when it is not understood."""
    log.debug(f"seccomp filter flags: {seccomp.flags(config)}")
    key = seccomp.key_of(config)
    if not (path := _path(key)):
        return
    system = os.uname()
    whole = f"{_FORMAT} {_library()} {system.machine} {system.release}\n{key}".encode()
    program = _read(path, whole)
    if program:
        seccomp.remember(key, config, program)
    else:
        _write(path, whole, bytes(seccomp.compiled(config).program))


def _path(key: str) -> str:
    """On a file system that ends with the machine's run; "" for none."""
    base = "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR")
    return f"{base}/orch-oci-filters/{int.from_bytes(key.encode()) % 251:02x}" if base else ""


def _library() -> str:
    """What libseccomp this is, without loading it: its whole name has the version, its time the build."""
    for directory in _LIBRARIES:
        path = f"{directory.format(os.uname().machine)}/libseccomp.so.2"
        with suppress(OSError):
            return f"{os.path.realpath(path)} {os.stat(path).st_mtime_ns}"
    return ""


def _ours(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _read(path: str, key: bytes) -> bytes:
    """The program, or nothing where there is none for this key that can be believed."""
    with suppress(OSError):
        directory = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if not _ours(os.fstat(directory)):
                return b""
            name, flags = os.path.basename(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            file = os.open(name, flags, dir_fd=directory)
        finally:
            os.close(directory)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or not _ours(status) or status.st_size > _MOST:
                return b""
            found = os.read(file, _MOST)
        finally:
            os.close(file)
        program = found[len(key) + 1 :]
        if found.startswith(key + b"\0") and program and len(program) % 8 == 0:
            return program
    return b""


def _write(path: str, key: bytes, program: bytes) -> None:
    """Whole or not at all; a full disk is no reason not to run."""
    with suppress(OSError):
        directory = os.path.dirname(path)
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        if not _ours(os.lstat(directory)):
            return
        new = f"{path}.{os.getpid()}"
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            whole = key + b"\0" + program
            done = os.write(file, whole) == len(whole)
        finally:
            os.close(file)
        os.rename(new, path) if done else os.unlink(new)
