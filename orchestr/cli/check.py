"""Whether this machine can run orch: one small look each, with what to do when it fails."""

import ctypes.util
import os
import shutil
from collections.abc import Callable
from typing import NamedTuple

MINIMUM = (6, 1)
CONTROLLERS = ("cpu", "memory", "pids", "cpuset", "devices", "freezer")


class Finding(NamedTuple):
    name: str
    good: bool
    text: str


def findings() -> list[Finding]:
    return [look() for look in CHECKS]


def kernel() -> Finding:
    release = os.uname().release
    found = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    good = found >= MINIMUM
    return Finding("kernel", good, release if good else f"{release} is too old (Linux 6.1 or newer is needed)")


def rights() -> Finding:
    if os.geteuid() != 0:
        return Finding("rights", False, "not root (use sudo)")
    with open("/proc/self/status", encoding="ascii") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff:"))
    needed = {"CHOWN": 0, "NET_ADMIN": 12, "SYS_ADMIN": 21, "SETFCAP": 31}
    missing = [name for name, bit in needed.items() if not effective >> bit & 1]
    return Finding("rights", not missing, f"root lacks {', '.join(missing)}" if missing else "root")


def cgroups() -> Finding:
    root = "/sys/fs/cgroup"
    if os.path.exists(f"{root}/cgroup.controllers"):
        with open(f"{root}/cgroup.controllers", encoding="ascii") as file:
            here = file.read().split()
        missing = [name for name in ("cpu", "memory", "pids") if name not in here]
        kind = "version 2"
    else:
        missing = [name for name in CONTROLLERS if not os.path.isdir(f"{root}/{name}")]
        kind = "version 1"
    text = f"{kind}, without {', '.join(missing)} (enable them on the kernel's command line)" if missing else kind
    return Finding("cgroups", not missing, text)


def namespaces() -> Finding:
    missing = [
        name
        for name in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
        if not os.path.exists(f"/proc/self/ns/{name}")
    ]
    return Finding("namespaces", not missing, f"the kernel lacks {', '.join(missing)}" if missing else "all")


def user_namespaces() -> Finding:
    try:
        with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as file:
            limit = int(file.read())
    except OSError:
        limit = 0
    return Finding(
        "user namespaces",
        limit > 0,
        f"up to {limit}" if limit else "none allowed (sysctl user.max_user_namespaces=10000)",
    )


def nftables() -> Finding:
    library = ctypes.util.find_library("nftables")
    tool = shutil.which("nft")
    good = bool(library or tool)
    return Finding(
        "nftables", good, str(library or tool) if good else "neither libnftables nor nft (apt-get install nftables)"
    )


def forwarding() -> Finding:
    """Packets pass the forward chains of all tables: what one drops, ours cannot accept."""
    from orchestr.network.firewall import closed
    from orchestr.network.seam import NetworkFailure

    try:
        found = closed()
    except (NetworkFailure, OSError) as failure:
        return Finding("forwarding", False, str(failure))
    if not found:
        return Finding("forwarding", True, "no other firewall drops it")
    advice = "; ".join(f'nft insert rule {chain} iifname "orch*" accept' for chain in found)
    return Finding("forwarding", False, f"dropped by policy of {', '.join(found)}: no pod reaches the world ({advice})")


def overlay() -> Finding:
    """Asks for it as a mount does, which loads the module; /proc/filesystems names only what is loaded already."""
    from orchestr.runtime import syscalls

    try:
        os.close(syscalls.call("fsopen", b"overlay", syscalls.FSOPEN_CLOEXEC))
    except PermissionError:
        return Finding("overlayfs", False, "not allowed to look (use sudo)")
    except OSError as error:
        return Finding("overlayfs", False, f"not in this kernel: {error.strerror} (modprobe overlay)")
    return Finding("overlayfs", True, "there")


def seccomp() -> Finding:
    library = ctypes.util.find_library("seccomp")
    return Finding("seccomp", bool(library), library or "libseccomp is missing (apt-get install libseccomp2)")


CHECKS: tuple[Callable[[], Finding], ...] = (
    kernel, rights, cgroups, namespaces, user_namespaces, nftables, forwarding, overlay, seccomp,
)  # fmt: skip
