"""What Kubernetes has no field for: limits of a service as annotations that the agent gives to the runtime.

`orchestr.dev/resources` is OCI LinuxResources as JSON, its devices by path; see agent/resources.py.
"""

import difflib
import json
import re
from typing import Any

from orchestr.api.composevalue import seconds, size
from orchestr.manifest.compose.reader import Reader, text

RESOURCES = "orchestr.dev/resources"
OOM_SCORE = "orchestr.dev/oom-score-adj"
ULIMITS = "orchestr.dev/ulimits"  # OCI POSIXRlimit as JSON
DEVICES = "orchestr.dev/devices"  # JSON list of SOURCE or SOURCE:TARGET
LOG = "orchestr.dev/log"  # JSON: maxBytes of a file, maxFiles
UNLIMITED = 2**64 - 1
RLIMITS = ("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
           "rtprio", "rttime", "sigpending", "stack")  # fmt: skip
LOG_DRIVERS = ("json-file", "local")
LOG_OPTIONS = ("max-size", "max-file")
KEPT = "logs are kept by the daemon (orch logs)"
LIST = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
DEVICE = re.compile(r"([abc]) (\d+|\*):(\d+|\*) ([rwm]{1,3})")
THROTTLES = {
    "device_read_bps": "throttleReadBpsDevice",
    "device_write_bps": "throttleWriteBpsDevice",
    "device_read_iops": "throttleReadIOPSDevice",
    "device_write_iops": "throttleWriteIOPSDevice",
}


def annotations(read: Reader) -> dict[str, str]:
    """Empty without any of these keys."""
    found = {
        "cpu": _cpu(read),
        "memory": _memory(read),
        "blockIO": _block(read.child("blkio_config")),
        "devices": [_device(read, rule) for rule in read.strings("device_cgroup_rules")],
    }
    given = {key: value for key, value in found.items() if value}
    score = read.read("oom_score_adj", lambda data: _within(data, -1000, 1000))
    lists = {RESOURCES: given, ULIMITS: _ulimits(read), DEVICES: _devices(read), LOG: _log(read.child("logging"))}
    return {
        **{key: json.dumps(value, separators=(",", ":")) for key, value in lists.items() if value},
        **({OOM_SCORE: str(score)} if score is not None else {}),
    }


def _ulimits(read: Reader) -> list[dict[str, Any]]:
    """As OCI POSIXRlimit."""
    found = []
    for name, entry in read.children("ulimits").items():
        if name not in RLIMITS:
            hint = difflib.get_close_matches(name, RLIMITS, n=1)
            read.child("ulimits").error(name, f"there is no limit {name!r}", f"use {', '.join(hint or RLIMITS)}")
            continue
        single = read.child("ulimits").read(name, _limit)
        soft, hard = (
            (single, single) if single is not None else (entry.read("soft", _limit), entry.read("hard", _limit))
        )
        if soft is not None and hard is not None and soft > hard:
            entry.error("soft", f"soft limit {soft} is more than the hard limit {hard}", "raise the hard limit")
        found.append({"type": f"RLIMIT_{name.upper()}", "soft": soft or 0, "hard": hard or 0})
    return found


def _limit(data: Any) -> int:
    return UNLIMITED if str(data) == "-1" else _within(data, 0, UNLIMITED)


def _devices(read: Reader) -> list[str]:
    found = []
    for entry in read.entries("devices"):
        source, target = entry.text("source") or "", entry.text("target") or entry.text("source") or ""
        if (access := entry.text("permissions") or "rwm") != "rwm":
            entry.refuse("permissions", f"permissions {access}", "a device is given with rwm; see device_cgroup_rules")
        elif not source.startswith("/dev/"):
            entry.refuse("source", f"device {source}", "only devices of this machine, by their path in /dev")
        else:
            found.append(source if source == target else f"{source}:{target}")
    return found


