"""cpu: shares, quota and period, burst, idle, real time (v1 only); cpuacct (v1) and cpu.stat (v2) for the time used."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestr.runtime.cgroups.files import Setting, fields, number
from orchestr.runtime.seam import RuntimeFailure

CONTROLLER: Final = "cpu"
PERIOD: Final = 100_000  # microseconds, the kernel's default
_KEYS: Final = ("shares", "quota", "period", "burst", "idle", "realtimeRuntime", "realtimePeriod")


def wanted(resources: Mapping[str, Any]) -> str:
    """The first key that needs the controller, "" for none."""
    cpu = resources.get("cpu") or {}
    return next((f"cpu/{key}" for key in _KEYS if cpu.get(key)), "")


def v1(resources: Mapping[str, Any]) -> Iterator[Setting]:
    cpu = _checked(resources.get("cpu") or {})
    for key, file in (
        ("realtimePeriod", "cpu.rt_period_us"),
        ("realtimeRuntime", "cpu.rt_runtime_us"),
        ("shares", "cpu.shares"),
        ("period", "cpu.cfs_period_us"),
        ("quota", "cpu.cfs_quota_us"),
    ):
        if cpu.get(key):
            yield Setting(f"cpu/{key}", file, str(cpu[key]))
    yield from _both(cpu, "cpu.cfs_burst_us")


def v2(resources: Mapping[str, Any]) -> Iterator[Setting]:
    cpu = _checked(resources.get("cpu") or {})
    for key in ("realtimeRuntime", "realtimePeriod"):
        if cpu.get(key):
            raise RuntimeFailure(
                f"cannot set /linux/resources/cpu/{key}: cgroup v2 has no control of real-time tasks (leave it out)"
            )
    if cpu.get("shares"):
        yield Setting("cpu/shares", "cpu.weight", str(weight(int(cpu["shares"]))))
    # A file of two words: what is not given stays. The kernel takes a quota alone; "max" alone too.
    quota, period = int(cpu.get("quota") or 0), cpu.get("period")
    if quota:
        value = str(quota) if quota > 0 else "max"
        yield Setting("cpu/quota", "cpu.max", f"{value} {period}" if period else value)
    elif period:
        yield Setting("cpu/period", "cpu.max", f"max {period}")
    yield from _both(cpu, "cpu.max.burst")


def _both(cpu: Mapping[str, Any], burst: str) -> Iterator[Setting]:
    if cpu.get("burst") is not None:
        yield Setting("cpu/burst", burst, str(cpu["burst"]), optional=not cpu["burst"])  # Linux 5.14
    if cpu.get("idle") is not None:
        # Last: a weight that is written takes a cgroup out of idle. Linux 5.15.
        yield Setting("cpu/idle", "cpu.idle", str(cpu["idle"]), optional=not cpu["idle"])


def _checked(cpu: Mapping[str, Any]) -> Mapping[str, Any]:
    shares, quota, burst = (int(cpu.get(key) or 0) for key in ("shares", "quota", "burst"))
    if shares and not 2 <= shares <= 262144:  # the kernel would take the nearest, and say nothing
        least = shares < 2
        raise RuntimeFailure(
            f"cannot set /linux/resources/cpu/shares to {shares}: the {'minimum' if least else 'maximum'} allowed "
            f"cpu-shares is {2 if least else 262144} (2 to 262144, 1024 is the default)"
        )
    if 0 < quota < burst:
        raise RuntimeFailure(f"cannot set /linux/resources/cpu/burst to {burst}: more than quota {quota} (lower it)")
    if cpu.get("idle") not in (None, 0, 1):
        raise RuntimeFailure(f"cannot set /linux/resources/cpu/idle to {cpu['idle']}: not 0 or 1 (give one of them)")
    return cpu


def weight(shares: int) -> int:
    """cpu.weight 1..10000 for cpu.shares 2..262144: the curve through (2, 1), (1024, 100), (262144, 10000).

    As runc 1.3.2 and crun 1.24 convert; the straight line of KEP-2254 made 39 of the default.
    """
    if shares <= 2:
        return 1
    if shares >= 262144:
        return 10000
    from math import ceil, log2  # not on v1's way

    power = log2(shares)
    return ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def used_v1(cpuacct: str) -> int:
    return number(f"{cpuacct}/cpuacct.usage") or 0


def used_v2(directory: str) -> int:
    return fields(f"{directory}/cpu.stat").get("usage_usec", 0) * 1000


def throttled(directory: str) -> tuple[int, int, int]:
    """(periods, those in which the quota was used up, nanoseconds waited); cpu.stat of both versions."""
    found = fields(f"{directory}/cpu.stat")
    waited = found["throttled_usec"] * 1000 if "throttled_usec" in found else found.get("throttled_time", 0)
    return found.get("nr_periods", 0), found.get("nr_throttled", 0), waited
