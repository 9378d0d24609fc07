"""A step of a launch in words: the call's arguments with their flags' names, as strace(1) would show them.

Names of flags are those of syscalls.py and `os`, by prefix; a call that is not in the table is shown by value.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime.process import HIGH
from orchestr.runtime.steps import Result, Step
from orchestr.runtime.syscalls import Arg

Names = Callable[[int], str]  # of a descriptor that the parent holds
_NO_ID: Final = 2**32 - 1


def _prefixed(module: object, prefix: str, *skip: str) -> dict[str, int]:
    return {n: v for n, v in vars(module).items() if n.startswith(prefix) and isinstance(v, int) and n not in skip}


_ATTRS = _prefixed(sc, "MOUNT_ATTR_", "MOUNT_ATTR_ATIME")
_AT = {"AT_EMPTY_PATH": 0x1000, "AT_SYMLINK_NOFOLLOW": 0x100, "AT_RECURSIVE": 0x8000}
_FLAGS: Final[Mapping[str, Mapping[str, int]]] = {
    "at": _AT,
    "open_tree": {"OPEN_TREE_CLONE": 1, "OPEN_TREE_CLOEXEC": os.O_CLOEXEC, **_AT},
    "move": {
        "MOVE_MOUNT_F_SYMLINKS": 1,
        "MOVE_MOUNT_F_AUTOMOUNTS": 2,
        "MOVE_MOUNT_F_EMPTY_PATH": 4,
        "MOVE_MOUNT_T_SYMLINKS": 0x10,
        "MOVE_MOUNT_T_AUTOMOUNTS": 0x20,
        "MOVE_MOUNT_T_EMPTY_PATH": 0x40,
    },
    "open": _prefixed(os, "O_", "O_NDELAY", "O_FSYNC", "O_LARGEFILE", "O_RSYNC", "O_DSYNC", "O_ACCMODE"),
    "attr": _ATTRS,
    "propagation": _prefixed(sc, "MS_"),
    "resolve": _prefixed(sc, "RESOLVE_"),
    "clone": _prefixed(sc, "CLONE_"),
    "umount": {"MNT_FORCE": 1, "MNT_DETACH": 2, "UMOUNT_NOFOLLOW": 8},
    "cloexec": {"CLOEXEC": 1},
    "seccomp": {
        "SECCOMP_FILTER_FLAG_LOG": 2,
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
        "SECCOMP_FILTER_FLAG_NEW_LISTENER": 8,
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
    },
}
_VALUES: Final[Mapping[str, Mapping[int, str]]] = {
    "prctl": {v: n for n, v in _prefixed(sc, "PR_").items()},
    "fsconfig": {v: n for n, v in _prefixed(sc, "FSCONFIG_").items()},
    "ioctl": {
        0x40045431: "TIOCSPTLCK",
        0x5441: "TIOCGPTPEER",
        0x540E: "TIOCSCTTY",
        0x5414: "TIOCSWINSZ",
        0x5402: "TCSETS",
    },
    "keyctl": {1: "KEYCTL_JOIN_SESSION_KEYRING"},
    "rlimit": dict(
        enumerate(
            f"RLIMIT_{name}"
            for name in (  # noqa: SIM905
                "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME"
            ).split()
        )
    ),
    "filter": {1: "SECCOMP_SET_MODE_FILTER"},
}
# Kind of each argument: fd, path, text, id, flags:NAME, value:NAME, mode, strings, and structures by their name; "" is
# shown by value, "-" is not worth showing.
_CALLS: Final = {
    "open_tree": "fd path flags:open_tree",
    "move_mount": "fd path fd path flags:move",
    "mount_setattr": "fd path flags:at mount_attr -",
    "openat2": "fd path how -",
    "openat": "fd path flags:open mode",
    "fsopen": "text flags:cloexec",
    "fsconfig": "fd value:fsconfig text text -",
    "fsmount": "fd flags:cloexec flags:attr",
    "mkdirat": "fd path mode",
    "symlinkat": "path fd path",
    "close": "fd",
    "read": "fd - -",
    "write": "fd text -",
    "dup3": "fd - flags:open",
    "fchdir": "fd",
    "fchmod": "fd mode",
    "fchown": "fd id id",
    "setns": "fd flags:clone",
    "unshare": "flags:clone",
    "umount2": "path flags:umount",
    "pivot_root": "path path",
    "chroot": "path",
    "sethostname": "text -",
    "setdomainname": "text -",
    "prctl": "value:prctl",
    "ioctl": "fd value:ioctl",
    "keyctl": "value:keyctl",
    "setresuid": "id id id",
    "setresgid": "id id id",
    "setgroups": " groups",
    "prlimit64": "- value:rlimit limits -",
    "umask": "mode",
    "faccessat2": "fd path  flags:access",
    "execve": "path strings -",
    "execveat": "fd path strings - flags:at",
    "seccomp": "value:filter flags:seccomp filter",
    "sendmsg": "fd message -",
    "capset": "- capabilities",
    "rt_sigaction": " - - -",
    "sched_setaffinity": "- - cpus",
    "rt_sigprocmask": "- signals - -",
    "close_range": "- - -",
}


def call(step: Step, names: Names) -> tuple[str, list[str]]:
    """The call's name, its arguments."""
    name = sc.NAMES[step.nr]
    if name == "dup3":
        new = step.args[1]
        told = str(new) if isinstance(new, int) and new < HIGH else _fd(new, names)
        return name, [_fd(step.args[0], names), told, _flags("open", step.args[2])]
    if name == "close_range":
        return name, [str(step.args[0]), "the last"]
    kinds = _CALLS.get(name, "").split(" ")
    kinds += [""] * (len(step.args) - len(kinds))
    shown = [_argument(kind, arg, names) for kind, arg in zip(kinds, step.args, strict=False) if kind != "-"]
    while name == "prctl" and len(shown) > 2 and shown[-1] == "0":
        shown.pop()
    return name, shown


