"""The OCI configuration that a container gets when nothing else is said: safe, and small enough to send each time."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

# Docker's, less NET_RAW: with it a container could forge addresses on the shared bridge.
CAPABILITIES: Final = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
]
MASKED: Final = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]
READ_ONLY: Final = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
# (type, major, minor, access); deny all first. Making nodes is allowed, opening them only for these.
_DEVICES: Final = (
    *(("c", -1, -1, "m"), ("b", -1, -1, "m")),
    *(("c", 1, minor, "rwm") for minor in (3, 5, 7, 8, 9)),
    *(("c", 5, minor, "rwm") for minor in (0, 1, 2)),
    ("c", 136, -1, "rwm"),
)
_SAFE: Final = ["nosuid", "noexec", "nodev"]


def default_spec(
    args: Sequence[str],
    env: Sequence[str] = (),
    cwd: str = "/",
    user: tuple[int, int, tuple[int, ...]] | str = (0, 0, ()),
    *,
    groups: Sequence[int] = (),
    cap_add: Sequence[str] = (),
    cap_drop: Sequence[str] = (),
    mounts: Sequence[Mapping[str, Any]] = (),
    resources: Mapping[str, Any] | None = None,
    devices: Sequence[Mapping[str, Any]] = (),
    no_new_privs: bool = True,
    privileged: bool = False,
    seccomp: bool = True,
    readonly_root: bool = False,
    terminal: bool = False,
    shm_bytes: int = 64 << 20,
    oom_score_adj: int | None = None,
    rlimits: Sequence[Mapping[str, Any]] = (),
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """config.json for ContainerSpec.oci. `env` is "K=V" each; a `user` in text is looked up in the image at launch.

    `groups` are added to the user's. `cap_add` and `cap_drop` change CAPABILITIES: with or without CAP_, "ALL" for all.
    `mounts` come after the standard ones, in order. `resources` is LinuxResources, its devices after the usual ones.
    Privileged: every capability, no seccomp, nothing masked, all devices; meant for host_users pods.
    """
    process = {
        "args": list(args),
        "env": list(env),
        "cwd": cwd or "/",
        "user": _user(user, groups),
        "noNewPrivileges": no_new_privs and not privileged,
        "terminal": terminal,
        "capabilities": _sets(("ALL",) if privileged else cap_add, () if privileged else cap_drop),
        **({"oomScoreAdj": oom_score_adj} if oom_score_adj is not None else {}),
        **({"rlimits": list(rlimits)} if rlimits else {}),
    }
    own = resources or {}
    linux: dict[str, Any] = {
        "resources": {**own, "devices": [*device_rules(devices, privileged), *(own.get("devices") or ())]},
        **({"devices": list(devices)} if devices else {}),
        "maskedPaths": [] if privileged else list(MASKED),
        "readonlyPaths": [] if privileged else list(READ_ONLY),
        **({} if privileged or not seccomp else {"seccomp": {"x-orch.profile": "default"}}),
    }
    return {
        "ociVersion": "1.2.0",
        "process": process,
        "root": {"readonly": readonly_root},
        "mounts": [*standard_mounts(shm_bytes, writable_sys=privileged), *mounts],
        "linux": linux,
        "annotations": dict(annotations or {}),
    }


def _user(user: tuple[int, int, tuple[int, ...]] | str, groups: Sequence[int]) -> dict[str, Any]:
    if isinstance(user, str):
        return {"username": user, "additionalGids": list(groups)}
    return {"uid": user[0], "gid": user[1], "additionalGids": [*user[2], *groups]}


def _sets(add: Sequence[str], drop: Sequence[str]) -> dict[str, list[str]]:
    """Inheritable and ambient stay empty (CVE-2022-24769). What is both added and dropped is held."""
    from orchestr.runtime.capabilities import available

    added, dropped = (
        {name if name == "ALL" else f"CAP_{name.upper().removeprefix('CAP_')}" for name in s} for s in (add, drop)
    )
    kept = set() if "ALL" in dropped else set(CAPABILITIES) - dropped
    held = set(available()) - (dropped - {"ALL"}) if "ALL" in added else kept | added
    return {name: sorted(held) for name in ("bounding", "effective", "permitted")}


def standard_mounts(shm_bytes: int, *, writable_sys: bool = False) -> list[dict[str, Any]]:
    access = "rw" if writable_sys else "ro"
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": list(_SAFE)},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": [*_SAFE, "mode=1777", f"size={shm_bytes}"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": list(_SAFE)},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*_SAFE, access]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*_SAFE, access]},
    ]


def device_rules(devices: Sequence[Mapping[str, Any]], privileged: bool = False) -> list[dict[str, Any]]:
    """OCI `linux.resources.devices` that allow the standard nodes and `devices` (linux.devices entries)."""
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules: list[dict[str, Any]] = [{"allow": False, "access": "rwm"}]
    for kind, major, minor, access in _DEVICES:
        rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
        if major >= 0:
            rule["major"] = major
        if minor >= 0:
            rule["minor"] = minor
        rules.append(rule)
    for device in devices:
        rules.append({"allow": True, "access": "rwm", **{key: device[key] for key in ("type", "major", "minor")}})
    return rules
