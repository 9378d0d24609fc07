"""Capabilities (capabilities(7)): names as bits, and the five sets as the steps that leave a process with just them."""

import struct
from collections.abc import Iterable, Mapping
from typing import Final

from orchestr.runtime import syscalls as sc
from orchestr.runtime.plan import Builder
from orchestr.runtime.seam import RuntimeFailure

_IN_ORDER: Final = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
    SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
    MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
NAMES: Final = tuple(_IN_ORDER.split())
BITS: Final[Mapping[str, int]] = {f"CAP_{name}": bit for bit, name in enumerate(NAMES)}
_VERSION_3: Final = 0x20080522
_AMBIENT_RAISE: Final = 2
SYS_ADMIN: Final = 1 << BITS["CAP_SYS_ADMIN"]


def mask(names: Iterable[str]) -> int:
    """Raises RuntimeFailure on a name that Linux does not know."""
    result = 0
    for name in names:
        if name not in BITS:
            raise RuntimeFailure(f"cannot give capability {name}: no such capability (see capabilities(7))")
        result |= 1 << BITS[name]
    return result


def available() -> list[str]:
    """What "all capabilities" can mean here: this process's bounding set."""
    with open("/proc/self/status") as file:
        bits = next(int(line.split()[1], 16) for line in file if line.startswith("CapBnd:"))
    return [name for name, bit in BITS.items() if bits >> bit & 1]


SETS: Final = ("bounding", "effective", "permitted", "inheritable", "ambient")


def grantable(
    sets: Mapping[str, Iterable[str]], held: Iterable[str] | None
) -> tuple[dict[str, list[str]], list[str], list[str]]:
    """The sets without what is unknown or not in `held` (None: all are), what of it was left out, and what of ambient.

    runtime-spec config.md: what cannot be granted "MUST be logged as a warning", and "runtimes SHOULD NOT fail". An
    ambient capability that is not permitted and inheritable, too, cannot be raised.
    """
    can = set(BITS) if held is None else set(held)
    sets = {key: sets.get(key) or () for key in SETS if key in sets}
    kept = {key: [name for name in names if name in can] for key, names in sets.items()}
    lacking = {name for key, names in sets.items() for name in names if name not in kept[key]}
    ambient, unraised = kept.get("ambient") or (), []
    if ambient:
        both = set(kept.get("permitted", ())) & set(kept.get("inheritable", ()))
        kept["ambient"] = [name for name in ambient if name in both]
        unraised = [name for name in ambient if name not in both]
    return kept, sorted(lacking), unraised


def last_capability() -> int:
    with open("/proc/sys/kernel/cap_last_cap") as file:
        return int(file.read())


_last = -1


def bound(b: Builder, bounding: int) -> None:
    """Takes everything else out of the bounding set; needs CAP_SETPCAP, so it comes before `apply`."""
    global _last
    if _last < 0:
        _last = last_capability()
    for bit in range(_last + 1):
        if not bounding >> bit & 1:
            b.add(
                "drop capability",
                NAMES[bit] if bit < len(NAMES) else str(bit),
                "prctl",
                sc.PR_CAPBSET_DROP,
                bit,
                0,
                0,
                0,
            )


def apply(b: Builder, sets: Mapping[str, Iterable[str]], *, still: int = 0) -> None:
    """Effective, permitted and inheritable at once; `still` are bits that the first two have besides."""
    effective, permitted, inheritable = (
        mask(sets.get(name) or ()) for name in ("effective", "permitted", "inheritable")
    )
    effective, permitted = effective | still, permitted | still
    low, high = 0xFFFFFFFF, 32
    data = struct.pack(
        "6I",
        *(effective & low, permitted & low, inheritable & low),
        *(effective >> high, permitted >> high, inheritable >> high),
    )
    b.add("set capabilities", "the process", "capset", struct.pack("Ii", _VERSION_3, 0), data)


def raise_ambient(b: Builder, sets: Mapping[str, Iterable[str]]) -> None:
    """Those that execve(2) hands on to any user; they must be permitted and inheritable already."""
    ambient = mask(sets.get("ambient") or ())
    for bit in range(len(NAMES)):
        if ambient >> bit & 1:
            b.add("raise ambient capability", NAMES[bit], "prctl", sc.PR_CAP_AMBIENT, _AMBIENT_RAISE, bit, 0, 0)
