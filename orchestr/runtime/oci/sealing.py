"""As orchestr.runtime.sealed, with nothing imported: it starts this program a second time, so the first must be short.

The calls go through `_ctypes`, the C half of `ctypes`. Whatever does not go well is done again, with a message, there.
"""

import os
import sys

_OPEN_TREE, _MOUNT_SETATTR = 428, 442  # the same on every architecture
_CLONE, _CLOEXEC, _AT_FDCWD, _AT_EMPTY_PATH = 0x1, 0o2000000, -100, 0x1000
_RDONLY_PRIVATE = (1).to_bytes(8, "little") + bytes(8) + (1 << 18).to_bytes(8, "little") + bytes(8)  # struct mount_attr


def seal() -> None:
    """See sealed.seal. Returns only in a program that is sealed."""
    if os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY:
        return
    try:
        _again()
    except (ImportError, AttributeError, OSError):
        from orchestr.runtime import sealed

        sealed.seal()


def _again() -> None:
    import _ctypes

    syscall = _ctypes.dlsym(_ctypes.dlopen(None, 2), "syscall")  # type: ignore[arg-type]
    path = os.fsencode(os.path.realpath("/proc/self/exe"))
    fd = _ctypes.call_function(syscall, (_OPEN_TREE, _AT_FDCWD, path, _CLONE | _CLOEXEC))
    if fd < 0:
        raise OSError(f"cannot clone the mount of {os.fsdecode(path)}")
    size = len(_RDONLY_PRIVATE)
    if _ctypes.call_function(syscall, (_MOUNT_SETATTR, fd, b"", _AT_EMPTY_PATH, _RDONLY_PRIVATE, size)):
        raise OSError(f"cannot make {os.fsdecode(path)} read-only")
    os.execve(fd, sys.orig_argv, os.environ)