def _log(read: Reader) -> dict[str, int]:
    """How much of its output is kept: `max-size` of one file, and `max-file`, how many."""
    if read.node is None:
        return {}
    if (driver := read.text("driver") or LOG_DRIVERS[0]) not in LOG_DRIVERS:
        read.refuse("driver", f"logging driver {driver}", f"{KEPT}; use {' or '.join(LOG_DRIVERS)}")
        return {}
    options = read.child("options")
    for name in options.node.data if options.node is not None and isinstance(options.node.data, dict) else ():
        if name not in LOG_OPTIONS:
            options.refuse(name, f"logging option {name}", f"{KEPT}; options are {', '.join(LOG_OPTIONS)}")
    found = {
        "maxBytes": options.read("max-size", size),
        "maxFiles": options.read("max-file", lambda data: _within(data, 1, 1000)),
    }
    return {key: value for key, value in found.items() if value}


def _cpu(read: Reader) -> dict[str, Any]:
    if read.get("cpus") and (read.get("cpu_quota") or read.get("cpu_period")):
        read.error("cpus", "cannot be combined with cpu_quota and cpu_period", "keep cpus, or both of them")
    found = {
        "shares": read.read("cpu_shares", lambda data: _within(data, 2, 262144) if str(data) != "0" else None),
        "quota": read.number("cpu_quota"),
        "period": read.read("cpu_period", _microseconds),
        "realtimeRuntime": read.read("cpu_rt_runtime", _microseconds),
        "realtimePeriod": read.read("cpu_rt_period", _microseconds),
        "cpus": read.read("cpuset", _cpus),
    }
    return {key: value for key, value in found.items() if value is not None}


def _memory(read: Reader) -> dict[str, Any]:
    found = {
        "swap": read.read("memswap_limit", lambda data: -1 if str(data) == "-1" else size(data)),
        "swappiness": read.read("mem_swappiness", lambda data: _within(data, 0, 100)),
        "disableOOMKiller": read.flag("oom_kill_disable") or None,
    }
    limits = read.child("deploy").child("resources").child("limits")
    swap, limit = found["swap"], read.read("mem_limit", _readable) or limits.read("memory", _readable)
    if swap and swap > 0 and (not limit or swap < limit):
        why = f"is less than mem_limit, {limit}" if limit else "has no mem_limit beside it"
        read.error("memswap_limit", f"{swap} {why}", "it counts memory and swap together")
    return {key: value for key, value in found.items() if value is not None}


def _readable(data: Any) -> int:
    """What cannot be read is told where the limit itself is."""
    try:
        return size(data)
    except ValueError:
        return 0


def _block(read: Reader) -> dict[str, Any]:
    found: dict[str, Any] = {
        key: [{"path": _path(item), "rate": item.read("rate", size)} for item in read.entries(name)]
        for name, key in THROTTLES.items()
    }
    found["weightDevice"] = [
        {"path": _path(item), "weight": item.read("weight", _weight)} for item in read.entries("weight_device")
    ]
    found["weight"] = read.read("weight", _weight)
    return {key: value for key, value in found.items() if value}


def _path(item: Reader) -> str:
    path = item.text("path") or ""
    if not path.startswith("/dev/"):
        item.error("path", f"{path!r} is no device", "write the path of a block device, such as /dev/sda")
    return path


def _weight(data: Any) -> int:
    return _within(data, 10, 1000)


def _within(data: Any, least: int, most: int) -> int:
    if isinstance(data, bool) or not re.fullmatch(r"-?\d+", str(data)) or not least <= int(data) <= most:
        raise ValueError(f"cannot use {data!r}: not a number from {least} to {most}")
    return int(data)


def _microseconds(data: Any) -> int:
    """A number is microseconds already; a duration has a unit."""
    return int(data) if str(data).isdecimal() else round(seconds(text(data)) * 1_000_000)


def _cpus(data: Any) -> str:
    if not LIST.fullmatch(text(data)):
        raise ValueError(f"cannot read CPUs {data!r}: not numbers and ranges (write it as 0-3 or 0,2)")
    return text(data)


def _device(read: Reader, rule: str) -> dict[str, Any]:
    found = DEVICE.fullmatch(rule)
    if found is None:
        read.error("device_cgroup_rules", f"{rule!r} is no rule", "write it as c 1:3 rwm: type, major:minor, access")
        return {}
    kind, major, minor, access = found.groups()
    numbers = {key: int(value) for key, value in (("major", major), ("minor", minor)) if value != "*"}
    return {"allow": True, "type": kind, **numbers, "access": access}