def shown(name: str, args: Sequence[Arg]) -> str:
    """A call as strace would show it; descriptors by number."""
    _, given = call(Step("", "", sc.NR[name], tuple(args)), str)
    return f"{name}({', '.join(given)})"


def notes(step: Step, index: int) -> list[str]:
    """What may go otherwise. Steps are numbered from 1, `index` is from 0."""
    found = []
    if step.tolerate:
        fine = ", ".join(errno.errorcode[code] for code in step.tolerate)
        found.append(f"{fine}: go on at {index + 2 + step.missing}" if step.missing else f"{fine} is fine")
    if step.done:
        found.append(f"done: go on at {index + 2 + step.done}")
    return found


def clone_flags(flags: int) -> str:
    return _flags("clone", flags)


def open_flags(flags: int) -> str:
    return _flags("open", flags)


def quoted(text: object) -> str:
    return _plain(os.fsencode(text) if isinstance(text, str | os.PathLike) else bytes(text))  # type: ignore[call-overload]


def _argument(kind: str, arg: Arg | Result, names: Names) -> str:
    kind, _, table = kind.partition(":")
    if kind == "fd":
        return _fd(arg, names)
    if isinstance(arg, Result):
        return f"r{arg.slot}"
    if kind == "flags":
        return _flags(table, arg)
    if kind == "value" and isinstance(arg, int):
        return _VALUES[table].get(arg, hex(arg))
    if kind == "mode":
        return f"{arg if isinstance(arg, int) else 0:#o}"
    if kind == "id":
        return "-1" if arg == _NO_ID else str(arg)
    if kind in _STRUCTURES and arg is not None:
        return _STRUCTURES[kind](arg)
    return _plain(arg)


def _plain(arg: Arg) -> str:
    if arg is None:
        return "NULL"
    if isinstance(arg, int):
        return str(arg) if abs(arg) < 65536 else hex(arg)
    text = arg.decode(errors="backslashreplace")
    return f'"{text}"' if text.isprintable() else f"<{len(arg)} bytes>"


