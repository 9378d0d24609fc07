"""OCI `linux.namespaces`, `timeOffsets`, `hostname`, `domainname` and `sysctl`: which namespaces are new, which are
joined by path, and what is set inside them.

Namespaces given by path are joined while still root of the machine, for they need not belong to the container's user
namespace; the new ones are made after that was joined, so that it owns them.
"""

import fcntl
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime import namespaces
from orchestr.runtime import syscalls as sc
from orchestr.runtime.plan import Builder
from orchestr.runtime.seam import RuntimeFailure

FLAGS: Final = {
    "cgroup": sc.CLONE_NEWCGROUP,
    "ipc": sc.CLONE_NEWIPC,
    "mount": sc.CLONE_NEWNS,
    "network": sc.CLONE_NEWNET,
    "pid": sc.CLONE_NEWPID,
    "time": sc.CLONE_NEWTIME,
    "user": sc.CLONE_NEWUSER,
    "uts": sc.CLONE_NEWUTS,
}
_NS_GET_NSTYPE: Final = 0xB703  # linux/nsfs.h
_IPC: Final = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")


class Wanted(NamedTuple):
    new: frozenset[str]  # types
    given: tuple[tuple[str, str, str], ...]  # (type, path, JSON pointer), in the order to join
    time_offsets: bytes | None  # what /proc/self/timens_offsets gets; None without a new time namespace

    @property
    def make(self) -> int:
        """Clone flags of the container's process. A user namespace is made before it, a time namespace on its way."""
        return sum(FLAGS[kind] for kind in self.new if kind not in ("user", "time"))

    @property
    def kinds(self) -> frozenset[str]:
        return self.new | {kind for kind, _, _ in self.given}


def wanted(config: Mapping[str, Any]) -> Wanted:
    """RuntimeFailure with the JSON pointer of what fits no namespace of the container's."""
    linux = config.get("linux") or {}
    new, given = set[str](), []
    for index, item in enumerate(linux.get("namespaces") or ()):
        kind, path = str(item["type"]), str(item.get("path") or "")
        if path:
            given.append((kind, path, f"/linux/namespaces/{index}/path"))
        else:
            new.add(kind)
    given.sort(key=lambda item: item[0] == "user")  # it takes the machine's rights away
    found = Wanted(frozenset(new), tuple(given), _offsets(linux, "time" in new))
    _check(config, found.kinds)
    return found


def _offsets(linux: Mapping[str, Any], new: bool) -> bytes | None:
    lines = [
        f"{clock} {int(offset.get('secs', 0))} {int(offset.get('nanosecs', 0))}\n"
        for clock, offset in (linux.get("timeOffsets") or {}).items()
    ]
    if lines and not new:
        raise _wrong("/linux/timeOffsets", "there is no new time namespace", 'add {"type": "time"} to linux.namespaces')
    return "".join(lines).encode() if new else None


def _check(config: Mapping[str, Any], kinds: frozenset[str]) -> None:
    """What is set inside namespaces needs them to be the container's; else the machine would get it."""
    for key in ("hostname", "domainname"):
        name = str(config.get(key) or "")
        if name and "uts" not in kinds:
            raise _wrong(f"/{key}", "there is no uts namespace", 'add {"type": "uts"} to linux.namespaces')
        if len(os.fsencode(name)) > 64:
            raise _wrong(f"/{key}", "longer than 64 bytes", "see sethostname(2)")
    for key, value in ((config.get("linux") or {}).get("sysctl") or {}).items():
        pointer = f"/linux/sysctl/{key}".replace("~", "~0")
        path = sysctl_path(key)
        name = path.replace("/", ".")
        need = _namespace_of(name)
        if any(part in ("", ".", "..") for part in path.split("/")) or not need:
            raise _wrong(pointer, "it belongs to no namespace of a container", "set it on the machine")
        if need not in kinds:
            raise _wrong(pointer, f"there is no {need} namespace", f'add {{"type": "{need}"}} to linux.namespaces')
        if "\0" in str(value):
            raise _wrong(pointer, "the value has a NUL in it", "leave it out")


def _namespace_of(name: str) -> str:
    if name.startswith("net."):
        return "network"
    if name.startswith(_IPC):
        return "ipc"
    if name.startswith("user."):
        return "user"
    return "uts" if name == "kernel.domainname" else ""


def sysctl_path(key: str) -> str:
    """Below /proc/sys. As sysctl(8): the first separator decides which of '.' and '/' parts the names."""
    first = next((char for char in key if char in "./"), ".")
    return key if first == "/" else key.translate(str.maketrans("./", "/."))


def _wrong(pointer: str, cause: str, hint: str) -> RuntimeFailure:
    return RuntimeFailure(f"cannot use {pointer}: {cause} ({hint})", reason="StartError")


def open_given(found: Wanted) -> list[tuple[int, int]]:
    """(descriptor, clone flag), each checked to be a namespace of its type. The caller closes them."""
    opened: list[tuple[int, int]] = []
    try:
        for kind, path, pointer in found.given:
            opened.append((_open(kind, path, pointer), FLAGS[kind]))
    except BaseException:
        for fd, _ in opened:
            os.close(fd)
        raise
    return opened


def _open(kind: str, path: str, pointer: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise _wrong(pointer, f"{path}: {error.strerror}", "give the path of a namespace, see namespaces(7)") from error
    try:
        is_flag = fcntl.ioctl(fd, _NS_GET_NSTYPE)
    except OSError:
        is_flag = 0
    if is_flag != FLAGS[kind]:
        os.close(fd)
        is_kind = next((name for name, flag in FLAGS.items() if flag == is_flag), "")
        what = f"of type {is_kind}" if is_kind else "no namespace"
        raise _wrong(pointer, f"{path} is {what}, not of type {kind}", "see namespaces(7)")
    return fd


def configure(config: Mapping[str, Any], found: Wanted) -> Callable[[Builder], None]:
    """The steps that set names and the loopback device, inside the namespaces."""

    def steps(b: Builder) -> None:
        for key, call in (("hostname", "sethostname"), ("domainname", "setdomainname")):
            if name := os.fsencode(str(config.get(key) or "")):
                b.add(f"set {key}", "", call, name, len(name))
        if "network" in found.new:
            namespaces.bring_up_loopback(b)

    return steps


def sysctls(config: Mapping[str, Any]) -> Callable[[Builder], None]:
    """By way of the machine's /proc/sys, which shows the reader's own namespaces; after the hooks, whose devices may
    have some. One write to one file each: no joined strings (CVE-2022-0811)."""

    def steps(b: Builder) -> None:
        for key, value in ((config.get("linux") or {}).get("sysctl") or {}).items():
            namespaces.set_sysctl(b, key, sysctl_path(key), str(value))

    return steps
