"""cgroups of bundles on this machine's kernel: limits are in the files of its controllers, and nothing stays behind."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.runtime.bundles import Bundle, Oci
from orchestr.runtime import cgroups
from orchestr.runtime.cgroups.layout import layout

SLEEP = ("sleep", "60")


def file(bundle: Bundle, controller: str, v1: str, v2: str) -> str:
    """A file of the container's cgroup; "" where the machine has no such controller."""
    found = layout()
    version = found.controller(controller)
    if not version:
        pytest.skip(f"there is no controller {controller}")
    return (Path(found.path(controller, bundle.cgroup)) / (v1 if version == 1 else v2)).read_text().strip()


def resources(given: dict[str, Any]) -> dict[str, Any]:
    return {"linux": {"resources": given}}


def test_limits_are_in_the_files(oci: Oci) -> None:
    """config-linux.md "Control groups": "You can configure a container's cgroups via the `resources` field"."""
    bundle = oci.bundle(*SLEEP)
    bundle.config(
        resources(
            {
                "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20},
                "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
                "pids": {"limit": 7},
            }
        )
    ).up()
    assert file(bundle, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    swap = (32 if layout().controller("memory") == 2 else 96) << 20
    assert file(bundle, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max") == str(swap)
    assert file(bundle, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)
    assert file(bundle, "cpu", "cpu.cfs_quota_us", "cpu.max") in ("50000", "50000 100000")
    assert file(bundle, "cpu", "cpu.shares", "cpu.weight") in ("512", "59")
    assert (file(bundle, "cpuset", "cpuset.cpus", "cpuset.cpus"), file(bundle, "pids", "pids.max", "pids.max")) == (
        "0",
        "7",
    )


def test_every_hierarchy_is_joined(oci: Oci) -> None:
    """config-linux.md "Cgroups Path": the container is at the same place of each hierarchy."""
    bundle = oci.bundle(*SLEEP).up()
    lines = [line.split(":", 2) for line in Path(f"/proc/{bundle.pid}/cgroup").read_text().splitlines()]
    found = layout()
    for _, names, path in lines:
        if any(name in found.v1 for name in names.split(",")) or (not names and found.v2):
            assert path == f"/{bundle.cgroup}", names


def test_made_parents_go_and_others_stay(oci: Oci) -> None:
    bundle = oci.bundle(*SLEEP)
    kept = f"e2e-{os.getpid()}"
    bases = [Path(base) / kept for base in dict.fromkeys((*layout().v1.values(), layout().v2)) if base]
    for base in bases:
        base.mkdir()
    try:
        bundle.config({"linux": {"cgroupsPath": f"/{kept}/a/b"}}).up()
        bundle.delete("--force")
        assert not list(cgroups.directories(f"{kept}/a"))
        assert all(base.is_dir() for base in bases)
    finally:
        for base in bases:
            base.rmdir()


def test_a_cgroup_in_use_is_refused_and_left_alone(oci: Oci) -> None:
    """config-linux.md: "a runtime ... MUST generate an error if such a check fails. For example ... non-empty"."""
    first, second = oci.bundle(*SLEEP), oci.bundle(*SLEEP)
    first.up()
    second.config({"linux": {"cgroupsPath": f"/{first.cgroup}"}})
    told = second.create(code=1)
    assert "container's cgroup is not empty" in told.err
    assert Path(f"/proc/{first.pid}/comm").read_text() in ("sleep\n", "busybox\n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cpu": {"shares": 1}}, "/linux/resources/cpu/shares"),
        ({"cpu": {"period": 100}}, "/linux/resources/cpu/period"),
        ({"cpu": {"cpus": "4095"}}, "/linux/resources/cpu/cpus"),
        ({"memory": {"swappiness": 101}}, "/linux/resources/memory/swappiness"),
        ({"memory": {"limit": 1 << 22, "swap": 1 << 21}}, "/linux/resources/memory/"),
        ({"hugepageLimits": [{"pageSize": "3MB", "limit": 1}]}, "/linux/resources/hugepageLimits"),
        ({"unified": {"nothing": "1"}}, "has not the form CONTROLLER.VALUE `nothing`"),
        ({"unified": {"no.such": "1"}}, "cgroup controller `no` is not available"),
        ({"rdma": {"mlx5_9": {"hcaHandles": 1}}}, "/linux/resources/rdma/mlx5_9"),
    ],
)
def test_what_cannot_be_set_is_named(oci: Oci, given: dict[str, Any], words: str) -> None:
    bundle = oci.bundle(*SLEEP).config(resources(given))
    told = bundle.create(code=1)
    assert words in told.err
    assert len(told.err.strip().splitlines()) == 1
    assert not list(cgroups.directories(bundle.cgroup))


