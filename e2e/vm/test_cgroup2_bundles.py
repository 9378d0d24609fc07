"""Bundles on pure cgroup v2 with a real systemd: limits are in the files, by both drivers, and nothing is left."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.checks import eventually
from e2e.vm.image import VENV
from e2e.vm.machine import Machine, Result

BUNDLE = "/root/bundle"
COMMAND = f"{VENV}/bin/orch-oci"
FILES = {
    "memory.max": str(64 << 20), "memory.swap.max": str(32 << 20), "memory.low": str(16 << 20), "cpu.weight": "59",
    "cpu.max": "50000 100000", "pids.max": "20", "memory.high": str(60 << 20), "cpuset.cpus": "0",
}  # fmt: skip
RESOURCES: dict[str, Any] = {
    "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 16 << 20},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0"},
    "pids": {"limit": 20},
    "unified": {"memory.high": str(60 << 20)},
    "devices": [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": 10, "access": "rwm"},
        {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "r"},
    ],
}


class Bundles:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.sh(f"mkdir -p {BUNDLE}/rootfs && cd {BUNDLE}/rootfs && mkdir -p usr proc sys dev tmp etc")
        machine.sh(f"cd {BUNDLE}/rootfs && ln -sfn usr/bin bin && ln -sfn usr/lib lib && ln -sfn usr/lib64 lib64")
        machine.sh(f"{COMMAND} spec --bundle {BUNDLE}")
        self.config = json.loads(machine.sh(f"cat {BUNDLE}/config.json"))
        usr = {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]}
        self.config["mounts"].append(usr)
        self.config["process"]["args"] = ["sleep", "600"]
        self.config["process"]["terminal"] = False

    def write(self, cgroup: str, resources: dict[str, Any], **more: Any) -> None:
        linux = {**self.config["linux"], "cgroupsPath": cgroup, "resources": resources}
        self.machine.write(f"{BUNDLE}/config.json", json.dumps({**self.config, "linux": linux, **more}))

    def run(self, *words: str, stdin: str = "") -> Result:
        return self.machine.run(shlex.join((COMMAND, *words)), stdin=stdin)

    def up(self, *options: str) -> Result:
        """In the background, its streams nobody's: a container keeps them open."""
        words = shlex.join((COMMAND, *options, "run", "-d", "--bundle", BUNDLE, "c1"))
        return self.machine.run(f"{words} </dev/null >/tmp/out 2>&1; code=$?; cat /tmp/out >&2; exit $code")

    def files(self, cgroup: str) -> dict[str, str]:
        return {name: self.machine.sh(f"cat /sys/fs/cgroup/{cgroup}/{name}").strip() for name in FILES}


@pytest.fixture(scope="module")
def bundles(machine: Machine) -> Bundles:
    return Bundles(machine)


@pytest.fixture(autouse=True)
def deleted(bundles: Bundles) -> Iterator[None]:
    yield
    bundles.run("delete", "--force", "c1")


def test_by_files(bundles: Bundles) -> None:
    bundles.write("/one/two/c1", RESOURCES)
    up = bundles.up()
    assert up.code == 0, up.err
    assert bundles.files("one/two/c1") == FILES
    update = {"memory": {"limit": 32 << 20, "swap": 32 << 20}, "unified": {"memory.high": "max"}}
    assert bundles.run("update", "-r", "-", "c1", stdin=json.dumps(update)).code == 0
    assert bundles.machine.sh("cat /sys/fs/cgroup/one/two/c1/memory.max").strip() == str(32 << 20)
    small = {"memory": {"limit": 4096, "checkBeforeUpdate": True}}
    refused = bundles.run("update", "-r", "-", "c1", stdin=json.dumps(small))
    assert "rejecting memory limit" in refused.err
    stats = json.loads(bundles.run("events", "--stats", "c1").out)["data"]
    assert stats["memory"]["usage"]["limit"] == 32 << 20
    assert stats["cpu"]["usage"]["total"] > 0
    assert "psi" in stats["memory"]
    assert bundles.run("pause", "c1").code == 0
    assert "frozen 1" in bundles.machine.sh("cat /sys/fs/cgroup/one/two/c1/cgroup.events")
    assert bundles.run("resume", "c1").code == 0
    assert bundles.run("delete", "--force", "c1").code == 0
    assert bundles.machine.run("ls -d /sys/fs/cgroup/one").code != 0


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"memory": {"swappiness": 10}}, "/linux/resources/memory/swappiness: cgroup v2 has none"),
        ({"cpu": {"realtimeRuntime": 1000}}, "cgroup v2 has no control of real-time tasks"),
        ({"unified": {"foo.bar": "1"}}, "the requested cgroup controller `foo` is not available"),
        ({"unified": {"memory.nothing": "1"}}, "has no such file"),
        ({"network": {"priorities": [{"name": "a b", "priority": 1}]}}, "no name of a device"),
        ({"memory": {"swap": 1 << 20}}, "unable to set swap limit without memory limit"),
    ],
)
def test_what_v2_cannot_do_is_said(bundles: Bundles, resources: dict[str, Any], words: str) -> None:
    bundles.write("/one/c1", resources)
    told = bundles.up()
    assert told.code != 0
    assert words in told.err
    assert bundles.machine.run("ls -d /sys/fs/cgroup/one").code != 0