def _fd(arg: Arg | Result, names: Names) -> str:
    if isinstance(arg, Result):
        return f"r{arg.slot}"
    if not isinstance(arg, int):
        return _plain(arg)
    return "AT_FDCWD" if arg == sc.AT_FDCWD else names(arg)


def _flags(table: str, arg: object) -> str:
    value = arg if isinstance(arg, int) else 0
    known = _FLAGS.get(table, {})
    found = []
    for name, bits in sorted(known.items(), key=lambda item: (-item[1].bit_count(), item[1])):
        if bits and value & bits == bits:
            found.append(name)
            value &= ~bits
    if value:
        found.append(hex(value))
    return "|".join(found) or "0"


def _how(arg: Arg) -> str:
    flags, mode, resolve = struct.unpack("QQQ", arg)  # type: ignore[arg-type]
    shown = f"{_flags('open', flags)}, {_flags('resolve', resolve)}"
    return f"{shown}, {mode:#o}" if mode else shown


def _mount_attr(arg: Arg) -> str:
    on, off, propagation, userns = struct.unpack("QQQQ", arg)  # type: ignore[arg-type]
    parts = {"set": _flags("attr", on), "clear": _flags("attr", off), "to": _flags("propagation", propagation)}
    shown = [f"{key} {value}" for key, value in parts.items() if value != "0"]
    return "{" + ", ".join([*shown, *(["by the user namespace"] if userns else [])]) + "}"


def _strings(arg: Arg) -> str:
    """A char*[] of ours."""
    pointers = ctypes.cast(arg, ctypes.POINTER(ctypes.c_char_p))  # type: ignore[arg-type]
    found: list[str] = []
    while (item := pointers[len(found)]) is not None:
        found.append(_plain(item))
    return f"[{', '.join(found)}]"


def _groups(arg: Arg) -> str:
    data = arg if isinstance(arg, bytes) else b""
    return f"[{', '.join(map(str, struct.unpack(f'{len(data) // 4}I', data)))}]"


def _limits(arg: Arg) -> str:
    soft, hard = ("unlimited" if n == 2**64 - 1 else n for n in struct.unpack("QQ", arg))  # type: ignore[arg-type]
    return f"{{{soft}, {hard}}}"


def _filter(arg: Arg) -> str:
    return f"{{{struct.unpack_from('H', arg)[0]} instructions}}"  # type: ignore[arg-type]


def _message(_: Arg) -> str:
    return "{1 byte, 1 descriptor}"


def _signals(_: Arg) -> str:
    return "none"


def _cpus(arg: Arg) -> str:
    mask = int.from_bytes(arg if isinstance(arg, bytes) else b"", "little")
    return "all" if mask & mask + 1 == 0 and mask.bit_length() > 1024 else hex(mask)


def _capabilities(arg: Arg) -> str:
    """struct __user_cap_data_struct[2] of capget(2): effective, permitted, inheritable, low then high."""
    from orchestr.runtime.capabilities import BITS

    if not isinstance(arg, bytes) or len(arg) != 24:
        return _plain(arg)
    words = struct.unpack("6I", arg)
    sets = {}
    for index, name in enumerate(("effective", "permitted", "inheritable")):
        value = words[index] | words[index + 3] << 32
        sets[name] = "all" if value == 2 ** len(BITS) - 1 else _caps(value, tuple(BITS))
    return "{" + ", ".join(f"{name} {held}" for name, held in sets.items()) + "}"


def _caps(value: int, names: Sequence[str]) -> str:
    found = [name.removeprefix("CAP_") for bit, name in enumerate(names) if value >> bit & 1]
    return "+".join(found) or "none"


_STRUCTURES: Final[Mapping[str, Callable[[Arg], str]]] = {
    "how": _how,
    "mount_attr": _mount_attr,
    "strings": _strings,
    "groups": _groups,
    "limits": _limits,
    "filter": _filter,
    "message": _message,
    "signals": _signals,
    "capabilities": _capabilities,
    "cpus": _cpus,
}
