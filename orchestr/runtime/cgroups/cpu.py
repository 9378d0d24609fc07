"""cpu: shares, quota and period, idle; cpuacct for the time used."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.runtime.cgroups.files import fields, number

KEY = "cpu"


def v1(cpu: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, file in (("shares", "cpu.shares"), ("period", "cpu.cfs_period_us"), ("quota", "cpu.cfs_quota_us")):
        if cpu.get(key):
            yield file, str(cpu[key])
    if cpu.get("burst") is not None:
        yield "cpu.cfs_burst_us", str(cpu["burst"])
    if cpu.get("idle") is not None:
        yield "cpu.idle", str(cpu["idle"])


def weight(shares: int) -> int:
    """cpu.weight 1..10000 for cpu.shares 2..262144, as runc and Kubernetes convert (KEP-2254)."""
    return 1 + (min(max(shares, 2), 262144) - 2) * 9999 // 262142


def v2(cpu: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if cpu.get("shares"):
        yield "cpu.weight", str(weight(int(cpu["shares"])))
    if cpu.get("quota") or cpu.get("period"):
        quota = int(cpu.get("quota") or -1)
        yield "cpu.max", f"{quota if quota > 0 else 'max'} {int(cpu.get('period') or 100000)}"
    if cpu.get("burst") is not None:
        yield "cpu.max.burst", str(cpu["burst"])
    if cpu.get("idle") is not None:
        yield "cpu.idle", str(cpu["idle"])


def used_v1(cpuacct: str) -> int:
    return number(f"{cpuacct}/cpuacct.usage") or 0


def used_v2(directory: str) -> int:
    return fields(f"{directory}/cpu.stat").get("usage_usec", 0) * 1000
