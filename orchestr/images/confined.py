"""Fewer rights, for programs that handle what strangers have sent: capabilities, no_new_privs and Landlock.

Landlock (Linux 5.13, landlock(7)) says which files a process may reach, whoever it is; besides, who is under it cannot
mount. Where the kernel has none, or only its first version, which forbids hard links, the rest has to do.
"""

import ctypes
import os
from collections.abc import Collection, Mapping
from typing import Final

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same on every architecture
_VERSION, _PATH_BENEATH = 1, 1
_CAP_VERSION_3 = 0x20080522

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # since versions 2, 3 and 5
READ: Final = READ_FILE | READ_DIR
WRITE: Final = WRITE_FILE | TRUNCATE | REMOVE_FILE | MAKE_REG | REFER
_OF_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_BIND_TCP: Final = 1 << 0  # since version 4
_SCOPES: Final = 0b11  # abstract sockets and signals of others; since version 6

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> int:
    """Raises OSError for a call that failed."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def keep_capabilities(kept: Collection[int]) -> None:
    """These and no others, now and after any execve; and no more than one has by any other way."""
    for capability in range(64):
        if capability not in kept and libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            break  # past the last capability of this kernel
    bits = sum(1 << number for number in kept)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = (ctypes.c_uint32 * 2)(_CAP_VERSION_3, 0)
    check(libc.capset(header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)), "capset")
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Of the kernel's Landlock; 0 for none."""
    return max(int(libc.syscall(_CREATE, None, 0, _VERSION)), 0)


def reach_only(places: Mapping[str, int]) -> bool:
    """From now on, of this thread and those that it starts: files below these paths with these rights and no others; no
    mounts, no listening, no signals to others. False where the kernel cannot do it. After no_new_privs."""
    known = version()
    if known < 2:
        return False
    last = IOCTL_DEV if known >= 5 else TRUNCATE if known >= 3 else REFER
    handled = 2 * last - 1
    ruleset = _Ruleset(handled, _BIND_TCP if known >= 4 else 0, _SCOPES if known >= 6 else 0)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    rules = check(libc.syscall(_CREATE, ctypes.byref(ruleset), size, 0), "landlock_create_ruleset")
    try:
        for path, rights in places.items():
            _allow(rules, path, rights & handled)
        check(libc.syscall(_RESTRICT, rules, 0), "landlock_restrict_self")
    finally:
        os.close(rules)
    return True


def _allow(rules: int, path: str, rights: int) -> None:
    """Nothing, where the path does not exist."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = rights if os.path.isdir(path) else rights & _OF_FILES
        rule = _Beneath(allowed, place)
        check(libc.syscall(_ADD, rules, _PATH_BENEATH, ctypes.byref(rule), 0), "landlock_add_rule")
    finally:
        os.close(place)
