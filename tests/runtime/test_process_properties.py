"""What process, mappings and devices come to as data, without root."""

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.runtime import capabilities, idmap, scheduler
from orchestr.runtime.oci import namespaces, netdevices
from orchestr.runtime.seam import RuntimeFailure


def test_capabilities_that_cannot_be_granted_are_left_out_and_named() -> None:
    sets = {"permitted": ["CAP_CHOWN", "CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_CHOWN", "CAP_KILL"]}
    kept, lacking, unraised = capabilities.grantable(sets, {"CAP_CHOWN"})
    assert kept == {"permitted": ["CAP_CHOWN"], "inheritable": [], "ambient": []}
    assert (lacking, unraised) == (["CAP_KILL"], ["CAP_CHOWN"])
    assert capabilities.grantable(sets, None)[0]["ambient"] == ["CAP_KILL"]


def test_struct_sched_attr_is_the_kernels() -> None:
    """linux/sched/types.h: size, policy, flags, nice, priority, runtime, deadline, period."""
    data = scheduler.attributes({"policy": "SCHED_OTHER", "nice": -5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]})
    assert struct.unpack("IIQiIQQQ", data) == (48, 0, 1, -5, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"deadline": 10**7}, "/process/scheduler/runtime for sched_setattr: `SCHED_DEADLINE` requires `runtime`"),
        ({"runtime": 10**7}, "requires `deadline`"),
        ({"runtime": 0, "deadline": 10**7}, "runtime must be greater than 0"),
        ({"runtime": 3000, "deadline": 2000}, "runtime (3000) must be <= deadline (2000)"),
        ({"runtime": 2000, "deadline": 4000, "period": 3000}, "deadline (4000) must be <= period (3000)"),
        ({"runtime": 1023, "deadline": 4000}, "runtime (1023) must be between 1024 and 2^63 - 1"),
        ({"runtime": 2000, "deadline": 2**63}, "deadline (9223372036854775808) must be between"),
    ],
)
def test_a_deadline_is_within_what_the_kernel_takes(values: dict[str, int], told: str) -> None:
    """sched(7): sched_runtime <= sched_deadline <= sched_period; a period of 0 is the deadline."""
    with pytest.raises(RuntimeFailure) as caught:
        scheduler.attributes({"policy": "SCHED_DEADLINE", **values})
    assert told in str(caught.value)


@given(st.sets(st.integers(0, 200), min_size=1))
def test_a_list_of_cpus_is_a_mask(cpus: set[int]) -> None:
    mask = scheduler.bits(",".join(map(str, sorted(cpus))), 1024, "/x")
    assert {bit for bit in range(len(mask) * 8) if mask[bit // 8] >> bit % 8 & 1} == cpus


@given(st.text("0123456789,-x ", max_size=12))
def test_any_text_is_a_mask_or_an_error(text: str) -> None:
    with suppress(RuntimeFailure):
        assert len(scheduler.bits(text, 64, "/x")) % 8 == 0


def mapping(*found: tuple[int, int, int]) -> list[dict[str, int]]:
    return [{"containerID": inside, "hostID": host, "size": size} for inside, host, size in found]


def test_an_id_is_found_in_its_range() -> None:
    ids = idmap.parse({"uidMappings": mapping((100, 5000, 5), (0, 9000, 1)), "gidMappings": mapping((7, 1, 2))})
    assert [ids.host_uid(id) for id in (0, 100, 104)] == [9000, 5000, 5004]
    assert ids.owner() == (0, 7)
    for outside in (1, 99, 105):
        with pytest.raises(RuntimeFailure, match=f"uid {outside}"):
            ids.host_uid(outside)


@given(st.lists(st.tuples(*(st.integers(-2, 2**32 + 1),) * 3), min_size=1, max_size=3))
def test_mappings_never_reach_beyond_the_last_id(ranges: list[tuple[int, int, int]]) -> None:
    try:
        ids = idmap.parse({"uidMappings": mapping(*ranges), "gidMappings": mapping((0, 1, 1))})
    except RuntimeFailure:
        return
    for first, host, size in ids.uids:
        assert 0 <= ids.host_uid(first) == host < host + size <= idmap.ROOM


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.1/mtu", "net/ipv4/conf/eth0.1/mtu"),
        ("net.ipv4.conf.eth0/1.mtu", "net/ipv4/conf/eth0.1/mtu"),
    ],
)
def test_a_sysctl_is_parted_as_by_sysctl(key: str, path: str) -> None:
    assert namespaces.sysctl_path(key) == path


@pytest.mark.parametrize("key", ["net..x", "net/../kernel/panic", "net.//", "kernel.panic", "kernel.hostname", ""])
def test_a_sysctl_that_is_not_the_containers_is_refused(key: str) -> None:
    kinds: list[dict[str, Any]] = [{"type": kind} for kind in ("network", "ipc", "uts")]
    with pytest.raises(RuntimeFailure, match="/linux/sysctl"):
        namespaces.wanted({"linux": {"namespaces": kinds, "sysctl": {key: "1"}}})


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 16, ".", "a:b"])
def test_a_name_that_is_none_of_a_device_is_refused(name: str) -> None:
    config = {"linux": {"netDevices": {name or "a/b": {"name": name}}}}
    with pytest.raises(RuntimeFailure, match="/linux/netDevices"):
        netdevices.check(config, frozenset({"network"}))