def test_what_it_sends_has_its_class(bundles: Bundles) -> None:
    """`network.classID` and `priorities` by nftables: packets have them, and the rules go with the container."""
    network = {"classID": 0x100002, "priorities": [{"name": "lo", "priority": 7}]}
    bundles.write("/net/c1", {"network": network})
    up = bundles.up()
    assert up.code == 0, up.err
    state = json.loads(bundles.run("state", "c1").out)
    listed = bundles.machine.sh(f"nsenter -t {state['pid']} -n nft list ruleset")
    assert 'socket cgroupv2 level 2 "net/c1"' in listed
    counting = "add table inet t; add chain inet t c { type filter hook output priority 9; };"
    counting += "add rule inet t c meta priority 0:7 counter"
    bundles.machine.sh(f"nsenter -t {state['pid']} -n nft '{counting}'")
    send = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))"
    told = bundles.run("exec", "c1", "python3", "-c", send)
    assert told.code == 0, told.err
    counted = bundles.machine.sh(f"nsenter -t {state['pid']} -n nft list table inet t")
    assert "packets 1" in counted
    assert bundles.run("delete", "--force", "c1").code == 0


def test_a_container_may_have_cgroups_of_its_own(bundles: Bundles) -> None:
    """config-linux.md "Cgroup ownership": the owner is the container's user; exec gets in beside its processes."""
    mount = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw", "nosuid"]}
    script = "cd /sys/fs/cgroup && mkdir inner && echo $$ >inner/cgroup.procs && echo +pids >cgroup.subtree_control"
    process = {**bundles.config["process"], "args": ["sh", "-c", f"{script}; exec sleep 600"]}
    bundles.write("/own/c1", {}, mounts=[*bundles.config["mounts"], mount], process=process)
    up = bundles.up()
    assert up.code == 0, up.err
    eventually(lambda: "pids" in bundles.machine.sh("cat /sys/fs/cgroup/own/c1/cgroup.subtree_control"), within=20)
    told = bundles.run("exec", "c1", "cat", "/proc/self/cgroup")
    assert (told.code, told.out) == (0, "0::/inner\n"), told.err


def test_by_systemd(bundles: Bundles) -> None:
    annotations = {"org.systemd.property.TimeoutStopSec": "7"}
    bundles.write("orch-test.slice:oci:c1", RESOURCES, annotations=annotations)
    up = bundles.up("--systemd-cgroup")
    assert up.code == 0, up.err
    path = "orch.slice/orch-test.slice/oci-c1.scope"
    assert bundles.files(path) == FILES
    shown = bundles.machine.sh("systemctl show oci-c1.scope -p MemoryMax -p TasksMax -p CPUWeight -p TimeoutStopUSec")
    assert set(shown.split()) == {f"MemoryMax={64 << 20}", "TasksMax=20", "CPUWeight=59", "TimeoutStopUSec=7s"}
    limit = {"memory": {"limit": 32 << 20, "swap": 32 << 20}, "pids": {"limit": 9}}
    assert bundles.run("update", "-r", "-", "c1", stdin=json.dumps(limit)).code == 0
    bundles.machine.sh("systemctl daemon-reload")
    assert bundles.files(path)["memory.max"] == str(32 << 20)
    assert bundles.run("delete", "--force", "c1").code == 0
    assert bundles.machine.run(f"ls -d /sys/fs/cgroup/{path}").code != 0
    assert "oci-c1.scope" not in bundles.machine.sh("systemctl list-units --all --no-legend")
