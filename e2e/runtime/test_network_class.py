"""`linux.resources.network` where the machine has no net_cls and net_prio: by nftables, on the packets themselves."""

import re
import subprocess

import pytest

from e2e.runtime.bundles import Bundle, Oci
from orchestr.runtime.cgroups import layout

HOST = ("pid", "ipc", "uts", "mount", "cgroup")


@pytest.fixture(autouse=True)
def _by_nftables() -> None:
    if not layout().v2 or {"net_cls", "net_prio"} & layout().v1.keys():
        pytest.skip("there is no cgroup v2, or the controllers of v1")


def nft(bundle: Bundle, text: str) -> str:
    """In the container's network namespace."""
    words = ("nsenter", "-t", str(bundle.pid), "-n", "nft", text)
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def tables() -> set[str]:
    listed = subprocess.run(("nft", "list", "tables"), check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"orch_class_\w+", listed))


def sent(bundle: Bundle, priority: str) -> int:
    """How many packets of that priority leave when the container sends one."""
    chain = "{ type filter hook output priority 9; }"
    nft(bundle, f"add table inet t; add chain inet t c {chain}; add rule inet t c meta priority {priority} counter")
    bundle.exec("sh", "-c", "nc -w1 127.0.0.1 9", code=None)
    found = re.search(r"packets (\d+)", nft(bundle, "list table inet t"))
    nft(bundle, "delete table inet t")
    assert found
    return int(found[1])


def test_packets_have_the_class(oci: Oci) -> None:
    """ "`classID` is the network class identifier the cgroup's network packets will be tagged with"."""
    bundle = oci.bundle().config({"linux": {"resources": {"network": {"classID": 0x100002}}}}).up()
    assert sent(bundle, "10:2") >= 1
    oci("update", "-r", "-", bundle.id, stdin='{"network": {"classID": 1048579}}')
    assert sent(bundle, "10:3") >= 1


def test_packets_have_the_priority_of_the_device(oci: Oci) -> None:
    priorities = [{"name": "eth7", "priority": 3}, {"name": "lo", "priority": 7}]
    bundle = oci.bundle().config({"linux": {"resources": {"network": {"priorities": priorities}}}}).up()
    assert sent(bundle, "0:7") >= 1


def test_a_name_that_is_none_is_refused(oci: Oci) -> None:
    priorities = [{"name": 'x" drop', "priority": 3}]
    told = oci.bundle().config({"linux": {"resources": {"network": {"priorities": priorities}}}}).create(code=1)
    assert "no name of a device" in told.err


def test_nothing_stays_in_the_namespace_of_others(oci: Oci) -> None:
    """In the machine's namespace the table is there as long as the container; a launch that fails leaves none."""
    before = tables()
    bundle = oci.bundle()
    kinds = [{"type": kind} for kind in HOST]
    network = {"classID": 0x100002}
    bundle.config(lambda data: data["linux"].update(namespaces=kinds, resources={"network": network})).up()
    assert len(tables() - before) == 1
    bundle.delete("--force")
    assert tables() == before
    bundle.config({"hooks": {"createRuntime": [{"path": "/bin/false"}]}}).create(code=1)
    assert tables() == before
