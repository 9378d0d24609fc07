"""OCI `process.scheduler`, `ioPriority` and `execCPUAffinity`: sched_setattr(2), ioprio_set(2), sched_setaffinity(2).

They are set by the first child, while it is still root of the machine: CAP_SYS_NICE of a user namespace is not enough
for most of them. What a fork takes back (SCHED_DEADLINE, SCHED_FLAG_RESET_ON_FORK) is set by the process itself.
"""

import os
import struct
from collections.abc import Mapping
from typing import Any, Final

from orchestr.runtime.plan import Builder
from orchestr.runtime.seam import RuntimeFailure

_POLICIES: Final = {  # linux/sched.h
    "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4, "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}  # fmt: skip
_FLAGS: Final = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01, "SCHED_FLAG_RECLAIM": 0x02, "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08, "SCHED_FLAG_KEEP_PARAMS": 0x10, "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}  # fmt: skip
_SIZE: Final = 48  # of struct sched_attr, its first version (Linux 3.14)
_CLASSES: Final = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_CPUS: Final = 8192  # NR_CPUS of the largest kernel
# sched_setattr(2), EPERM: SCHED_DEADLINE wants every CPU of the machine. The words are runc's.
_CPUS_OF_A_DEADLINE: Final = "with SCHED_DEADLINE the process scheduler can't be used together with AllowedCPUs"
_ALL: Final = b"\xff" * (_CPUS // 8)  # the kernel takes those that there are


def outside(b: Builder, process: Mapping[str, Any]) -> None:
    scheduler = process.get("scheduler")
    if scheduler and not _taken_back(scheduler):
        _schedule(b, scheduler)
    priority = process.get("ioPriority")
    if priority:
        value = _CLASSES[str(priority["class"])] << 13 | _level(priority)
        b.add("set /process/ioPriority", "the process", "ioprio_set", 1, 0, value)  # IOPRIO_WHO_PROCESS, this one


def inside(b: Builder, process: Mapping[str, Any]) -> None:
    scheduler = process.get("scheduler")
    if scheduler and _taken_back(scheduler):
        _schedule(b, scheduler)


def _taken_back(scheduler: Mapping[str, Any]) -> bool:
    flags = scheduler.get("flags") or ()
    return scheduler["policy"] == "SCHED_DEADLINE" or "SCHED_FLAG_RESET_ON_FORK" in flags


def _level(priority: Mapping[str, Any]) -> int:
    level = int(priority.get("priority") or 0)
    if not 0 <= level <= 7:
        raise RuntimeFailure(f"cannot use /process/ioPriority/priority: {level} is not 0 to 7 (see ioprio_set(2))")
    return level


def _schedule(b: Builder, scheduler: Mapping[str, Any]) -> None:
    attr = attributes(scheduler)
    b.add(f"set /process/scheduler to {scheduler['policy']}", "the process", "sched_setattr", 0, attr, 0)


def attributes(scheduler: Mapping[str, Any]) -> bytes:
    """struct sched_attr. RuntimeFailure."""
    if scheduler["policy"] == "SCHED_DEADLINE":
        _check_deadline(scheduler)
    flags = sum(_FLAGS[str(flag)] for flag in set(scheduler.get("flags") or ()))
    numbers = (int(scheduler.get(key) or 0) for key in ("nice", "priority", "runtime", "deadline", "period"))
    return struct.pack("IIQiIQQQ", _SIZE, _POLICIES[str(scheduler["policy"])], flags, *numbers)


def refused() -> str:
    """Why the kernel said EPERM. With CONFIG_RT_GROUP_SCHED a cgroup (v1) has a real-time budget, at first none."""
    from orchestr.runtime.cgroups import layout

    cpu = layout().v1.get("cpu")
    if cpu and os.path.exists(f"{cpu}/cpu.rt_runtime_us"):
        return (
            "CAP_SYS_NICE is needed, and for SCHED_FIFO and SCHED_RR a cgroup with real-time budget: give "
            f"/linux/resources/cpu/realtimeRuntime, and cpu.rt_runtime_us to the cgroups above; {_CPUS_OF_A_DEADLINE}"
        )
    return f"CAP_SYS_NICE is needed, in the machine's user namespace; {_CPUS_OF_A_DEADLINE}"


def _check_deadline(scheduler: Mapping[str, Any]) -> None:
    """The rules of sched(7), for which the kernel has but EINVAL. Worded as in crun."""
    for key in ("runtime", "deadline"):
        if key not in scheduler:
            raise _deadline(key, f"requires `{key}`")
    runtime, deadline = int(scheduler["runtime"]), int(scheduler["deadline"])
    values = {"runtime": runtime, "deadline": deadline, "period": int(scheduler.get("period") or deadline)}
    for key, value in values.items():
        if not value:
            raise _deadline(key, f"{key} must be greater than 0")
    for key, most in (("runtime", "deadline"), ("deadline", "period")):
        if values[key] > values[most]:
            raise _deadline(key, f"{key} ({values[key]}) must be <= {most} ({values[most]})")
    for key, value in values.items():
        if not 1024 <= value < 2**63:
            raise _deadline(key, f"{key} ({value}) must be between 1024 and 2^63 - 1 nanoseconds")


def _deadline(key: str, cause: str) -> RuntimeFailure:
    return RuntimeFailure(
        f"cannot use /process/scheduler/{key} for sched_setattr: `SCHED_DEADLINE` {cause} (see sched(7))",
        reason="StartError",
    )


def affinity(b: Builder, process: Mapping[str, Any], when: str) -> None:
    """`when`: "initial" before the process moves to the container's cgroup, "final" afterwards. For exec alone."""
    text = str((process.get("execCPUAffinity") or {}).get(when) or "")
    if text:
        mask = bits(text, _CPUS, f"/process/execCPUAffinity/{when}")
        b.add(f"set /process/execCPUAffinity/{when} to {text}", "", "sched_setaffinity", 0, len(mask), mask)


def all_cpus(b: Builder, process: Mapping[str, Any]) -> None:
    """Whatever the caller is bound to, the process may use all CPUs that its cgroup has, as with runc.

    With execCPUAffinity the affinity "SHOULD NOT" be changed but as it says (config.md).
    """
    if not process.get("execCPUAffinity"):
        b.add("use all CPUs", "", "sched_setaffinity", 0, len(_ALL), _ALL)


def bits(text: str, room: int, pointer: str) -> bytes:
    """ "0-3,7" as a mask of unsigned longs, as short as it can be. RuntimeFailure."""
    mask = 0
    for part in text.split(","):
        first, _, last = (word.strip() for word in part.partition("-"))
        low, high = _number(first), _number(last if "-" in part else first)
        if not 0 <= low <= high < room:
            raise RuntimeFailure(f"cannot use {pointer}: {part!r} is no number or range below {room} (as in 0-3,7)")
        mask |= (1 << high + 1) - (1 << low)
    words = mask.bit_length() // 64 + 1
    return mask.to_bytes(words * 8, "little")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1
