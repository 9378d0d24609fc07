"""An OCI `linux.seccomp` as BPF, by libseccomp: the part that only a short-lived child runs. See seccomp(2)."""

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

from orchestr.runtime.seccomp import STRICT

OPERATORS: Final = {
    "SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}  # fmt: skip
# SECCOMP_RET_* of linux/seccomp.h, which is what libseccomp's SCMP_ACT_* are
ACTIONS: Final = {
    "SCMP_ACT_KILL": 0, "SCMP_ACT_KILL_THREAD": 0, "SCMP_ACT_KILL_PROCESS": 0x80000000, "SCMP_ACT_TRAP": 0x30000,
    "SCMP_ACT_ERRNO": 0x50000, "SCMP_ACT_NOTIFY": 0x7FC00000, "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000, "SCMP_ACT_ALLOW": 0x7FFF0000,
}  # fmt: skip
_NO_SUCH_CALL: Final = -1
_CTL_OPTIMIZE: Final = 8
_NEEDED: Final = {
    "write": "whoever listens could wait for its own messages",
    "sendmsg": "the listener itself is sent by it",
}


class _Condition(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def compile_filter(config: Mapping[str, Any]) -> bytes:
    """With libseccomp, by ctypes: its wrappers on PyPI look for the library by running other programs."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_arch_resolve_name.restype = library.seccomp_arch_native.restype = ctypes.c_uint32
    default = _action(config["defaultAction"], config.get("defaultErrnoRet"), "defaultErrnoRet")
    if config["defaultAction"] == "SCMP_ACT_NOTIFY":
        raise ValueError("SCMP_ACT_NOTIFY cannot be the default action: nobody listens yet when the command is run")
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
    if not context:
        raise ValueError(f"the kernel or libseccomp has no action {config['defaultAction']}")
    library.seccomp_attr_set(context, _CTL_OPTIMIZE, 2)  # a binary tree; older libraries do without
    for arch in config.get("architectures") or ():
        _check(library.seccomp_arch_add(context, ctypes.c_uint32(_arch(library, arch))), arch, errno.EEXIST)
    for entry in config.get("syscalls") or ():
        _rules(library, context, entry, default, bool(config.get(STRICT)))
    fd = os.memfd_create("bpf")
    _check(library.seccomp_export_bpf(context, fd), "the program")
    return _unknown_calls(library, config) + os.pread(fd, 1 << 20, 0)


def _arch(library: ctypes.CDLL, name: str) -> int:
    token = int(library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode()))
    if not token:
        raise ValueError(f"architecture {name} is not known to this libseccomp")
    return token


def _check(code: int, what: str, fine: int = 0) -> None:
    if code < 0 and -code != fine:
        raise ValueError(f"{what}: {os.strerror(-code)}")


def _rules(
    library: ctypes.CDLL, context: ctypes.c_void_p, entry: Mapping[str, Any], default: int, strict: bool
) -> None:
    """A name that libseccomp does not know is left out, as by runc and crun: the default action stands for it."""
    action = _action(entry["action"], entry.get("errnoRet"), "errnoRet")
    if action == default:
        return
    conditions = [_condition(item) for item in entry.get("args") or ()]
    # libseccomp takes one condition per argument in a rule; several on the same one are alternatives, as in runc
    repeated = len({condition.arg for condition in conditions}) < len(conditions)
    groups = [[condition] for condition in conditions] if repeated else [conditions]
    for name in entry["names"]:
        if entry["action"] == "SCMP_ACT_NOTIFY" and name in _NEEDED:
            raise ValueError(f"SCMP_ACT_NOTIFY cannot be used for the {name} syscall: {_NEEDED[name]}")
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _NO_SUCH_CALL:
            if strict:
                raise ValueError(f"no system call {name!r} is known")
            continue
        for group in groups:
            array = (_Condition * len(group))(*group)
            code = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(group), array)
            _check(code, name, errno.EEXIST)


def _condition(item: Mapping[str, Any]) -> _Condition:
    """For a masked comparison OCI's value is the mask and valueTwo what must be there."""
    return _Condition(int(item["index"]), OPERATORS[item["op"]], int(item["value"]), int(item.get("valueTwo") or 0))


def _action(name: str, data: int | None, what: str) -> int:
    """runtime-spec config-linux.md: when the action takes no errno, the runtime must fail."""
    if name not in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"):
        if data is not None:
            raise ValueError(f"{what} cannot be used with {name}: it returns no errno")
        return ACTIONS[name]
    return ACTIONS[name] | (errno.EPERM if data is None else data)


_LOAD, _JUMP, _EQUAL, _GREATER, _NOT_LESS, _RETURN = 0x20, 0x05, 0x15, 0x25, 0x35, 0x06  # linux/bpf_common.h
_NUMBER_AT, _ARCH_AT = 0, 4  # struct seccomp_data
_X32_BIT: Final = 0x40000000
_DENIALS: Final = ("SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP")


def _unknown_calls(library: ctypes.CDLL, config: Mapping[str, Any]) -> bytes:
    """BPF before libseccomp's: calls newer than any that an allow-list names fail with ENOSYS, and libc falls back.

    Whoever wrote the list did not mean to deny what did not exist; EPERM has broken containers at each new kernel.
    """
    if config["defaultAction"] not in _DENIALS:
        return b""
    names = {name for entry in config.get("syscalls") or () for name in entry["names"]}
    arches = [int(library.seccomp_arch_native())]
    arches += [token for arch in config.get("architectures") or () if (token := _arch(library, arch)) not in arches]
    last = {arch: _last(library, arch, names) for arch in arches}
    x32 = last.pop(_arch(library, "SCMP_ARCH_X32"), -1)
    blocks = [
        _block(arch, number, x32 if arch == _arch(library, "SCMP_ARCH_X86_64") else None)
        for arch, number in last.items()
        if number >= 0
    ]
    if not blocks:
        return b""
    program = _instruction(_LOAD, _ARCH_AT)
    for index, block in enumerate(blocks):
        rest = sum(len(later) // 8 + 1 for later in blocks[index + 1 :])
        program += block + _instruction(_JUMP, rest)
    return program


def _last(library: ctypes.CDLL, arch: int, names: Iterable[str]) -> int:
    resolve, token = library.seccomp_syscall_resolve_name_arch, ctypes.c_uint32(arch)
    return max((int(resolve(token, name.encode())) for name in names), default=-1)


def _block(arch: int, last: int, x32: int | None) -> bytes:
    """For one architecture; falls through to what leads to the filter. On x86_64 x32 calls are those from a bit on."""
    unknown = _instruction(_RETURN, ACTIONS["SCMP_ACT_ERRNO"] | errno.ENOSYS)
    body = _instruction(_GREATER, last, 0, 1) + unknown
    if x32 is not None:
        other = _instruction(_GREATER, x32, 0, 1) + unknown if x32 >= 0 else b""
        over = _instruction(_JUMP, len(other) // 8)
        body = _instruction(_NOT_LESS, _X32_BIT, len(body + over) // 8, 0) + body + over + other
    body = _instruction(_LOAD, _NUMBER_AT) + body
    return _instruction(_EQUAL, arch, 0, len(body) // 8 + 1) + body


def _instruction(code: int, k: int, true: int = 0, false: int = 0) -> bytes:
    """struct sock_filter."""
    return struct.pack("=HBBI", code, true, false, k)
