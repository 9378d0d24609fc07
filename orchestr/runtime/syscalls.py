"""System calls by number, for what Python's `os` lacks. One place for numbers, flags and packed arguments.

Numbers and flags are the kernel's own (linux/*.h); man page section 2 under the same name. Imports ctypes, os and
struct alone: orch-supervisor lives on this. Plain integers, not enums: building IntEnums would cost it milliseconds.
"""

import ctypes
import os
import struct
from typing import Final

# name: (x86_64, aarch64); from 424 on numbers are the same on every architecture.
_NUMBERS: Final = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216),
    "ioctl": (16, 29), "fcntl": (72, 25), "socket": (41, 198), "sendmsg": (46, 211),
    "chdir": (80, 49), "set_mempolicy": (238, 237), "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
    "fchdir": (81, 50), "chroot": (161, 51), "fchmod": (91, 52), "fchown": (93, 55), "umask": (95, 166),
    "ptrace": (101, 117), "mknodat": (259, 33), "fchownat": (260, 54), "unlinkat": (263, 35),
    "setsid": (112, 157), "setfsuid": (122, 151), "setfsgid": (123, 152), "setgroups": (116, 159),
    "setresuid": (117, 147), "setresgid": (119, 149), "capset": (126, 91), "personality": (135, 92),
    "pivot_root": (155, 41), "prctl": (157, 167), "sethostname": (170, 161), "setdomainname": (171, 162),
    "umount2": (166, 39), "keyctl": (250, 219), "openat": (257, 56), "mkdirat": (258, 34), "symlinkat": (266, 36),
    "unshare": (272, 97), "dup3": (292, 24), "prlimit64": (302, 261), "setns": (308, 268), "seccomp": (317, 277),
    "bpf": (321, 280), "execve": (59, 221), "execveat": (322, 281), "exit_group": (231, 94), "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119), "pidfd_send_signal": (424, 424), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "pidfd_open": (434, 434), "clone3": (435, 435), "close_range": (436, 436), "openat2": (437, 437),
    "pidfd_getfd": (438, 438), "faccessat2": (439, 439), "mount_setattr": (442, 442),
}  # fmt: skip

_ARCH: Final = 0 if os.uname().machine == "x86_64" else 1
NR: Final = {name: numbers[_ARCH] for name, numbers in _NUMBERS.items()}
NAMES: Final = {number: name for name, number in NR.items()}

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_RECURSIVE: Final = 0x8000

CLONE_NEWTIME: Final = 0x80
CLONE_NEWNS: Final = 0x20000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000
CLONE_VM: Final = 0x100
CLONE_VFORK: Final = 0x4000
CLONE_PARENT: Final = 0x8000
CLONE_PARENT_SETTID: Final = 0x100000
CLONE_CLEAR_SIGHAND: Final = 0x100000000
CLONE_INTO_CGROUP: Final = 0x200000000

OPEN_TREE_CLONE: Final = 1
OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
MOVE_MOUNT_EMPTY: Final = 0x04 | 0x40  # F_EMPTY_PATH | T_EMPTY_PATH: both sides are descriptors
FSOPEN_CLOEXEC: Final = 1
FSMOUNT_CLOEXEC: Final = 1
FSCONFIG_SET_FLAG: Final = 0
FSCONFIG_SET_STRING: Final = 1
FSCONFIG_SET_FD: Final = 5
FSCONFIG_CMD_CREATE: Final = 6
FSCONFIG_CMD_RECONFIGURE: Final = 7

MOUNT_ATTR_RDONLY: Final = 0x1
MOUNT_ATTR_NOSUID: Final = 0x2
MOUNT_ATTR_NODEV: Final = 0x4
MOUNT_ATTR_NOEXEC: Final = 0x8
MOUNT_ATTR_ATIME: Final = 0x70  # the field; 0 relatime, 0x10 noatime, 0x20 strictatime
MOUNT_ATTR_NOATIME: Final = 0x10
MOUNT_ATTR_STRICTATIME: Final = 0x20
MOUNT_ATTR_NODIRATIME: Final = 0x80
MOUNT_ATTR_IDMAP: Final = 0x100000
MOUNT_ATTR_NOSYMFOLLOW: Final = 0x200000

MS_UNBINDABLE: Final = 1 << 17
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MS_SHARED: Final = 1 << 20
MNT_DETACH: Final = 2

RESOLVE_NO_MAGICLINKS: Final = 0x02
RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08
RESOLVE_IN_ROOT: Final = 0x10

PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47

O_PATH: Final = os.O_PATH | os.O_CLOEXEC
INSIDE: Final = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS  # how every path of a container is resolved

