"""The machine in one line: numbers without it mean little."""

import os
import platform
import time
from pathlib import Path


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def line() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"Linux {platform.release()}, {len(os.sched_getaffinity(0))} cpus ({cpu_model()}), {memory:.0f} GB, "
        f"cgroup {'v2' if unified else 'v1'}, Python {platform.python_version()}, load {load}, "
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC"
    )
