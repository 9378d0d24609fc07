"""devices: which nodes may be opened or made. OCI's rules are walked in order, the last that matches decides.

On the unified tree that is a BPF program of type CGROUP_DEVICE (kernel: bpf_cgroup_dev_ctx), loaded once per different
list of rules and attached to each cgroup; on pure v1 the files devices.deny and devices.allow.
"""

import ctypes
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from orchestr.runtime import syscalls as sc

_PROG_LOAD, _PROG_ATTACH = 5, 8
_CGROUP_DEVICE_TYPE, _CGROUP_DEVICE_ATTACH = 15, 6
_ALLOW_MULTI: Final = 2
_ACCESS: Final = {"m": 1, "r": 2, "w": 4}  # BPF_DEVCG_ACC_*
_TYPES: Final = {"b": 1, "c": 2}  # BPF_DEVCG_DEV_*
_R0, _R1, _R2, _R3, _R4, _R5 = range(6)
_loaded: dict[tuple["Rule", ...], int] = {}


class Rule(NamedTuple):
    allow: bool
    type: str  # a, b, c
    major: int  # -1 for any
    minor: int
    access: str  # of "rwm"


def rules(items: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    def of(item: Mapping[str, Any]) -> Rule:
        major, minor = item.get("major"), item.get("minor")
        return Rule(
            bool(item.get("allow")),
            str(item.get("type") or "a"),
            -1 if major is None else int(major),
            -1 if minor is None else int(minor),
            str(item.get("access") or "rwm"),
        )

    return tuple(of(item) for item in items)


def v1(items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for rule in rules(items):
        file = "devices.allow" if rule.allow else "devices.deny"
        if rule.type == "a" and rule.major == rule.minor == -1:
            yield file, "a"
            continue
        major, minor = ("*" if n < 0 else str(n) for n in (rule.major, rule.minor))
        for kind in "bc" if rule.type == "a" else rule.type:
            yield file, f"{kind} {major}:{minor} {rule.access}"


def _insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("BBhi", code, dst | src << 4, off, imm)


def program(listed: tuple[Rule, ...]) -> bytes:
    """struct bpf_insn[]: from the last rule to the first, each returns its verdict or goes on to the next. Pure.

    At the end everything is allowed, as in a new cgroup.
    """
    code = [
        _insn(0x61, _R2, _R1, 0),  # r2 = ctx->access_type
        _insn(0xBC, _R3, _R2),  # w3 = w2
        _insn(0x54, _R2, imm=0xFFFF),  # w2: type of device
        _insn(0x74, _R3, imm=16),  # w3: access
        _insn(0x61, _R4, _R1, 4),  # r4 = major
        _insn(0x61, _R5, _R1, 8),  # r5 = minor
    ]
    for rule in reversed(listed):
        body = _tests(rule)
        verdict = [_insn(0xB7, _R0, imm=int(rule.allow)), _insn(0x95)]
        # Each test jumps over what is left of this rule when it does not match.
        length = len(body) + len(verdict)
        code += [_jump(test, length - position - 1) for position, test in enumerate(body)] + verdict
        if not body:
            return b"".join(code)  # matches everything: what is before it can never decide
    return b"".join([*code, _insn(0xB7, _R0, imm=1), _insn(0x95)])


def _tests(rule: Rule) -> list[tuple[int, int, int, int] | bytes]:
    """(jump if true, register, immediate, unused), or a plain instruction."""
    found: list[tuple[int, int, int, int] | bytes] = []
    if rule.type in _TYPES:
        found.append((0x56, _R2, _TYPES[rule.type], 0))  # if w2 != type
    access = sum(_ACCESS[letter] for letter in rule.access)
    if access != 7:
        # allow: all that is asked must be in the rule; deny: any of it
        if rule.allow:
            found += [_insn(0xBC, _R1, _R3), _insn(0x54, _R1, imm=~access & 7), (0x56, _R1, 0, 0)]
        else:
            found += [_insn(0xBC, _R1, _R3), _insn(0x54, _R1, imm=access), (0x16, _R1, 0, 0)]
    if rule.major >= 0:
        found.append((0x56, _R4, rule.major, 0))
    if rule.minor >= 0:
        found.append((0x56, _R5, rule.minor, 0))
    return found


def _jump(test: tuple[int, int, int, int] | bytes, off: int) -> bytes:
    return test if isinstance(test, bytes) else _insn(test[0], test[1], off=off, imm=test[2])


def load(listed: tuple[Rule, ...]) -> int:
    """A kept descriptor of the program. OSError when the kernel has no cgroup BPF."""
    found = _loaded.get(listed)
    if found is None:
        code = program(listed)
        buffer, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"Apache-2.0")
        log = bytes(72)
        attr = struct.pack(
            "IIQQIIQII", _CGROUP_DEVICE_TYPE, len(code) // 8, *map(ctypes.addressof, (buffer, licence)), 0, 0, 0, 0, 0
        )
        attr += log
        found = _loaded[listed] = sc.call("bpf", _PROG_LOAD, attr, len(attr))
    return found


def attach(directory: str, listed: tuple[Rule, ...]) -> None:
    """To a cgroup of the unified tree. OSError when refused."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        attr = struct.pack("IIIII", fd, load(listed), _CGROUP_DEVICE_ATTACH, _ALLOW_MULTI, 0)
        sc.call("bpf", _PROG_ATTACH, attr, len(attr))
    finally:
        os.close(fd)
