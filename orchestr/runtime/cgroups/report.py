"""A cgroup's figures in the shape of runc's `events --stats` (types/events.go), which Docker and others read.

Times are nanoseconds; what is 0 is left out where runc leaves it out.
"""

import errno
import os
from typing import Any, Final

from orchestr.runtime.cgroups import cpu, files, hugetlb, tree
from orchestr.runtime.cgroups.layout import Layout, layout

_MAX: Final = 2**64 - 1
_HZ: Final = os.sysconf("SC_CLK_TCK")
_BLKIO: Final = (
    ("ioServiceBytesRecursive", "io_service_bytes"),
    ("ioServicedRecursive", "io_serviced"),
    ("ioQueueRecursive", "io_queued"),
    ("ioServiceTimeRecursive", "io_service_time"),
    ("ioWaitTimeRecursive", "io_wait_time"),
    ("ioMergedRecursive", "io_merged"),
    ("ioTimeRecursive", "time"),
    ("sectorsRecursive", "sectors"),
)
_IO_STAT: Final = {  # of v2: list, operation
    "rbytes": ("ioServiceBytesRecursive", "Read"),
    "wbytes": ("ioServiceBytesRecursive", "Write"),
    "rios": ("ioServicedRecursive", "Read"),
    "wios": ("ioServicedRecursive", "Write"),
}


