"""OCI seccomp compiled and loaded into a child of the test, which then makes calls. Needs no root: no_new_privs."""

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestr.runtime import seccomp
from orchestr.runtime import syscalls as sc
from orchestr.runtime.oci import filters
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.seccomp_profile import default

ALLOW, DENY = {"defaultAction": "SCMP_ACT_ALLOW"}, {"defaultAction": "SCMP_ACT_ERRNO"}


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": f"SCMP_ACT_{action}", **more}


def when(index: int, op: str, value: int, two: int = 0) -> dict[str, Any]:
    return {"index": index, "op": f"SCMP_CMP_{op}", "value": value, "valueTwo": two}


def under(config: dict[str, Any], work: Callable[[], int]) -> int:
    """What `work` returns below the filter, 0 to 255; or minus the signal that ended it."""
    found = seccomp.compiled(config)
    program = struct.pack("HxxxxxxQ", len(found.program) // 8, ctypes.addressof(found.program))
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            sc.call("prctl", sc.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            sc.call("seccomp", 1, found.flags, program)
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refused(number: int, *args: int) -> int:
    """The errno of a call by number, 0 for none."""
    return ctypes.get_errno() if sc.raw(number, *args, *(0,) * (6 - len(args))) < 0 else 0


def umask() -> int:
    return refused(sc.NR["umask"], 0o22)


@pytest.mark.parametrize(
    ("action", "more", "expected"),
    [
        ("ALLOW", {}, 0),
        ("LOG", {}, 0),
        ("ERRNO", {}, errno.EPERM),
        ("ERRNO", {"errnoRet": errno.ENODEV}, errno.ENODEV),
        ("TRACE", {}, errno.ENOSYS),  # without a tracer
        ("TRAP", {}, -31),
        ("KILL", {}, -31),
        ("KILL_THREAD", {}, -31),
        ("KILL_PROCESS", {}, -31),
    ],
)
def test_each_action_does_what_its_name_says(action: str, more: dict[str, int], expected: int) -> None:
    assert under({**ALLOW, "syscalls": [rule(action, "umask", **more)]}, umask) == expected


def test_the_errno_of_the_default_action_can_be_chosen() -> None:
    allowed = [rule("ALLOW", "exit_group", "prctl", "fstat", "ioctl", "futex")]
    config = {**DENY, "defaultErrnoRet": errno.ENXIO, "syscalls": [*allowed, rule("ALLOW", "statmount")]}
    assert under(config, umask) == errno.ENXIO


@pytest.mark.parametrize("where", ["default", "rule"])
def test_an_errno_with_an_action_that_takes_none_is_an_error(where: str) -> None:
    """config-linux.md: "When the action doesn't support an errno, the runtime MUST print and error and fail." """
    config = {**ALLOW, "defaultErrnoRet": 5} if where == "default" else {**DENY, "syscalls": [rule("ALLOW", "read")]}
    if where == "rule":
        config["syscalls"][0]["errnoRet"] = 5  # type: ignore[index]
    with pytest.raises(RuntimeFailure, match="cannot be used with SCMP_ACT_ALLOW"):
        seccomp.compiled(config)


@pytest.mark.parametrize(
    ("op", "value", "two", "hits"),
    [
        ("EQ", 5, 0, [5]),
        ("NE", 5, 0, [4, 6]),
        ("LT", 5, 0, [4]),
        ("LE", 5, 0, [4, 5]),
        ("GT", 5, 0, [6]),
        ("GE", 5, 0, [5, 6]),
        ("MASKED_EQ", 6, 4, [4, 5]),
    ],
)
def test_arguments_are_compared(op: str, value: int, two: int, hits: list[int]) -> None:
    config = {**ALLOW, "syscalls": [rule("ERRNO", "umask", args=[when(0, op, value, two)])]}
    assert [n for n in (4, 5, 6) if under(config, lambda n=n: refused(sc.NR["umask"], n))] == hits  # type: ignore[misc]


def test_conditions_on_two_arguments_must_all_hold_and_two_on_one_are_alternatives() -> None:
    both = {**ALLOW, "syscalls": [rule("ERRNO", "setresuid", args=[when(0, "EQ", 1), when(1, "EQ", 2)])]}
    assert under(both, lambda: refused(sc.NR["setresuid"], 1, 2, 2**32 - 1)) == errno.EPERM
    either = {**ALLOW, "syscalls": [rule("ERRNO", "umask", args=[when(0, "EQ", 1), when(0, "EQ", 2)], errnoRet=7)]}
    assert [under(either, lambda n=n: refused(sc.NR["umask"], n)) for n in (1, 2, 3)] == [7, 7, 0]  # type: ignore[misc]


def test_several_rules_for_one_call_stand_side_by_side() -> None:
    rules = [rule("ERRNO", "umask", errnoRet=n, args=[when(0, "EQ", n)]) for n in (7, 8)]
    config = {**ALLOW, "syscalls": rules}
    assert [under(config, lambda n=n: refused(sc.NR["umask"], n)) for n in (7, 8, 9)] == [7, 8, 0]  # type: ignore[misc]


def test_unknown_names_are_left_out_unless_that_is_an_error() -> None:
    config = {**ALLOW, "syscalls": [rule("ERRNO", "no_such_call", "umask")]}
    assert under(config, umask) == errno.EPERM
    with pytest.raises(RuntimeFailure, match="no system call 'no_such_call' is known"):
        seccomp.compiled({**config, seccomp.STRICT: True})


@pytest.mark.parametrize("arches", [[], ["SCMP_ARCH_X86_64"], ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_X86_64"]])
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names its architectures")
def test_calls_newer_than_an_allow_list_fail_with_enosys(arches: list[str]) -> None:
    """As runc does since 1.0: libc then falls back to the older call."""
    config = {**default(()), "architectures": arches}
    assert under(config, lambda: refused(1000)) == errno.ENOSYS
    assert under(config, lambda: refused(sc.NR["unshare"], 0)) == errno.EPERM
    assert under(config, umask) == 0
    assert under({**ALLOW, "syscalls": [rule("ERRNO", "read")]}, lambda: refused(1000)) == errno.ENOSYS


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names its architectures")
def test_calls_of_another_architecture_are_fatal_until_it_is_named() -> None:
    getpid = 0x40000000 | 39  # x32's
    assert under({**ALLOW}, lambda: refused(getpid)) == -31
    assert under({**ALLOW, "architectures": ["SCMP_ARCH_X32"]}, lambda: refused(getpid)) in (0, errno.ENOSYS)


def test_every_architecture_of_the_specification_is_known_or_named() -> None:
    for arch in ("SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64", "SCMP_ARCH_PPC64LE"):
        assert seccomp.compiled({**ALLOW, "architectures": [arch]})
    with pytest.raises(RuntimeFailure, match="SCMP_ARCH_S390X: "):  # other byte order
        seccomp.compiled({**ALLOW, "architectures": ["SCMP_ARCH_S390X"]})
    with pytest.raises(RuntimeFailure, match="is not known to this libseccomp"):
        seccomp.compiled({**ALLOW, "architectures": ["SCMP_ARCH_Z80"]})


def test_flags() -> None:
    notify = [rule("NOTIFY", "mkdir")]
    all_four = [f"SECCOMP_FILTER_FLAG_{name}" for name in ("TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV")]
    assert seccomp.flags(ALLOW) == 4
    assert seccomp.flags({**ALLOW, "flags": []}) == 0
    assert seccomp.flags({**ALLOW, "flags": all_four}) == 6
    assert seccomp.flags({**ALLOW, "flags": all_four, "syscalls": notify}) == 2 | 4 | 8 | 32
    assert under({**ALLOW, "flags": all_four}, umask) == 0


@pytest.mark.parametrize("name", ["write", "sendmsg"])
def test_what_is_needed_to_tell_the_listener_cannot_be_notified(name: str) -> None:
    with pytest.raises(RuntimeFailure, match=f"SCMP_ACT_NOTIFY cannot be used for the {name} syscall"):
        seccomp.compiled({**ALLOW, "syscalls": [rule("NOTIFY", name)]})
    with pytest.raises(RuntimeFailure, match="cannot be the default action"):
        seccomp.compiled({"defaultAction": "SCMP_ACT_NOTIFY"})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(filters, "_path", lambda key: str(tmp_path / "filters" / "aa"))
    monkeypatch.setattr(seccomp, "_compiled", {})
    return tmp_path / "filters" / "aa"


def test_a_compiled_filter_is_read_back(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {**ALLOW, "syscalls": [rule("ERRNO", "umask")]}
    filters.prepare(config)
    program = bytes(seccomp.compiled(config).program)
    assert cache.stat().st_mode & 0o777 == 0o600
    assert cache.parent.stat().st_mode & 0o777 == 0o700
    seccomp._compiled.clear()
    monkeypatch.setattr(seccomp, "_in_child", None)  # not to be called
    filters.prepare(config)
    assert bytes(seccomp.compiled(config).program) == program


@pytest.mark.parametrize("spoil", ["mode", "directory", "other key", "half", "link"])
def test_what_is_not_ours_or_not_whole_is_not_believed(cache: Path, spoil: str) -> None:
    config = {**ALLOW, "syscalls": [rule("ERRNO", "umask")]}
    filters.prepare(config)
    data = cache.read_bytes()
    forged = data[: data.index(b"\0") + 1] + struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000)  # allows everything
    if spoil == "mode":
        cache.write_bytes(forged)
        cache.chmod(0o622)
    elif spoil == "directory":
        cache.write_bytes(forged)
        cache.parent.chmod(0o777)
    elif spoil == "other key":
        cache.write_bytes(b"x" + forged)
    elif spoil == "half":
        cache.write_bytes(data[:-4])
    else:
        cache.rename(cache.with_name("real"))
        cache.symlink_to("real")
        cache.with_name("real").write_bytes(forged)
    seccomp._compiled.clear()
    filters.prepare(config)
    assert under(config, umask) == errno.EPERM
