"""devices: which nodes may be opened or made. OCI's rules are walked in order, the last that matches decides.

On the unified tree that is a BPF program of type CGROUP_DEVICE (kernel: bpf_cgroup_dev_ctx), loaded once per different
list of rules and attached to each cgroup; on v1 the files devices.deny and devices.allow.
"""

import ctypes
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from orchestr.runtime import syscalls as sc
from orchestr.runtime.cgroups import files, tree
from orchestr.runtime.cgroups.layout import Layout
from orchestr.runtime.seam import RuntimeFailure

_PROG_LOAD, _PROG_ATTACH, _PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD, _PROG_QUERY = 5, 8, 13, 15, 16
_CGROUP_DEVICE_TYPE, _CGROUP_DEVICE_ATTACH = 15, 6
_ALLOW_MULTI, _REPLACE = 2, 4  # BPF_F_REPLACE is Linux 5.6
_INFO_SIZE, _INFO_NAME = 80, 64  # struct bpf_prog_info up to its name
# (type, major, minor, access): any node may be made; null, zero, full, random, urandom, tty, ptmx and ptys be used.
DEFAULT: Final = (
    *(("c", -1, -1, "m"), ("b", -1, -1, "m")),
    *(("c", 1, minor, "rwm") for minor in (3, 5, 7, 8, 9)),
    *(("c", 5, minor, "rwm") for minor in (0, 2)),
    ("c", 136, -1, "rwm"),
)
_NAME: Final = b"orch_devices"
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
            "".join(
                letter for letter in str(item.get("access") or "rwm") if letter in _ACCESS
            ),  # no others, as in runc
        )

    return tuple(of(item) for item in items)


