"""Where the machine's cgroup hierarchies are: one unified (v2), one per controller (v1), or both (hybrid).

On a hybrid machine the unified tree holds no controller, yet a container gets a directory there too: it can be born in
it (CLONE_INTO_CGROUP), killed as one (cgroup.kill), frozen, and have its devices filtered; v1 then serves limits alone.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

V1_CONTROLLERS: Final = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb")


class Layout(NamedTuple):
    v2: str  # mount point of the unified tree, "" when there is none
    v2_controllers: frozenset[str]
    v1: Mapping[str, str]  # controller: mount point; several may share one

    def controller(self, name: str) -> int:
        """2 or 1: the version that has this controller; 0 for none."""
        return 2 if name in self.v2_controllers else 1 if name in self.v1 else 0

    def path(self, controller: str, cgroup: str) -> str:
        """The cgroup's directory in the hierarchy that has the controller; KeyError when none has."""
        base = self.v2 if controller in self.v2_controllers else self.v1[controller]
        return f"{base}/{cgroup}"


def read(mounts: str, controllers: str) -> Layout:
    """From the text of /proc/self/mounts and of the unified tree's cgroup.controllers. Pure."""
    v1: dict[str, str] = {}
    for line in mounts.splitlines():
        _, path, fstype, options, *_ = line.split(" ")
        if fstype == "cgroup":
            v1.update((name, path) for name in options.split(",") if name in V1_CONTROLLERS)
    return Layout(unified(mounts), frozenset(controllers.split()) - {"hugetlb"}, v1)


def unified(mounts: str) -> str:
    """Mount point of the cgroup2 filesystem, "" when none is mounted."""
    fields = (line.split(" ") for line in mounts.splitlines())
    return next((field[1] for field in fields if field[2] == "cgroup2"), "")


def detect() -> Layout:
    with open("/proc/self/mounts") as file:
        mounts = file.read()
    base = unified(mounts)
    controllers = ""
    if base:
        with open(f"{base}/cgroup.controllers") as file:
            controllers = file.read()
    return read(mounts, controllers)