def test_update_changes_what_it_names(oci: Oci, tmp_path: Path) -> None:
    bundle = oci.bundle(*SLEEP).config(resources({"memory": {"limit": 64 << 20, "swap": 64 << 20}})).up()
    for limit in (128, 32):  # above the old memory+swap, and below
        change = tmp_path / "change.json"
        change.write_text(json.dumps({"memory": {"limit": limit << 20, "swap": limit << 20}, "pids": {"limit": -1}}))
        oci("update", "--resources", str(change), bundle.id)
        assert file(bundle, "memory", "memory.limit_in_bytes", "memory.max") == str(limit << 20)
        assert file(bundle, "pids", "pids.max", "pids.max") == "max"


DEVICES = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "major": 10, "access": "rwm"},
    {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "r"},
]


def test_device_rules_hold_in_their_order_and_can_be_replaced(oci: Oci, tmp_path: Path) -> None:
    """config-linux.md "Allowed Device list": "The runtime MUST apply entries in the listed order"."""
    if not layout().v2 or not Path("/dev/fuse").exists():
        pytest.skip("v1 alone cannot take one device out of a range")
    bundle = oci.bundle(*SLEEP).config(resources({"devices": DEVICES}))
    bundle.config({"linux": {"devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]}}).up()
    read = ("exec", bundle.id, "sh", "-c")
    oci(*read, "head -c 1 /dev/urandom >/dev/null && : >/dev/fuse")
    assert "not permitted" in oci(*read, ": </dev/fuse", code=1).err
    change = tmp_path / "change.json"
    for rules, code in ((DEVICES[:2], 0), (DEVICES, 1)):  # looser, which a second program beside the first cannot be
        change.write_text(json.dumps({"devices": rules}))
        oci("update", "--resources", str(change), bundle.id)
        oci(*read, ": </dev/fuse", code=code)


def test_a_frozen_container_stands_still_and_can_be_killed(oci: Oci) -> None:
    bundle = oci.bundle("sh", "-c", "while :; do :; done").up()
    oci("pause", bundle.id)

    def used() -> int:
        return cgroups.stats(bundle.cgroup).cpu_ns

    time.sleep(0.05)  # its last time slice is still being counted
    before = used()
    time.sleep(0.1)
    assert used() == before
    bundle.delete("--force")


def test_statistics_have_runcs_shape(oci: Oci) -> None:
    bundle = oci.bundle("sh", "-c", "dd if=/dev/zero of=/dev/null bs=1M count=200; exec sleep 60").up()
    told = json.loads(oci("events", "--stats", bundle.id).out)
    assert (told["type"], told["id"]) == ("stats", bundle.id)
    data = told["data"]
    assert data["cpu"]["usage"]["total"] > 0
    assert data["memory"]["usage"]["usage"] > 0
    assert data["pids"]["current"] >= 1
    assert {"blkio", "hugetlb", "cpuset", "intel_rdt"} <= set(data)


@pytest.fixture
def device() -> Iterator[str]:
    """major:minor of a whole disk."""
    for path in sorted(Path("/sys/block").iterdir()):
        yield (path / "dev").read_text().strip()
        return
    pytest.skip("there is no block device")


def test_throttles_of_a_device(oci: Oci, device: str) -> None:
    major, minor = map(int, device.split(":"))
    item = {"major": major, "minor": minor, "rate": 1 << 20}
    bundle = oci.bundle(*SLEEP)
    keys = ("throttleReadBpsDevice", "throttleWriteBpsDevice", "throttleReadIOPSDevice", "throttleWriteIOPSDevice")
    bundle.config(resources({"blockIO": {key: [item] for key in keys}})).up()
    if layout().controller("io") == 2:
        text = (Path(layout().path("io", bundle.cgroup)) / "io.max").read_text()
        assert text == f"{device} rbps=1048576 wbps=1048576 riops=1048576 wiops=1048576\n"
    else:
        at = Path(layout().path("blkio", bundle.cgroup))
        names = ("read_bps", "write_bps", "read_iops", "write_iops")
        assert {(at / f"blkio.throttle.{name}_device").read_text() for name in names} == {f"{device} 1048576\n"}
