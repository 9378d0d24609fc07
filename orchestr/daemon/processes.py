"""What runs in a container, read from /proc as `ps -ef` reads it."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def processes(first: int) -> Sequence[dict[str, Any]]:
    """All in the cgroup of a container's first process, and below it; in order of their numbers."""
    found = []
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    for pid in sorted({first, *_beside(first)}):
        with suppress(OSError, ValueError, IndexError):  # it has ended meanwhile
            found.append(_one(pid, booted))
    return found


def _beside(pid: int) -> list[int]:
    """The processes in its cgroup: of version 2, else of the first hierarchy that holds processes one by one."""
    from orchestr.runtime import cgroups  # only for this: the daemon has no other use for it

    with suppress(OSError):
        lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
        lines.sort(key=lambda line: "pids" not in line[1].split(","))
        return cgroups.processes(lines[0][2].lstrip("/")) if lines else []
    return []


def _one(pid: int, booted: float) -> dict[str, Any]:
    stat = Path(f"/proc/{pid}/stat").read_text()
    name, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
    words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    used, begun = (int(fields[11]) + int(fields[12])) / TICKS, booted + int(fields[19]) / TICKS
    return {
        "uid": os.stat(f"/proc/{pid}").st_uid,
        "pid": pid,
        "ppid": int(fields[1]),
        "cpu": round(100 * used / max(time.time() - begun, 0.01)),
        "start": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(begun)),
        "tty": "?" if fields[4] == "0" else f"pts/{int(fields[4]) & 0xFF}",
        "seconds": int(used),
        "command": words or f"[{name}]",
    }
