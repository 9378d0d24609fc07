"""cgroups of pods and containers, v1 and v2 alike. A cgroup is named by its path below each hierarchy's root.

Limits are OCI LinuxResources (runtime-spec config-linux.md "Control groups"); what is written where is decided in the
file of each controller, as settings. Creating and removing is idempotent.
"""

from typing import Any

from orchestr.runtime.cgroups.freezer import freeze, frozen, kill_all, thaw
from orchestr.runtime.cgroups.layout import Layout, layout, use
from orchestr.runtime.cgroups.making import create
from orchestr.runtime.cgroups.memory import Oom
from orchestr.runtime.cgroups.placing import place_of, placed, remove, update
from orchestr.runtime.cgroups.tree import (
    Entrance,
    add,
    directories,
    directory_v2,
    entrance,
    mounts,
    path_of,
    places,
    processes,
)
from orchestr.runtime.cgroups.usage import oom, oom_fd, stats

__all__ = [
    "Entrance",
    "Layout",
    "Oom",
    "add",
    "create",
    "directories",
    "directory_v2",
    "entrance",
    "freeze",
    "frozen",
    "kill_all",
    "layout",
    "mounts",
    "oom",
    "oom_fd",
    "path_of",
    "place_of",
    "placed",
    "places",
    "processes",
    "remove",
    "statistics",
    "stats",
    "thaw",
    "update",
    "use",
]


def statistics(path: str) -> dict[str, Any]:
    """`data` of `events --stats`, as runc's types/events.go has it."""
    from orchestr.runtime.cgroups import report

    return report.statistics(path)
