"""OCI `process.apparmorProfile`, `selinuxLabel`: written to /proc/self/attr/exec, they apply from the next execve on.

Only one security module answers to each; where the kernel has none of them the property is an error, never silence.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime.plan import Builder
from orchestr.runtime.seam import RuntimeFailure

_APPARMOR: Final = "/sys/module/apparmor/parameters/enabled"
_SELINUX: Final = "/sys/fs/selinux/enforce"
_UNCONFINED: Final = ("", "unconfined")


def apply(b: Builder, process: Mapping[str, Any], fds: list[int]) -> None:
    """By way of the machine's /proc, whose descriptor goes to `fds`. RuntimeFailure where there is no such module."""
    profile, label = str(process.get("apparmorProfile") or ""), str(process.get("selinuxLabel") or "")
    if profile and (apparmor() or profile not in _UNCONFINED):
        _need(apparmor(), "/process/apparmorProfile", "AppArmor")
        path = "self/attr/apparmor/exec"
        path = path if os.path.exists(f"/proc/{path}") else "self/attr/exec"  # the latter until Linux 5.8
        _write(b, "apparmorProfile", path, f"exec {profile}", fds)
    if label:
        _need(selinux(), "/process/selinuxLabel", "SELinux")
        _write(b, "selinuxLabel", "self/attr/exec", label, fds)


def selinux() -> bool:
    return os.path.exists(_SELINUX)


def apparmor() -> bool:
    try:
        with open(_APPARMOR) as file:
            return file.read(1) == "Y"
    except OSError:
        return False


def _need(there: bool, pointer: str, name: str) -> None:
    if not there:
        raise RuntimeFailure(
            f"cannot use {pointer}: {name} is not enabled in this kernel (leave it out)", reason="StartError"
        )


def _write(b: Builder, key: str, path: str, text: str, fds: list[int]) -> None:
    fds.append(os.open("/proc", sc.O_PATH | os.O_DIRECTORY))
    what, data = f"set /process/{key}", text.encode()
    fd = b.keep(what, "", "openat", fds[-1], path.encode(), os.O_WRONLY | os.O_CLOEXEC, 0)
    b.add(f"{what} to {text}", "", "write", fd, data, len(data))