def statistics(path: str) -> dict[str, Any]:
    """FileNotFoundError when the cgroup is gone."""
    found = layout()
    if next(tree.directories(path), None) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return {
        "cpu": _cpu(found, path),
        "cpuset": _cpuset(found, path),
        "memory": _memory(found, path),
        "pids": _pids(found, path),
        "blkio": _blkio(found, path),
        "hugetlb": _hugetlb(found, path),
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _at(found: Layout, controller: str, path: str) -> tuple[int, str]:
    """(version, directory), (0, "") where the container is in none."""
    version = found.controller(controller)
    directory = found.path(controller, path) if version else ""
    return (version, directory) if version and os.path.isdir(directory) else (0, "")


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _cpu(found: Layout, path: str) -> dict[str, Any]:
    version, directory = _at(found, "cpu", path)
    periods, throttled, waited = cpu.throttled(directory) if version else (0, 0, 0)
    used = _used_v2(directory) if version == 2 else _used_v1(found, path)
    return {
        "usage": used,
        "throttling": _given(periods=periods, throttledPeriods=throttled, throttledTime=waited),
        **_pressure(found, path, "cpu"),
    }


def _used_v2(directory: str) -> dict[str, Any]:
    stat = files.fields(f"{directory}/cpu.stat")
    total, kernel, user = (stat.get(f"{name}_usec", 0) * 1000 for name in ("usage", "system", "user"))
    return {**_given(total=total), "kernel": kernel, "user": user}


def _used_v1(found: Layout, path: str) -> dict[str, Any]:
    version, directory = _at(found, "cpuacct", path)
    if not version:
        return {"kernel": 0, "user": 0}
    rows = [line.split() for line in files.read(f"{directory}/cpuacct.usage_all").splitlines()[1:]]
    ticks = files.fields(f"{directory}/cpuacct.stat")
    return {
        **_given(
            total=cpu.used_v1(directory),
            percpu=[int(word) for word in files.read(f"{directory}/cpuacct.usage_percpu").split()],
            percpu_kernel=[int(row[2]) for row in rows],
            percpu_user=[int(row[1]) for row in rows],
        ),
        "kernel": ticks.get("system", 0) * 10**9 // _HZ,
        "user": ticks.get("user", 0) * 10**9 // _HZ,
    }


def _pressure(found: Layout, path: str, what: str) -> dict[str, Any]:
    """{"psi": {"some": {"avg10": ..., "total": microseconds}, "full": ...}} from WHAT.pressure of v2."""
    if what not in found.v2_controllers:
        return {}
    try:
        lines = [line.split() for line in files.read(f"{found.v2}/{path}/{what}.pressure").splitlines()]
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # booted with psi=0, or switched off for this cgroup
            return {}
        raise
    rows = {words[0]: dict(word.split("=", 1) for word in words[1:]) for words in lines if words}
    psi = {
        name: {**{key: float(row[key]) for key in ("avg10", "avg60", "avg300")}, "total": int(row["total"])}
        for name, row in rows.items()
    }
    return {"psi": psi} if psi else {}


def _cpuset(found: Layout, path: str) -> dict[str, Any]:
    version, directory = _at(found, "cpuset", path)
    names = (
        *("cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page"),
        *("memory_spread_slab", "memory_pressure", "sched_load_balance", "sched_relax_domain_level"),
    )
    if version != 1:
        return dict.fromkeys(names, 0)
    return {
        **_given(cpus=_list(f"{directory}/cpuset.cpus"), mems=_list(f"{directory}/cpuset.mems")),
        **{name: files.number(f"{directory}/cpuset.{name}") or 0 for name in names},
    }


def _list(path: str) -> list[int]:
    """0-2,5 as [0, 1, 2, 5]."""
    parts = [part.partition("-") for part in files.read(path).strip().split(",") if part]
    return [number for first, _, last in parts for number in range(int(first), int(last or first) + 1)]


def _memory(found: Layout, path: str) -> dict[str, Any]:
    version, directory = _at(found, "memory", path)
    if not version:
        return {}
    stat = files.fields(f"{directory}/memory.stat")
    if version == 1:
        names = (("usage", "memory"), ("swap", "memory.memsw"), ("kernel", "memory.kmem"))
        entries = {name: _entry_v1(f"{directory}/{file}") for name, file in (*names, ("kernelTCP", "memory.kmem.tcp"))}
        return {**_given(cache=stat.get("cache", 0)), **entries, "raw": stat}
    usage, swap = _entry_v2(f"{directory}/memory"), _entry_v2(f"{directory}/memory.swap")
    # v1 counts memory and swap together, and this is v1's shape; their common peak is known to nobody.
    limit = swap["limit"] if swap["limit"] == _MAX else swap["limit"] + usage["limit"]
    both = _entry(min(limit, _MAX), swap.get("usage", 0) + usage.get("usage", 0), 0, swap["failcnt"])
    kernel = _entry(_MAX, stat.get("kernel", 0), 0, 0)
    return {
        **_given(cache=stat.get("file", 0)),
        "usage": usage,
        "swap": both,
        "kernel": kernel,
        "kernelTCP": _entry(_MAX, stat.get("sock", 0), 0, 0),
        "raw": stat,
        **_pressure(found, path, "memory"),
    }


def _entry(limit: int, usage: int, peak: int, failures: int) -> dict[str, int]:
    return {"limit": limit, **_given(usage=usage, max=peak), "failcnt": failures}


def _entry_v1(prefix: str) -> dict[str, int]:
    names = ("limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt")
    return _entry(*(files.number(f"{prefix}.{name}") or 0 for name in names))


def _entry_v2(prefix: str) -> dict[str, int]:
    limit, text = files.number(f"{prefix}.max"), files.read(f"{prefix}.max")
    usage, peak = (files.number(f"{prefix}.{name}") or 0 for name in ("current", "peak"))
    unlimited = _MAX if text else 0
    return _entry(unlimited if limit is None else limit, usage, peak, files.fields(f"{prefix}.events").get("max", 0))


def _pids(found: Layout, path: str) -> dict[str, Any]:
    version, directory = _at(found, "pids", path)
    if not version:
        return _given(current=len(tree.processes(path)))
    return _given(
        current=files.number(f"{directory}/pids.current"),
        limit=files.number(f"{directory}/pids.max"),
    )


def _blkio(found: Layout, path: str) -> dict[str, Any]:
    if _at(found, "io", path)[0]:
        return {**_io_v2(_at(found, "io", path)[1]), **_pressure(found, path, "io")}
    version, directory = _at(found, "blkio", path)
    if not version:
        return {}
    for prefix in ("blkio.bfq.", "blkio."):
        if any(lists := {name: _entries(f"{directory}/{prefix}{file}_recursive") for name, file in _BLKIO}.values()):
            return _given(**dict(zip((name for name, _ in _BLKIO), lists, strict=True)))
    # Nothing has gone through such a scheduler: the throttle counts what goes to any device.
    return _given(
        ioServiceBytesRecursive=_entries(f"{directory}/blkio.throttle.io_service_bytes_recursive"),
        ioServicedRecursive=_entries(f"{directory}/blkio.throttle.io_serviced_recursive"),
    )


def _entries(path: str) -> list[dict[str, Any]]:
    """`8:0 Read 4096` or `8:0 4096` a line, and a total that is left out."""
    found = list[dict[str, Any]]()
    for words in (line.split() for line in files.read(path).splitlines()):
        if len(words) >= 2 and ":" in words[0]:
            major, minor = map(int, words[0].split(":"))
            found.append(_given(major=major, minor=minor, op=words[1] if len(words) == 3 else "", value=int(words[-1])))
    return found


def _io_v2(directory: str) -> dict[str, Any]:
    lists = dict[str, list[dict[str, Any]]]()
    for words in (line.split() for line in files.read(f"{directory}/io.stat").splitlines()):
        major, minor = map(int, words[0].split(":"))
        for name, _, value in (word.partition("=") for word in words[1:]):
            if name in _IO_STAT:
                key, op = _IO_STAT[name]
                lists.setdefault(key, []).append(_given(major=major, minor=minor, op=op, value=int(value)))
    return lists


def _hugetlb(found: Layout, path: str) -> dict[str, Any]:
    version, directory = _at(found, "hugetlb", path)
    return {size: _pages(version, f"{directory}/hugetlb.{size}") for size in hugetlb.sizes()} if version else {}


def _pages(version: int, prefix: str) -> dict[str, int]:
    if version == 2:
        usage = files.number(f"{prefix}.rsvd.current")
        usage = files.number(f"{prefix}.current") if usage is None else usage
        return {**_given(usage=usage), "failcnt": files.fields(f"{prefix}.events").get("max", 0)}
    kind = f"{prefix}.rsvd" if os.path.exists(f"{prefix}.rsvd.usage_in_bytes") else prefix
    usage, peak, failures = (
        files.number(f"{kind}.{name}") for name in ("usage_in_bytes", "max_usage_in_bytes", "failcnt")
    )
    return {**_given(usage=usage, max=peak), "failcnt": failures or 0}
