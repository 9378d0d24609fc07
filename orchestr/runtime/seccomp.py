"""Seccomp: an OCI `linux.seccomp` as a BPF program, by libseccomp, and the step that installs it.

Compiling costs tens of milliseconds and megabytes of libseccomp; so a short-lived child does it, once per different
configuration, and orch-supervisor keeps only the bytes. See seccomp(2), runtime-spec config-linux.md "Seccomp".
"""

import ctypes
import errno
import hashlib
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
    "SCMP_ARCH_X86_64": "X86_64", "SCMP_ARCH_X86": "X86", "SCMP_ARCH_X32": "X32", "SCMP_ARCH_AARCH64": "AARCH64",
    "SCMP_ARCH_ARM": "ARM",
}  # fmt: skip
_OPERATORS: Final = {
    "SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}  # fmt: skip


class Filter(NamedTuple):
    program: ctypes.Array[ctypes.c_char]  # struct sock_filter[]
    flags: int


_compiled: dict[bytes, Filter] = {}


def compiled(config: Mapping[str, Any]) -> Filter:
    """Raises RuntimeFailure when the configuration is not understood."""
    canonical = json.dumps(config, sort_keys=True).encode()
    digest = hashlib.sha256(canonical).digest()
    found = _compiled.get(digest)
    if found is None:
        program = _in_child(config)
        flags = sum(_FLAGS.get(flag, 0) for flag in config.get("flags") or ())
        found = _compiled[digest] = Filter(ctypes.create_string_buffer(program, len(program)), flags)
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


def compile_filter(config: Mapping[str, Any]) -> bytes:
    """With libseccomp. A name that no kernel of its time knew is left out, as runc and crun do: it cannot be called."""
    import pyseccomp

    default = _action(config["defaultAction"], config.get("defaultErrnoRet"))
    filter_ = pyseccomp.SyscallFilter(default)
    for arch in config.get("architectures") or ():
        if arch not in _ARCHES:
            raise ValueError(f"architecture {arch!r} is not supported")
        try:
            filter_.add_arch(getattr(pyseccomp.Arch, _ARCHES[arch]))
        except (FileExistsError, OSError) as error:
            if error.errno != errno.EEXIST:
                raise
    for entry in config.get("syscalls") or ():
        _rules(pyseccomp, filter_, entry, default)
    filter_.set_attr(pyseccomp.Attr.CTL_NNP, 0)
    try:
        filter_.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)  # a binary tree
    except (AttributeError, OSError):
        pass
    fd = os.memfd_create("bpf")
    with os.fdopen(fd, "r+b") as file:
        filter_.export_bpf(file)
        return os.pread(fd, 1 << 20, 0)


def _rules(pyseccomp: Any, filter_: Any, entry: Mapping[str, Any], default: int) -> None:
    action = _action(entry["action"], entry.get("errnoRet"))
    if action == default:
        return
    conditions = [
        pyseccomp.Arg(
            int(arg["index"]),
            _OPERATORS[arg["op"]],
            int(arg["value"]),
            *((int(arg.get("valueTwo", 0)),) if arg["op"] == "SCMP_CMP_MASKED_EQ" else ()),
        )
        for arg in entry.get("args") or ()
    ]
    # libseccomp refuses two conditions on one argument in a rule; by the runtime-spec's example they are alternatives
    indices = [int(arg["index"]) for arg in entry.get("args") or ()]
    groups = [[c] for c in conditions] if len(set(indices)) < len(indices) else [conditions]
    for name in entry["names"]:
        for group in groups:
            try:
                filter_.add_rule(action, name, *group)
            except (ValueError, OSError, RuntimeError):
                if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) >= 0:
                    raise


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
