"""events: what a container uses, now and then, and when it runs out of memory; a JSON object a line, in runc's form."""

import os
import select
import time
from typing import Any, Final

from orchestr.runtime import cgroups, lean
from orchestr.runtime.oci import state
from orchestr.runtime.oci.options import Call, Command, Option
from orchestr.runtime.seam import RuntimeFailure

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """Seconds of Go's "1.5s", "100ms", "1m30s"."""
    total, number, unit, rest = 0.0, "", "", text
    while rest:
        number = rest[: next((i for i, c in enumerate(rest) if not (c.isdigit() or c == ".")), len(rest))]
        rest = rest[len(number) :]
        unit = rest[: next((i for i, c in enumerate(rest) if c.isdigit() or c == "."), len(rest))]
        rest = rest[len(unit) :]
        if unit not in _UNITS or not number.strip(".") or number.count(".") > 1:
            break
        total += float(number) * _UNITS[unit]
    else:
        if total > 0:
            return total
    raise RuntimeFailure(f"cannot use --interval {text}: duration must be greater than 0, as in 5s, 100ms, 1m30s")


def events(call: Call) -> int:
    every = duration(call.text("interval", "5s"))
    found = state.load(call.root, call.id)
    if call.flag("stats"):
        if state.status(call.root, found) == "stopped":
            raise RuntimeFailure(f"cannot tell what container {found.id} uses: container not running: it is stopped")
        _say("stats", found.id, cgroups.statistics(state.cgroup(found)))
        return 0
    fd = state.open_process(found)
    if fd < 0:
        raise RuntimeFailure(f"cannot watch container {found.id}: container not running: it is stopped")
    try:
        _watch(found, fd, every)
    finally:
        os.close(fd)
    return 0


def _watch(found: state.State, pidfd: int, every: float) -> None:
    """Until the container's process has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    oom = cgroups.oom_fd(state.cgroup(found))
    if oom >= 0:
        poll.register(oom, select.POLLIN | select.POLLPRI)
    kills, due = cgroups.oom(found.cgroup).kills, time.monotonic() + every
    while True:
        ready = dict(poll.poll(max(0.0, due - time.monotonic()) * 1000))
        if oom in ready:
            _take(oom)
            kills, before = cgroups.oom(found.cgroup).kills, kills
            if kills > before:
                _say("oom", found.id)
        if pidfd in ready:
            return
        if time.monotonic() >= due:
            due += every
            try:
                _say("stats", found.id, cgroups.statistics(found.cgroup))
            except (OSError, RuntimeFailure):
                return  # the cgroup is gone: the container is being deleted


def _take(oom: int) -> None:
    """So that the next one is told: an eventfd is read (v1), a file is read again from its beginning (v2)."""
    try:
        os.pread(oom, 4096, 0)
    except OSError:
        os.read(oom, 8)


def _say(kind: str, id: str, data: dict[str, Any] | None = None) -> None:
    print(lean.dumps({"type": kind, "id": id, **({"data": data} if data is not None else {})}), flush=True)


COMMANDS: Final = {
    "events": Command(
        events,
        "print what a container uses, and when it runs out of memory, until it ends",
        options={
            "interval": Option("how often (default: 5s)", "DURATION"),
            "stats": Option("print once what it uses, and end"),
        },
        reaches=True,
    )
}
