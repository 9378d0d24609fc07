"""Seccomp: an OCI `linux.seccomp` as a BPF program, by libseccomp, and the step that installs it.

Compiling costs tens of milliseconds and megabytes of libseccomp; so a short-lived child does it, once per different
configuration, and orch-supervisor keeps only the bytes. See seccomp(2), runtime-spec config-linux.md "Seccomp".
"""

import ctypes
import errno
import json
import os
import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime.plan import Builder
from orchestr.runtime.seam import RuntimeFailure

_SET_MODE_FILTER: Final = 1
_FLAGS: Final = {
    "SECCOMP_FILTER_FLAG_TSYNC": 1,
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
}
_ARCHES: Final = {
    # AUDIT_ARCH_* of linux/audit.h; x32 is libseccomp's own number
    "SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_X86": 0x40000003, "SCMP_ARCH_X32": 0x4000003E,
    "SCMP_ARCH_AARCH64": 0xC00000B7, "SCMP_ARCH_ARM": 0x40000028,
}  # fmt: skip
_OPERATORS: Final = {
    "SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}  # fmt: skip


_CTL_OPTIMIZE: Final = 8
_NO_SUCH_CALL: Final = -1


class Filter(NamedTuple):
    program: ctypes.Array[ctypes.c_char]  # struct sock_filter[]
    flags: int


_compiled: dict[str, Filter] = {}


def compiled(config: Mapping[str, Any], key: str = "") -> Filter:
    """Raises RuntimeFailure when the configuration is not understood. `key` names it when the caller has a name."""
    key = key or json.dumps(config, sort_keys=True)
    found = _compiled.get(key)
    if found is None:
        program = _in_child(config)
        flags = sum(_FLAGS.get(flag, 0) for flag in config.get("flags") or ())
        found = _compiled[key] = Filter(ctypes.create_string_buffer(program, len(program)), flags)
    return found


def install(b: Builder, found: Filter) -> None:
    size = len(found.program)
    fprog = struct.pack("HxxxxxxQ", size // 8, ctypes.addressof(found.program))
    b.add("install the seccomp filter", "the process", "seccomp", _SET_MODE_FILTER, found.flags, fprog)


def _in_child(config: Mapping[str, Any]) -> bytes:
    """The program, or RuntimeFailure with what the child wrote: b"+" program, b"-" text."""
    fd = os.memfd_create("seccomp")
    pid = os.fork()
    if pid == 0:
        try:
            try:
                program = compile_filter(config)
                os.pwrite(fd, b"+" + program, 0)
            except BaseException as error:
                os.pwrite(fd, b"-" + str(error).encode(), 0)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    answer = os.pread(fd, 1 << 20, 0)
    os.close(fd)
    if answer[:1] != b"+":
        text = answer[1:].decode(errors="replace") or "libseccomp's process was killed"
        raise RuntimeFailure(f"cannot compile the seccomp filter: {text}", reason="StartError")
    return answer[1:]


class _Condition(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def compile_filter(config: Mapping[str, Any]) -> bytes:
    """With libseccomp, by ctypes: its wrappers on PyPI look for the library by running other programs."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    default = _action(config["defaultAction"], config.get("defaultErrnoRet"))
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
    library.seccomp_attr_set(context, _CTL_OPTIMIZE, 2)  # a binary tree; older libraries do without
    for arch in config.get("architectures") or ():
        if arch not in _ARCHES:
            raise ValueError(f"architecture {arch!r} is not supported")
        _check(library.seccomp_arch_add(context, ctypes.c_uint32(_ARCHES[arch])), arch, errno.EEXIST)
    for entry in config.get("syscalls") or ():
        _rules(library, context, entry, default)
    fd = os.memfd_create("bpf")
    _check(library.seccomp_export_bpf(context, fd), "the program")
    return os.pread(fd, 1 << 20, 0)


def _check(code: int, what: str, fine: int = 0) -> None:
    if code < 0 and -code != fine:
        raise ValueError(f"{what}: {os.strerror(-code)}")


def _rules(library: ctypes.CDLL, context: ctypes.c_void_p, entry: Mapping[str, Any], default: int) -> None:
    """A name that libseccomp does not know is left out, as by runc and crun: the default action stands for it."""
    action = _action(entry["action"], entry.get("errnoRet"))
    if action == default:
        return
    conditions = [_condition(item) for item in entry.get("args") or ()]
    # libseccomp takes one condition per argument in a rule; several on the same one are alternatives, as in runc
    repeated = len({condition.arg for condition in conditions}) < len(conditions)
    groups = [[condition] for condition in conditions] if repeated else [conditions]
    for name in entry["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _NO_SUCH_CALL:
            continue
        for group in groups:
            array = (_Condition * len(group))(*group)
            code = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(group), array)
            _check(code, name, errno.EEXIST)


def _condition(item: Mapping[str, Any]) -> _Condition:
    """For a masked comparison OCI's value is the mask and valueTwo what must be there."""
    if item["op"] not in _OPERATORS:
        raise ValueError(f"operator {item['op']!r} is not supported")
    return _Condition(int(item["index"]), _OPERATORS[item["op"]], int(item["value"]), int(item.get("valueTwo", 0)))


def _action(name: str, errno_ret: int | None) -> int:
    """SECCOMP_RET_* of linux/seccomp.h with its data, which is what libseccomp's SCMP_ACT_* are."""
    ret = errno.EPERM if errno_ret is None else int(errno_ret)
    actions = {
        "SCMP_ACT_KILL": 0, "SCMP_ACT_KILL_THREAD": 0, "SCMP_ACT_KILL_PROCESS": 0x80000000, "SCMP_ACT_TRAP": 0x30000,
        "SCMP_ACT_ERRNO": 0x50000 | ret, "SCMP_ACT_TRACE": 0x7FF00000 | ret, "SCMP_ACT_LOG": 0x7FFC0000,
        "SCMP_ACT_ALLOW": 0x7FFF0000,
    }  # fmt: skip
    if name not in actions:
        raise ValueError(f"action {name!r} is not supported")
    return actions[name]
