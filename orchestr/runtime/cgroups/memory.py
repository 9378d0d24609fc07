"""memory: limit, reservation, swap; usage, peak and out-of-memory kills."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime.cgroups.files import Setting, fields, number
from orchestr.runtime.seam import RuntimeFailure

CONTROLLER: Final = "memory"
UNLIMITED_V1 = 1 << 60  # what v1 shows for no limit is PAGE_COUNTER_MAX, just above


class Oom(NamedTuple):
    kills: int
    limit: int | None  # bytes
    peak: int | None  # bytes


def wanted(resources: Mapping[str, Any]) -> str:
    memory = resources.get("memory") or {}
    keys = ("limit", "reservation", "swap", "kernelTCP", "disableOOMKiller")
    found = next((key for key in keys if memory.get(key)), "swappiness" if memory.get("swappiness") is not None else "")
    return f"memory/{found}" if found else ""


def _refuse(key: str, cause: str) -> RuntimeFailure:
    return RuntimeFailure(f"cannot set /linux/resources/memory/{key}: {cause}")


def v1(resources: Mapping[str, Any]) -> Iterator[Setting]:
    """memsw counts memory and swap, as OCI's `swap` does. `kernel` is ignored: the kernel dropped it (Linux 5.16)."""
    memory = resources.get("memory") or {}
    limit, swap = int(memory.get("limit") or 0), int(memory.get("swap") or 0)
    if limit:
        yield Setting("memory/limit", "memory.limit_in_bytes", str(limit))
    if swap or limit == -1:  # no limit of memory would mean nothing while memory and swap together have one
        yield Setting("memory/swap", "memory.memsw.limit_in_bytes", str(swap or -1), optional=swap <= 0)
    if memory.get("reservation"):
        yield Setting("memory/reservation", "memory.soft_limit_in_bytes", str(memory["reservation"]))
    if memory.get("kernelTCP"):
        yield Setting("memory/kernelTCP", "memory.kmem.tcp.limit_in_bytes", str(memory["kernelTCP"]))
    if (swappiness := _swappiness(memory)) is not None:
        yield Setting("memory/swappiness", "memory.swappiness", str(swappiness))
    if memory.get("disableOOMKiller") is not None:
        yield Setting("memory/disableOOMKiller", "memory.oom_control", str(int(memory["disableOOMKiller"])))
    if memory.get("useHierarchy") is not None:  # always so since Linux 5.11
        value = int(memory["useHierarchy"])
        yield Setting("memory/useHierarchy", "memory.use_hierarchy", str(value), optional=bool(value))


def _swappiness(memory: Mapping[str, Any]) -> int | None:
    value = memory.get("swappiness")
    if value is None or int(value) in (-1, 2**64 - 1):  # Docker's word for what was not given
        return None
    if not 0 <= int(value) <= 100:
        raise _refuse("swappiness", f"{value} is out of range (0 to 100)")
    return int(value)


def v2(resources: Mapping[str, Any]) -> Iterator[Setting]:
    memory = resources.get("memory") or {}
    _refuse_v1_only(memory)
    limit = int(memory.get("limit") or 0)
    swap = only_swap(limit, int(memory.get("swap") or 0))
    if swap is not None:  # before memory.max, which may need room there; a kernel without swap has no file: the same
        yield Setting("memory/swap", "memory.swap.max", _or_max(swap), optional=swap <= 0)
    if limit:
        yield Setting("memory/limit", "memory.max", _or_max(limit))
    if memory.get("reservation"):
        yield Setting("memory/reservation", "memory.low", _or_max(int(memory["reservation"])))


def _refuse_v1_only(memory: Mapping[str, Any]) -> None:
    if _swappiness(memory) is not None:
        raise _refuse("swappiness", "cgroup v2 has none for one cgroup (use memory.swap.max, or vm.swappiness)")
    if memory.get("disableOOMKiller"):
        raise _refuse("disableOOMKiller", "cgroup v2 always kills (use unified memory.high to slow down instead)")
    if memory.get("kernelTCP"):
        raise _refuse("kernelTCP", "cgroup v2 counts it with the rest (use limit)")
    if memory.get("useHierarchy") is False:
        raise _refuse("useHierarchy", "cgroup v2 is always hierarchical (leave it out)")


def only_swap(limit: int, swap: int) -> int | None:
    """v2 counts swap alone, OCI memory and swap together. -1 for no limit, None to leave it."""
    if swap < 0 or (limit == -1 and not swap):
        return -1
    if not swap:
        return None
    if limit == -1:
        return swap
    if not limit:
        raise _refuse("swap", "unable to set swap limit without memory limit (give limit, too)")
    if swap < limit:
        raise _refuse("swap", f"{swap} is less than limit {limit}: memory+swap limit should be >= memory limit")
    return swap - limit


def _or_max(value: int) -> str:
    return "max" if value < 0 else str(value)


def check_usage(directory: str, resources: Mapping[str, Any]) -> None:
    """checkBeforeUpdate on v2, where the kernel takes any limit and then kills. (v1 refuses by itself.)"""
    memory = resources.get("memory") or {}
    if not memory.get("checkBeforeUpdate"):
        return
    limit, swap = int(memory.get("limit") or 0), int(memory.get("swap") or 0)
    used = number(f"{directory}/memory.current") or 0
    for key, wanted, now, what in (
        ("swap", swap, used + (number(f"{directory}/memory.swap.current") or 0), "memory+swap"),
        ("limit", limit, used, "memory"),
    ):
        if 0 < wanted < now:
            raise _refuse(key, f"rejecting {what} limit {wanted}: {now} bytes are in use (raise it)")


def oom_v1(directory: str) -> Oom:
    limit = number(f"{directory}/memory.limit_in_bytes")
    return Oom(
        fields(f"{directory}/memory.oom_control").get("oom_kill", 0),
        limit if limit is not None and limit < UNLIMITED_V1 else None,
        number(f"{directory}/memory.max_usage_in_bytes"),
    )


def oom_v2(directory: str) -> Oom:
    """memory.peak is Linux 5.19."""
    return Oom(
        fields(f"{directory}/memory.events").get("oom_kill", 0),
        number(f"{directory}/memory.max"),
        number(f"{directory}/memory.peak"),
    )


def working_set_v1(directory: str) -> int:
    inactive = fields(f"{directory}/memory.stat").get("total_inactive_file", 0)
    return max((number(f"{directory}/memory.usage_in_bytes") or 0) - inactive, 0)


def working_set_v2(directory: str) -> int:
    inactive = fields(f"{directory}/memory.stat").get("inactive_file", 0)
    return max((number(f"{directory}/memory.current") or 0) - inactive, 0)
