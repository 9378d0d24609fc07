"""What a cgroup uses, for `stats`; and its end out of memory, told as it happens."""

import errno
import os

from orchestr.runtime.cgroups import cpu, files, io, memory, pids, tree
from orchestr.runtime.cgroups.layout import layout
from orchestr.runtime.cgroups.memory import Oom
from orchestr.runtime.seam import RuntimeFailure, Stats


def stats(path: str) -> Stats:
    """FileNotFoundError when the cgroup is gone."""
    found = layout()
    if next(tree.directories(path), None) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    used, peak = 0, memory.Oom(0, None, None)
    working = tasks = 0
    if found.controller("memory"):
        at = found.path("memory", path)
        is_v2 = found.controller("memory") == 2
        working = memory.working_set_v2(at) if is_v2 else memory.working_set_v1(at)
        peak = memory.oom_v2(at) if is_v2 else memory.oom_v1(at)
    if found.controller("cpu") == 2:
        used = cpu.used_v2(found.path("cpu", path))
    elif found.controller("cpuacct"):
        used = cpu.used_v1(found.path("cpuacct", path))
    if found.controller("pids"):
        tasks = pids.current(found.path("pids", path))
    periods, throttled, waited = cpu.throttled(found.path("cpu", path)) if found.controller("cpu") else (0, 0, 0)
    moved = io.Moved(0, 0)
    if found.controller("io"):
        moved = io.moved_v2(found.path("io", path))
    elif found.controller("blkio"):
        moved = io.moved_v1(found.path("blkio", path))
    return Stats(used, working, peak.peak or 0, tasks, *moved, periods, throttled, waited)


def oom(path: str) -> Oom:
    """Out-of-memory kills so far, with limit and peak; (0, None, None) without the memory controller."""
    found = layout()
    if not found.controller("memory"):
        return Oom(0, None, None)
    at = found.path("memory", path)
    return memory.oom_v2(at) if found.controller("memory") == 2 else memory.oom_v1(at)


def oom_fd(path: str) -> int:
    """A descriptor to poll; after it fires ask `oom`. The caller closes it.

    v1: an eventfd (POLLIN, read 8 bytes), which fires on removal too. v2: memory.events (POLLPRI, read again from 0).
    -1 without the memory controller.
    """
    found = layout()
    if not found.controller("memory"):
        return -1
    at = found.path("memory", path)
    if found.controller("memory") == 2:
        return os.open(f"{at}/memory.events", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    control = os.open(f"{at}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
    try:
        files.must_write(f"{at}/cgroup.event_control", f"{event} {control}")
    except RuntimeFailure:
        os.close(event)
        raise
    finally:
        os.close(control)
    return event
