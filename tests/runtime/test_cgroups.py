"""What is written where, on fake trees of each kind; the kernel's answer is e2e's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestr.runtime import cgroups
from orchestr.runtime.cgroups import cpu
from orchestr.runtime.cgroups.layout import Layout, read
from orchestr.runtime.seam import RuntimeFailure, Stats

RESOURCES = {
    "cpu": {"shares": 1024, "quota": 50000, "period": 100000},
    "memory": {"limit": 1 << 20, "swap": 3 << 20},
    "pids": {"limit": 7},
}
V2 = (
    "cpu.weight",
    "cpu.max",
    "memory.max",
    "memory.swap.max",
    "memory.oom.group",
    "pids.max",
    "cgroup.subtree_control",
)
V1 = {
    "cpu": ("cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us"),
    "cpuacct": ("cpuacct.usage",),
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    "pids": ("pids.max",),
    "freezer": ("freezer.state",),
    "devices": ("devices.allow", "devices.deny"),
}


def tree(base: Path, files: tuple[str, ...]) -> None:
    for directory in (base, base / "orch", base / "orch/pod", base / "orch/pod/c1"):
        directory.mkdir(parents=True, exist_ok=True)
        for name in files:
            (directory / name).write_text("")


@pytest.fixture
def unified(tmp_path: Path) -> Iterator[Path]:
    tree(tmp_path, V2)
    cgroups.use(Layout(str(tmp_path), frozenset({"cpu", "cpuset", "io", "memory", "pids"}), {}))
    yield tmp_path
    cgroups.use(None)


@pytest.fixture
def legacy(tmp_path: Path) -> Iterator[Path]:
    for name, files in V1.items():
        tree(tmp_path / name, files)
    cgroups.use(Layout("", frozenset(), {name: str(tmp_path / name) for name in V1}))
    yield tmp_path
    cgroups.use(None)


def test_limits_on_v2(unified: Path) -> None:
    cgroups.create("orch/pod/c1", RESOURCES)
    written = {name: (unified / "orch/pod/c1" / name).read_text() for name in V2}
    assert written == {
        "cpu.weight": "100",
        "cpu.max": "50000 100000",
        "memory.max": str(1 << 20),
        "memory.swap.max": str(2 << 20),
        "memory.oom.group": "1",
        "pids.max": "7",
        "cgroup.subtree_control": "",
    }
    assert (unified / "orch/pod/cgroup.subtree_control").read_text() == "+cpu +cpuset +io +memory +pids"


def test_limits_on_v1(legacy: Path) -> None:
    cgroups.create("orch/pod/c1", RESOURCES)
    written = {
        name: (legacy / name.split(".")[0] / "orch/pod/c1" / name).read_text()
        for names in V1.values()
        for name in names
    }
    assert written["cpu.shares"] == "1024"
    assert (written["cpu.cfs_quota_us"], written["cpu.cfs_period_us"]) == ("50000", "100000")
    assert (written["memory.limit_in_bytes"], written["memory.memsw.limit_in_bytes"]) == (str(1 << 20), str(3 << 20))
    assert written["pids.max"] == "7"


def test_statistics_of_both_versions_read_alike(unified: Path) -> None:
    at = unified / "orch/pod/c1"
    for name, text in (
        ("cpu.stat", "usage_usec 1500\nuser_usec 1\n"),
        ("memory.current", "9000\n"),
        ("memory.stat", "anon 1\ninactive_file 2000\n"),
        ("memory.peak", "9500\n"),
        ("pids.current", "3\n"),
    ):
        (at / name).write_text(text)
    assert cgroups.stats("orch/pod/c1") == Stats(1_500_000, 7000, 9500, 3)


def test_an_out_of_memory_kill_is_counted(unified: Path) -> None:
    at = unified / "orch/pod/c1"
    (at / "memory.events").write_text("low 0\noom 1\noom_kill 2\n")
    (at / "memory.max").write_text("max\n")
    assert cgroups.oom("orch/pod/c1") == (2, None, None)


@pytest.mark.parametrize("path", ["/orch", "", "orch/../.."])
def test_a_cgroup_is_below_the_root(path: str) -> None:
    with pytest.raises(RuntimeFailure, match="cannot use cgroup"):
        cgroups.create(path, {})


def test_statistics_of_what_is_gone(unified: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cgroups.stats("orch/pod/other")


def test_a_hybrid_machine_is_recognised() -> None:
    mounts = (
        "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n"
        "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    )
    found = read(mounts, "hugetlb\n")
    assert found.v2 == "/sys/fs/cgroup/unified"
    assert found.v2_controllers == {"hugetlb"}
    assert not found.pure
    assert found.v1 == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
        "name=systemd": "/sys/fs/cgroup/systemd",
    }


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 100), (262144, 10000), (0, 1), (10**9, 10000)])
def test_shares_as_weight(shares: int, weight: int) -> None:
    assert cpu.weight(shares) == weight
