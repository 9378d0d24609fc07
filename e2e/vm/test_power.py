"""A machine with systemd that restarts, loses its power, fills its disk."""

import pytest

from e2e.checks import eventually
from e2e.vm.machine import Machine
from e2e.vm.stack import Orch, apply_ordered, in_order

GOING_DOWN = 60.0  # seconds: under systemd's 90, which a container that ignores SIGTERM would cost
WRITER = """
import http.client, json, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/orch/orch.sock")
connection, number = Unix("localhost"), 0
while True:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"n{number}"}, "data": {"k": "v" * 200}}
    connection.request("POST", "/api/v1/namespaces/default/configmaps", json.dumps(body),
                       {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 201, answer.status
    print(f"n{number}", flush=True)
    number += 1
"""
FILL = """
import json, sys
listed = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"big{number}", "namespace": "default"},
           "data": {"k": "v" * 500_000}} for number in range(int(sys.argv[1]), int(sys.argv[2]))]
json.dump({"apiVersion": "v1", "kind": "List", "items": listed}, sys.stdout)
"""


@pytest.fixture(scope="module")
def orch(machine: Machine) -> Orch:
    """As a unit, with the ordered stack."""
    orch = Orch(machine)
    orch("system start")
    orch("system install")
    apply_ordered(orch)
    return orch


def test_unit(orch: Orch) -> None:
    """Stop and restart of the unit leave containers; `system stop` stays stopped, `system start` starts the unit."""
    machine = orch.machine
    pids = {name: orch.pid("ordered", name) for name in ("db", "web")}
    machine.sh("systemctl restart orch && systemctl is-active orch")  # Type=notify: active means ready
    assert int(machine.sh("systemctl show --property=MainPID --value orch")) == orch.status()["pid"]
    machine.sh("systemctl stop orch")
    for pid in pids.values():
        machine.sh(f"kill -0 {pid}")
    machine.sh("systemctl start orch")
    orch("system stop")
    assert machine.run("systemctl is-active orch").out == "inactive\n"
    orch("system start")
    assert machine.run("systemctl is-active orch").out == "active\n"
    machine.sh(f"kill -9 {orch.status()['pid']}")
    eventually(lambda: orch.run("system status").code == 0, within=120)
    assert pids == {name: orch.pid("ordered", name) for name in ("db", "web")}


def test_reboot(orch: Orch) -> None:
    """Containers end in order and with grace, the machine waits for nobody, and all comes back in order."""
    machine = orch.machine
    took = machine.reboot()
    eventually(lambda: orch.run("system status").code == 0, within=240)
    orch.healed("ordered", "db", "web")
    assert in_order(orch)
    assert orch.status()["quarantined"] == 0
    print(f"down and up in {took:.0f} s")
    journal = machine.sh("journalctl --boot -1 --no-pager --output short-unix")
    began, ended = (_when(journal, words) for words in ("Stopping orch.service", "Journal stopped"))
    assert ended - began < GOING_DOWN
    assert "containers=ended" in journal


def _when(journal: str, words: str) -> float:
    return float([line for line in journal.splitlines() if words in line][-1].split()[0])


def test_power_cut(orch: Orch) -> None:
    """Every object that was acknowledged is there; nothing is quarantined; containers come back in order."""
    machine = orch.machine
    machine.write("/root/writer.py", WRITER)
    writer = machine.ask("exec python3 -S /root/writer.py", timeout=600)
    acknowledged = []
    for name in writer.lines():
        acknowledged.append(name)
        if len(acknowledged) == 300:
            machine.kill()
    machine.cut()
    assert len(acknowledged) >= 300
    print(f"booted in {machine.start():.0f} s after {len(acknowledged)} acknowledged writes")
    eventually(lambda: orch.run("system status").code == 0, within=240)
    there = set(orch("get configmaps -n default -o name").split())
    lost = [name for name in acknowledged if f"configmap/{name}" not in there]
    assert not lost, f"{len(lost)} of {len(acknowledged)}: {lost[:10]}"
    assert orch.status()["quarantined"] == 0
    orch.healed("ordered", "db", "web")
    assert in_order(orch)


def test_disk_full(machine: Machine) -> None:
    """Writes say so, reads and deletes go on, and when there is room again so do writes."""
    machine.sh("truncate -s 32M /full.img && mkfs.ext4 -q -m 0 /full.img && mkdir -p /var/lib/orch-full")
    machine.sh("mount -o loop /full.img /var/lib/orch-full && fallocate -l 8M /var/lib/orch-full/filler")
    machine.write("/root/fill.py", FILL)
    orch = Orch(machine, "full")
    orch("system start")
    said = ""
    for number in range(0, 200, 6):
        done = machine.run(f"python3 -S /root/fill.py {number} {number + 6} | orch --instance full apply -f - -d")
        if done.code:
            said = done.err
            break
    assert "full" in said or "space" in said, said
    before = set(orch("get configmaps -n default -o name").split())
    assert "configmap/big0" in before
    orch("delete configmap big0 big1 big2 big3 --yes")
    assert before - set(orch("get configmaps -n default -o name").split()) == {
        f"configmap/big{number}" for number in range(4)
    }
    machine.sh("rm /var/lib/orch-full/filler && python3 -S /root/fill.py 500 501 | orch --instance full apply -f - -d")
    assert orch.status()["quarantined"] == 0
    orch("system stop --all")
    machine.sh("umount /var/lib/orch-full && rm -rf /full.img /var/lib/orch-full")


def test_stop_all_leaves_nothing(orch: Orch) -> None:
    machine = orch.machine
    orch("system uninstall")
    orch("system stop --all --purge")
    left = machine.sh(
        "nft list tables | grep -w orch; ls -d /sys/fs/cgroup/orch /sys/class/net/orch0 /run/orch /var/lib/orch "
        "/sys/class/net/veth* 2> /dev/null; grep orch /proc/self/mounts; "
        "for pid in $(ls /proc | grep -x '[0-9]*'); do "
        "tr '\\0' ' ' < /proc/$pid/cmdline 2> /dev/null | grep '[m] orchestr'; done; true"
    )
    assert left == ""
