"""A pure cgroup v2 machine with Linux 6.1: limits are what the files say, devices are filtered, ends are told."""

import pytest

from e2e.checks import eventually
from e2e.vm.machine import Machine
from e2e.vm.stack import Orch, apply_ordered, in_order

DEVICES = """
apiVersion: v1
kind: Pod
metadata: {name: devices}
spec:
  hostUsers: true
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: local/host, command: [sleep, infinity]}]
"""
HOG = """
name: hog
services:
  hog:
    image: local/host
    command: [sh, -c, "echo eating; python3 -Sc 'b = bytearray(200 << 20)'; echo not reached; sleep 600"]
    mem_limit: 40m
    restart: "no"
"""


@pytest.fixture(scope="module")
def orch(machine: Machine) -> Orch:
    orch = Orch(machine)
    orch("system start")
    apply_ordered(orch)
    return orch


def test_the_machine_will_do(machine: Machine) -> None:
    assert machine.sh("uname -r").startswith("6.1.")
    assert machine.sh("stat -fc %T /sys/fs/cgroup").strip() == "cgroup2fs"
    said = Orch(machine)("system check")
    assert "FAILED" not in said
    assert "cgroups: version 2\n" in said


def test_limits_are_in_the_cgroup_files(orch: Orch) -> None:
    here = orch.cgroup("ordered", "db")
    wanted = {
        "cpu.max": "50000 100000", "cpu.weight": "100", "memory.max": str(64 << 20), "memory.swap.max": "0",
        "pids.max": "40", "memory.oom.group": "1",
    }  # fmt: skip
    found = {name: orch.machine.sh(f"cat {here}/{name}").strip() for name in wanted}
    assert found == wanted
    inside = orch("exec -n ordered db -- cat /proc/self/cgroup /sys/fs/cgroup/memory.max")
    assert inside.split() == ["0::/", str(64 << 20)]


def test_names_ports_exec_and_use(orch: Orch) -> None:
    assert in_order(orch)
    assert "Directory listing" in orch.machine.sh(
        "python3 -c \"import urllib.request as r; print(r.urlopen('http://127.0.0.1:8090/').read().decode())\""
    )
    done = orch.run("exec -n ordered web -- sh -c 'echo out; echo err >&2; exit 7'")
    assert (done.code, done.out, done.err) == (7, "out\n", "err\n")
    usage = {line.split()[0].split("-")[0]: line.split() for line in orch("top -n ordered").splitlines()[1:]}
    assert float(usage["db"][2].removesuffix("Mi")) > 1, usage


def test_devices_are_filtered_by_the_kernel(orch: Orch) -> None:
    """In the machine's own user namespace, where mknod(2) itself is allowed: what forbids is the cgroup's program."""
    orch("apply -f - --timeout 3m", stdin=DEVICES)
    orch("exec devices -- sh -c 'mknod /tmp/zero c 1 5 && head -c 1 /tmp/zero'")
    done = orch.run("exec devices -- sh -c 'mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem'")
    assert done.code != 0
    assert "/tmp/mem' for reading: Operation not permitted" in done.err
    orch("delete pod devices --now --yes")


def test_out_of_memory_ends_the_whole_container(orch: Orch) -> None:
    orch("apply -f - -d", stdin=HOG)
    told = "OOMKilled: out of memory (limit 40Mi, peak 40Mi, victim python3 pid"
    eventually(lambda: told in orch.run("status -n hog").out, within=120)
    assert orch("logs -n hog --no-log-prefix") == "eating\n"
    orch("delete -n hog stack/hog --yes")


def test_killed_daemon_and_supervisor(orch: Orch) -> None:
    """The containers stay; an end that this kernel tells nobody but the parent is unknown, and never success."""
    pids = {name: orch.pid("ordered", name) for name in ("db", "web")}
    orch.machine.sh(f"kill -9 {orch.status()['pid']}")
    orch("system start")
    old = orch.status()["supervisorPid"]
    orch.machine.sh(f"kill -9 {old}")
    eventually(lambda: orch.status()["supervisorPid"] not in (None, old), within=60)
    assert pids == {name: orch.pid("ordered", name) for name in ("db", "web")}
    assert orch("exec -n ordered web -- echo still here") == "still here\n"

    orch.machine.sh(f"kill -9 {pids['web']}")
    eventually(lambda: "Linux before 6.15 does not tell" in orch("events -n ordered --warnings"), within=60)
    orch.healed("ordered", "web")
    (status,) = orch.pod("ordered", "web")["status"]["containerStatuses"]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] != 0