# PyDLL keeps the interpreter lock: nothing here blocks for long, and a forked child finds no lock to wait for.
# Arguments are void pointers: ints and bytes both pass, and an int is not cut to 32 bits.
_syscall = ctypes.PyDLL(None, use_errno=True).syscall
_syscall.argtypes = (ctypes.c_long, *(ctypes.c_void_p,) * 6)
_syscall.restype = ctypes.c_long
raw = _syscall
get_errno = ctypes.get_errno

Arg = int | bytes | None


class CallError(OSError):
    """A call that failed: strerror has its name and what the errno means for it, str() its arguments as well."""

    def __init__(self, name: str, args: tuple[Arg, ...], code: int) -> None:
        super().__init__(code, os.strerror(code))
        self.call, self.given = name, args

    @property
    def strerror(self) -> str:  # type: ignore[override]
        """Worded when it is read: many a call may fail, and nobody is told."""
        return f"{os.strerror(self.errno or 0)} ({hint(self.call, self.errno or 0)})"

    def __str__(self) -> str:
        from orchestr.runtime.decode import shown

        return f"{shown(self.call, self.given)}: {self.strerror}"


def hint(name: str, code: int) -> str:
    """What to think of when call `name` fails with errno `code`."""
    from orchestr.runtime.errnos import meaning

    told = meaning(name, code)
    return f"{name}(2): {told}" if told else f"{name}(2)"


def call(name: str, *args: Arg) -> int:
    """Makes the call, in this process. Raises CallError; EINTR is the caller's."""
    result: int = _syscall(NR[name], *args, *(0,) * (6 - len(args)))
    if result < 0:
        raise CallError(name, args, ctypes.get_errno())
    return result


def open_how(flags: int, mode: int = 0, resolve: int = INSIDE) -> bytes:
    """struct open_how of openat2(2), Linux 5.6."""
    return struct.pack("QQQ", flags, mode, resolve)


def mount_attr(on: int, off: int = 0, propagation: int = 0, userns: int = 0) -> bytes:
    """struct mount_attr of mount_setattr(2), Linux 5.12. `on` and `off` are MOUNT_ATTR_*, `propagation` one of MS_*."""
    return struct.pack("QQQQ", on, off, propagation, userns)


def clone_args(flags: int, exit_signal: int = 0, parent_tid: int = 0, cgroup: int = 0) -> bytes:
    """struct clone_args of clone3(2), 88 bytes (Linux 5.7, for CLONE_INTO_CGROUP; 5.3 without). `flags` are CLONE_*."""
    return struct.pack("11Q", flags, 0, 0, parent_tid, exit_signal, 0, 0, 0, 0, 0, cgroup)


def openat2(directory: int, path: str | bytes, flags: int, resolve: int = INSIDE, mode: int = 0) -> int:
    """openat2(2), Linux 5.6: a descriptor of `path` below `directory`, which it cannot leave. `flags` are os.O_*.

    ELOOP for a magic link or, with RESOLVE_NO_SYMLINKS, any; EXDEV for a way out; EAGAIN when a rename came in between.
    """
    how = open_how(flags | os.O_CLOEXEC, mode, resolve)
    return call("openat2", directory, os.fsencode(path), how, len(how))


def open_tree(directory: int, path: str | bytes, *, recursive: bool = False, follow: bool = True) -> int:
    """open_tree(2), Linux 5.2: a detached clone of the mount at `path`; with an empty path, of what `directory` is.

    Needs CAP_SYS_ADMIN in the mount namespace's user namespace. EINVAL for an unbindable mount.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0) | (0 if path else AT_EMPTY_PATH)
    flags |= 0 if follow else AT_SYMLINK_NOFOLLOW
    return call("open_tree", directory, os.fsencode(path), flags)


def mount_setattr(mount: int, attr: bytes, *, recursive: bool = False) -> None:
    """mount_setattr(2), Linux 5.12: `attr` (see mount_attr) for the mount that the descriptor is of, or all below too.

    EINVAL: its file system has no idmapped mounts, or it is in use already; EPERM: a flag is locked.
    """
    call("mount_setattr", mount, b"", AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0), attr, len(attr))


def new_mount(fstype: bytes, options: tuple[tuple[bytes, bytes | None], ...] = (), attrs: int = 0) -> int:
    """A detached mount of a new superblock, made by this process: fsopen(2), fsconfig(2), fsmount(2), Linux 5.2.

    An option without a value is a flag. ENODEV: no such file system; EINVAL: no such option, or not this value.
    """
    fs = call("fsopen", fstype, FSOPEN_CLOEXEC)
    try:
        for key, value in options:
            kind = FSCONFIG_SET_FLAG if value is None else FSCONFIG_SET_STRING
            call("fsconfig", fs, kind, key, value, 0)
        call("fsconfig", fs, FSCONFIG_CMD_CREATE, None, None, 0)
        return call("fsmount", fs, FSMOUNT_CLOEXEC, attrs)
    finally:
        os.close(fs)
