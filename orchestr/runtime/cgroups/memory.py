"""memory: limit, reservation, swap; usage, peak and out-of-memory kills."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from orchestr.runtime.cgroups.files import fields, number

UNLIMITED_V1 = 1 << 60  # what v1 shows for no limit is PAGE_COUNTER_MAX, just above


class Oom(NamedTuple):
    kills: int
    limit: int | None  # bytes
    peak: int | None  # bytes


def _bytes(value: Any) -> int:
    return int(value)


def v1(memory: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """memsw counts memory and swap, as OCI's `swap` does. -1 first when raising is left to the caller's second try."""
    if memory.get("limit"):
        yield "memory.limit_in_bytes", str(_bytes(memory["limit"]))
    if memory.get("swap"):
        yield "memory.memsw.limit_in_bytes", str(_bytes(memory["swap"]))
    if memory.get("reservation"):
        yield "memory.soft_limit_in_bytes", str(_bytes(memory["reservation"]))
    if memory.get("swappiness") is not None:
        yield "memory.swappiness", str(int(memory["swappiness"]))
    if memory.get("disableOOMKiller"):
        yield "memory.oom_control", "1"


def v2(memory: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit:
        yield "memory.max", _or_max(int(limit))
    if swap:
        # OCI's swap is memory plus swap; v2 counts swap alone
        only_swap = -1 if int(swap) < 0 or not limit else max(int(swap) - int(limit), 0)
        yield "memory.swap.max", _or_max(only_swap)
    if memory.get("reservation"):
        yield "memory.low", _or_max(int(memory["reservation"]))


def _or_max(value: int) -> str:
    return "max" if value < 0 else str(value)


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
