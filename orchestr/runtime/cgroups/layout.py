"""Where the machine's cgroup hierarchies are: one unified (v2), one per controller (v1), or both (hybrid).

On a hybrid machine the unified tree holds few controllers or none, yet a container gets a directory there too: it can
be born in it (CLONE_INTO_CGROUP), killed as one (cgroup.kill), frozen, and have its devices filtered; v1 then serves
limits alone.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

SYSTEMD: Final = "name=systemd"  # systemd's own v1 hierarchy, without a controller: runc and crun join it too
V1_CONTROLLERS: Final = (
    *("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "perf_event"),
    *("net_cls", "net_prio", "rdma", "misc", SYSTEMD),
)
ROOT: Final = "/sys/fs/cgroup"


class Layout(NamedTuple):
    v2: str  # mount point of the unified tree, "" when there is none
    v2_controllers: frozenset[str]
    v1: Mapping[str, str]  # controller: mount point; several may share one

    @property
    def pure(self) -> bool:
        """Nothing but v2."""
        return bool(self.v2_controllers) and not self.v1.keys() - {SYSTEMD}

    def controller(self, name: str) -> int:
        """2 or 1: the version that has this controller; 0 for none."""
        return 2 if name in self.v2_controllers else 1 if name in self.v1 else 0

    def path(self, controller: str, cgroup: str) -> str:
        """The cgroup's directory in the hierarchy that has the controller; KeyError when none has."""
        base = self.v2 if controller in self.v2_controllers else self.v1[controller]
        return f"{base}/{cgroup}"


def read(mounts: str, controllers: str) -> Layout:
    """From the text of /proc/self/mounts and of the unified tree's cgroup.controllers. Pure.

    A hierarchy may be mounted more than once (a chroot's tree): the one where it belongs wins, then the first.
    """
    v1: dict[str, str] = {}
    for line in mounts.splitlines():
        _, path, fstype, options, *_ = line.split(" ")
        if fstype == "cgroup":
            for name in options.split(","):
                if name in V1_CONTROLLERS and (name not in v1 or _at_home(path) > _at_home(v1[name])):
                    v1[name] = path
    return Layout(unified(mounts), frozenset(controllers.split()), v1)


def _at_home(path: str) -> bool:
    return path.startswith(f"{ROOT}/")


def unified(mounts: str) -> str:
    """Mount point of the cgroup2 filesystem, "" when none is mounted."""
    fields = (line.split(" ") for line in mounts.splitlines())
    found = [field[1] for field in fields if field[2] == "cgroup2"]
    return next((path for path in found if path == ROOT or _at_home(path)), found[0] if found else "")


def detect() -> Layout:
    with open("/proc/self/mounts") as file:
        mounts = file.read()
    base = unified(mounts)
    controllers = ""
    if base:
        with open(f"{base}/cgroup.controllers") as file:
            controllers = file.read()
    return read(mounts, controllers)


_layout: Layout | None = None


def layout() -> Layout:
    """Of this machine, found once."""
    global _layout
    if _layout is None:
        _layout = detect()
    return _layout


def use(other: Layout | None) -> None:
    """Another tree than the machine's; None goes back."""
    global _layout
    _layout = other
