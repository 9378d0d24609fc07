"""update: other limits for a container, as LinuxResources in a file or by single options."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from orchestr.runtime import cgroups, lean
from orchestr.runtime.oci import config, state
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.seam import RuntimeFailure

_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


class _Limit(NamedTuple):
    section: str
    key: str
    read: Callable[[str], Any]
    about: str


def size(text: str) -> int:
    """Bytes of "512", "50M", "1.5GiB", "-1" (no limit)."""
    number = text.strip().lower()
    if number == "-1":
        return -1
    digits = number.rstrip("bikmgtp")
    unit = number[len(digits) :].replace("ib", "").rstrip("b")
    try:
        value = float(digits)
        if value < 0 or unit not in _UNITS:
            raise ValueError
        return int(digits) if not unit and digits.isdigit() else int(value * _UNITS[unit])
    except (ValueError, OverflowError) as error:
        raise ValueError(f"invalid size: '{text}'") from error


LIMITS: Final[Mapping[str, _Limit]] = {
    "memory": _Limit("memory", "limit", size, "most memory (bytes; K, M, G)"),
    "memory-reservation": _Limit("memory", "reservation", size, "memory that is given up last"),
    "memory-swap": _Limit("memory", "swap", size, "most memory and swap together; -1 for no limit"),
    "kernel-memory": _Limit("memory", "kernel", size, "gone from the kernel"),
    "kernel-memory-tcp": _Limit("memory", "kernelTCP", size, "most memory of TCP buffers"),
    "cpu-period": _Limit("cpu", "period", int, "microseconds that --cpu-quota is of"),
    "cpu-quota": _Limit("cpu", "quota", int, "microseconds of a period; -1 for no limit"),
    "cpu-burst": _Limit("cpu", "burst", int, "microseconds that may be saved up"),
    "cpu-share": _Limit("cpu", "shares", int, "weight against other containers"),
    "cpu-rt-period": _Limit("cpu", "realtimePeriod", int, "microseconds that --cpu-rt-runtime is of"),
    "cpu-rt-runtime": _Limit("cpu", "realtimeRuntime", int, "microseconds for realtime tasks"),
    "cpu-idle": _Limit("cpu", "idle", int, "1: run only when nobody else does"),
    "cpuset-cpus": _Limit("cpu", "cpus", str, "processors, as in 0-2,4"),
    "cpuset-mems": _Limit("cpu", "mems", str, "memory nodes"),
    "pids-limit": _Limit("pids", "limit", int, "most processes; -1 for no limit"),
    "blkio-weight": _Limit("blockIO", "weight", int, "weight against other containers, 10 to 1000"),
}
_REFUSED: Final = ("l3-cache-schema", "mem-bw-schema")


def update(call: Call) -> int:
    for name in _REFUSED:
        if call.flag(name):
            raise RuntimeFailure(f"cannot use --{name}: not supported (Intel RDT is not done)")
    resources = _read(call.text("resources")) if call.flag("resources") else of_options(call)
    lock = state.lock(call.root, call.id)
    try:
        found = state.load(call.root, call.id)
        if (now := state.status(call.root, found)) == "stopped":
            raise RuntimeFailure(f"cannot update container {call.id}: it is {now}")
        linux = found.config.get("linux") or {}
        merged = {**linux, "resources": merge(linux.get("resources") or {}, resources)}
        changed = {**found.config, "linux": merged}
        if resources.get("network"):
            from orchestr.runtime.netclass import left
            from orchestr.runtime.oci import netclass

            cgroups.update(state.cgroup(found), left(resources))
            if netclass.wanted(changed):
                netclass.apply(changed, found.cgroup, found.pid)
        else:
            cgroups.update(state.cgroup(found), resources)
        state.save(call.root, found._replace(config=changed))
    finally:
        os.close(lock)
    return 0


def of_options(call: Call) -> dict[str, Any]:
    """LinuxResources. RuntimeFailure names the option whose value is none."""
    resources: dict[str, Any] = {}
    for name, limit in LIMITS.items():
        if call.flag(name):
            text = call.text(name)
            try:
                resources.setdefault(limit.section, {})[limit.key] = limit.read(text)
            except ValueError as error:
                raise RuntimeFailure(f"cannot use --{name} {text}: invalid value ({error})") from error
    return resources


def _read(path: str) -> dict[str, Any]:
    import sys

    try:
        if path == "-":
            resources = lean.loads(sys.stdin.read())
        else:
            with open(path) as file:
                resources = lean.loads(file.read())
    except (OSError, ValueError) as error:
        raise RuntimeFailure(f"cannot read resources {path}: {error}") from error
    if not isinstance(resources, dict):
        raise RuntimeFailure(f"cannot read resources {path}: not an object (LinuxResources of config.json)")
    config.check_resources(resources)
    return _without_zeros(resources)


def _without_zeros(resources: dict[str, Any]) -> dict[str, Any]:
    """Engines send every field of their structs, zero or empty for what shall stay (Docker's update, Podman's)."""
    kept: dict[str, Any] = {}
    for section, value in resources.items():
        if section in ("memory", "cpu", "blockIO") and isinstance(value, dict):
            value = {key: item for key, item in value.items() if item not in (None, 0, "", []) or key == "idle"}
        if value not in (None, {}, []):
            kept[section] = value
    return kept


def merge(own: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(own)
    for key, value in changed.items():
        before = merged.get(key)
        merged[key] = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


COMMANDS: Final = {
    "update": Command(
        update,
        "change the limits of a container",
        options={
            "resources": Option("LinuxResources as JSON, instead of the other options; - for stdin", "FILE", "r"),
            **{name: Option(limit.about, "N") for name, limit in LIMITS.items()},
            **{name: Option("not supported", "SCHEMA") for name in _REFUSED},
        },
        reaches=True,
    )
}