def usable(resources: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the devices allowed that every container has (runtime-spec config-linux.md "Default Devices"), whatever the
    rules say: so do runc and crun, and bundles written for them count on it. Without rules nothing is added."""
    given = resources.get("devices")
    if not given:
        return resources
    own = [
        {"allow": True, "type": kind, "access": access, **_numbers(major, minor)}
        for kind, major, minor, access in DEFAULT
    ]
    return {**resources, "devices": [*given, *own]}


def _numbers(major: int, minor: int) -> dict[str, int]:
    return {name: number for name, number in (("major", major), ("minor", minor)) if number >= 0}


class Policy(NamedTuple):
    """What v1 can hold: a default, and exceptions from it. (type, major, minor as text): letters of access."""

    allow: bool
    exceptions: Mapping[tuple[str, str, str], frozenset[str]]


def policy(listed: Sequence[Rule]) -> Policy:
    """The rules in order, as the kernel's devices.allow and devices.deny take them. Pure."""
    allow, exceptions = True, dict[tuple[str, str, str], frozenset[str]]()
    for rule in listed:
        if rule.type == "a" and rule.major == rule.minor == -1 and set(rule.access) >= set("rwm"):
            allow, exceptions = rule.allow, {}
            continue
        major, minor = ("*" if n < 0 else str(n) for n in (rule.major, rule.minor))
        access = frozenset(rule.access) & frozenset("rwm")
        for kind in "bc" if rule.type == "a" else rule.type:
            key, held = (kind, major, minor), exceptions.get((kind, major, minor), frozenset())
            exceptions[key] = held - access if rule.allow == allow else held | access
    return Policy(allow, {key: held for key, held in exceptions.items() if held})


def v1(listed: Sequence[Rule], present: str) -> Iterator[tuple[str, str]]:
    """(file, value) from what devices.list says now: what stays allowed is never denied in between. Pure."""
    wanted, lines = policy(listed), [line.split() for line in present.splitlines()]
    held = {_key(kind, number): frozenset(access) for kind, number, access in lines if kind != "a"}
    if wanted.allow or any(line[0] == "a" for line in lines):  # devices.list shows no exceptions from "allow all"
        yield ("devices.allow" if wanted.allow else "devices.deny"), "a"
        held = {}
    more, less = ("devices.deny", "devices.allow") if wanted.allow else ("devices.allow", "devices.deny")
    for key, access in wanted.exceptions.items():
        if new := access - held.get(key, frozenset()):
            yield more, _line(key, new)
    for key, access in held.items():
        if old := access - wanted.exceptions.get(key, frozenset()):
            yield less, _line(key, old)


def _key(kind: str, number: str) -> tuple[str, str, str]:
    major, _, minor = number.partition(":")
    return kind, major, minor


def _line(key: tuple[str, str, str], access: frozenset[str]) -> str:
    return f"{key[0]} {key[1]}:{key[2]} {''.join(letter for letter in 'rwm' if letter in access)}"


def update(found: Layout, path: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Puts these rules in the place of what was there. Where the container is in v1's hierarchy they are shown there,
    and still the program decides: v1 cannot take one device out of a range that is allowed."""
    if not items:
        return
    listed = rules(items)
    failed: OSError | None = None
    if found.v2:
        try:
            attach(f"{found.v2}/{path}", listed)
        except OSError as error:
            failed = error
    if "devices" not in found.v1:
        if failed is not None or not found.v2:
            why = failed.strerror if failed else "there is no cgroup v2, nor the v1 controller"
            raise RuntimeFailure(
                f"cannot set /linux/resources/devices of {path}: {why} (the kernel needs CONFIG_CGROUP_BPF)"
            ) from failed
        return
    directory = f"{found.v1['devices']}/{path}"
    if failed is not None or not found.v2:
        tree.join_late(path, "devices")
    if os.path.isdir(directory):
        for file, value in v1(listed, files.read(f"{directory}/devices.list")):
            files.must_write(f"{directory}/{file}", value)


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
        attr = struct.pack(
            "IIQQIIQII16s",
            *(_CGROUP_DEVICE_TYPE, len(code) // 8, *map(ctypes.addressof, (buffer, licence)), 0, 0, 0, 0, 0),
            _NAME,
        )
        attr += bytes(56)
        found = _loaded[listed] = sc.call("bpf", _PROG_LOAD, attr, len(attr))
    return found


def attach(directory: str, listed: tuple[Rule, ...]) -> None:
    """To a cgroup of the unified tree, in the place of one of ours that is there. OSError when refused."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    old = -1
    try:
        old = _attached(fd)
        flags = _ALLOW_MULTI | (_REPLACE if old >= 0 else 0)
        attr = struct.pack("IIIII", fd, load(listed), _CGROUP_DEVICE_ATTACH, flags, max(old, 0))
        sc.call("bpf", _PROG_ATTACH, attr, len(attr))
    finally:
        os.close(fd)
        if old >= 0:
            os.close(old)


def _attached(cgroup: int) -> int:
    """A descriptor of our program on this cgroup, found by its name; -1 for none. Others (systemd's) are left alone."""
    ids = (ctypes.c_uint32 * 16)()
    query = ctypes.create_string_buffer(
        struct.pack("IIIIQI", cgroup, _CGROUP_DEVICE_ATTACH, 0, 0, ctypes.addressof(ids), len(ids)), 64
    )
    sc.call("bpf", _PROG_QUERY, ctypes.addressof(query), 64)
    (count,) = struct.unpack_from("I", query, 24)
    for number in ids[: min(count, len(ids))]:
        attr = struct.pack("III", number, 0, 0)
        fd = sc.call("bpf", _PROG_GET_FD_BY_ID, attr, len(attr))
        info = ctypes.create_string_buffer(_INFO_SIZE)
        attr = struct.pack("IIQ", fd, _INFO_SIZE, ctypes.addressof(info))
        sc.call("bpf", _OBJ_GET_INFO_BY_FD, attr, len(attr))
        if info.raw[_INFO_NAME : _INFO_NAME + 16].rstrip(b"\0") == _NAME:
            return fd
        os.close(fd)
    return -1
