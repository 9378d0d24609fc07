"""Seccomp: an OCI `linux.seccomp` as a BPF program, by libseccomp, and the step that installs it.

Compiling costs tens of milliseconds and megabytes of libseccomp; so a short-lived child does it, once per different
configuration, and orch-supervisor keeps only the bytes. See seccomp(2), runtime-spec config-linux.md "Seccomp".
"""

import ctypes
import os
import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime.plan import Builder
from orchestr.runtime.seam import RuntimeFailure

_SET_MODE_FILTER: Final = 1
NEW_LISTENER: Final = 8
_FLAGS: Final = {
    "SECCOMP_FILTER_FLAG_TSYNC": 0,  # the process that installs it has one thread
    "SECCOMP_FILTER_FLAG_LOG": 2,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
}
_DEFAULT_FLAGS: Final = ("SECCOMP_FILTER_FLAG_SPEC_ALLOW",)  # as in runc; "flags": [] asks for none
PROFILE: Final = "x-orch.profile"  # {"x-orch.profile": "default"} stands for the profile of seccomp_profile.py
STRICT: Final = "x-orch.failOnUnknownSyscall"  # true: a name that libseccomp does not know is an error


class Filter(NamedTuple):
    program: ctypes.Array[ctypes.c_char]  # struct sock_filter[]
    flags: int


_compiled: dict[str, Filter] = {}


def compiled(config: Mapping[str, Any], key: str = "") -> Filter:
    """Raises RuntimeFailure when the configuration is not understood. `key` names it when the caller has a name."""
    key = key or key_of(config)
    found = _compiled.get(key)
    if found is None:
        found = remember(key, config, _in_child(config))
    return found


def key_of(config: Mapping[str, Any]) -> str:
    return repr(config)


def remember(key: str, config: Mapping[str, Any], program: bytes) -> Filter:
    """For `compiled`: what `config` compiles to."""
    found = _compiled[key] = Filter(ctypes.create_string_buffer(program, len(program)), flags(config))
    return found


def flags(config: Mapping[str, Any]) -> int:
    """Of seccomp(2). WAIT_KILLABLE_RECV is of use with a listener only, and refused by the kernel without."""
    names = config.get("flags")
    value = sum(_FLAGS[name] for name in set(_DEFAULT_FLAGS if names is None else names))
    return value | NEW_LISTENER if notifies(config) else value & ~32


def notifies(config: Mapping[str, Any]) -> bool:
    return any(entry["action"] == "SCMP_ACT_NOTIFY" for entry in config.get("syscalls") or ())


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
                from orchestr.runtime.seccomp_compile import compile_filter

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
