"""Classes of what a container sends as rules of nftables."""

from collections.abc import Iterator

import pytest

from orchestr.runtime import cgroups, netclass
from orchestr.runtime.seam import RuntimeFailure


@pytest.fixture(autouse=True)
def _unified() -> Iterator[None]:
    before = cgroups.layout()
    cgroups.use(cgroups.Layout("/sys/fs/cgroup", frozenset({"cpu"}), {}))
    yield
    cgroups.use(before)


def test_class_and_priorities_are_rules_for_the_cgroup_alone() -> None:
    network = {"classID": 0x100002, "priorities": [{"name": "eth0", "priority": 500}]}
    text = netclass.rules("a/b", "/sys/fs/cgroup", network)
    assert 'socket cgroupv2 level 2 "a/b" meta priority set 10:2\n' in text
    assert 'socket cgroupv2 level 2 "a/b" oifname "eth0" meta priority set 0:1f4\n' in text
    assert netclass.rules("b", "/sys/fs/cgroup/unified", network).count('level 1 "unified/b"') == 2


@pytest.mark.parametrize("name", ['a" drop', "", "x" * 16, "a\nb", "eth*", "\u00e9"])
def test_a_name_cannot_become_a_rule(name: str) -> None:
    with pytest.raises(RuntimeFailure, match="no name of a device"):
        netclass.rules("a", "/sys/fs/cgroup", {"priorities": [{"name": name, "priority": 1}]})


def test_controllers_that_are_there_are_used() -> None:
    resources = {"network": {"classID": 5, "priorities": [{"name": "lo", "priority": 1}]}, "pids": {"limit": 4}}
    assert netclass.left(resources) == {"network": {}, "pids": {"limit": 4}}
    assert netclass.wanted(resources)
    cgroups.use(cgroups.Layout("/sys/fs/cgroup/unified", frozenset(), {"net_cls": "/x", "net_prio": "/y"}))
    assert netclass.left(resources) == resources
    assert not netclass.wanted(resources)
