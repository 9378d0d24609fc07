"""What LinuxResources become on v1 and v2: pure, and what is refused names its JSON pointer."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.runtime import cgroups
from orchestr.runtime.cgroups import cpu, devices, io, memory, pids
from orchestr.runtime.cgroups.devices import Rule, policy
from orchestr.runtime.seam import RuntimeFailure


def pairs(settings: Any) -> list[tuple[str, str]]:
    return [(each.file, each.value) for each in settings]


@pytest.mark.parametrize(
    ("limit", "swap", "only"),
    [(100, 150, 50), (100, 100, 0), (100, -1, -1), (-1, 0, -1), (-1, 7, 7), (100, 0, None), (0, 0, None)],
)
def test_v2_counts_swap_alone(limit: int, swap: int, only: int | None) -> None:
    assert memory.only_swap(limit, swap) == only


@pytest.mark.parametrize(("limit", "swap"), [(0, 5), (10, 5)])
def test_swap_below_the_limit_or_without_one(limit: int, swap: int) -> None:
    with pytest.raises(RuntimeFailure, match="/linux/resources/memory/swap"):
        memory.only_swap(limit, swap)


@pytest.mark.parametrize(
    ("given_", "v1", "v2"),
    [
        ({"quota": -1}, [("cpu.cfs_quota_us", "-1")], [("cpu.max", "max")]),
        ({"quota": 5000}, [("cpu.cfs_quota_us", "5000")], [("cpu.max", "5000")]),
        ({"period": 5000}, [("cpu.cfs_period_us", "5000")], [("cpu.max", "max 5000")]),
        ({"idle": 1}, [("cpu.idle", "1")], [("cpu.idle", "1")]),
        ({"burst": 9}, [("cpu.cfs_burst_us", "9")], [("cpu.max.burst", "9")]),
    ],
)
def test_cpu(given_: Mapping[str, Any], v1: list[tuple[str, str]], v2: list[tuple[str, str]]) -> None:
    assert (pairs(cpu.v1({"cpu": given_})), pairs(cpu.v2({"cpu": given_}))) == (v1, v2)


@given(st.integers(2, 262143))
def test_more_shares_are_never_less_weight(shares: int) -> None:
    assert 1 <= cpu.weight(shares) <= cpu.weight(shares + 1) <= 10000


@pytest.mark.parametrize(("limit", "value"), [(0, "1"), (5, "5"), (-1, "max")])
def test_pids(limit: int, value: str) -> None:
    assert pairs(pids.both({"pids": {"limit": limit}})) == [("pids.max", value)]


def test_block_devices() -> None:
    block = {
        "weight": 10,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}],
    }
    assert pairs(io.v2({"blockIO": block}, bfq=False)) == [
        ("io.weight", "default 1"),
        ("io.weight", "8:0 10000"),
        ("io.max", "8:0 rbps=max"),
    ]
    assert pairs(io.v1({"blockIO": block}, bfq=True)) == [
        ("blkio.bfq.weight", "10"),
        ("blkio.bfq.weight_device", "8:0 1000"),
        ("blkio.throttle.read_bps_device", "8:0 0"),
    ]


rules = st.lists(
    st.builds(
        Rule,
        st.booleans(),
        st.sampled_from("abc"),
        st.sampled_from((-1, 1, 10)),
        st.sampled_from((-1, 3)),
        st.sampled_from(("r", "w", "rw", "rwm")),
    ),
    max_size=6,
)


def kernel(written: list[tuple[str, str]], state: devices.Policy) -> devices.Policy:
    """devices.allow and devices.deny as security/device_cgroup.c keeps them, for rules that name no range."""
    allow, held = state.allow, dict(state.exceptions)
    for file, value in written:
        says = file == "devices.allow"
        if value == "a":
            allow, held = says, {}
            continue
        kind, number, access = value.split(" ")
        major, minor = number.split(":")
        key, letters = (kind, major, minor), frozenset(access)
        present = held.get(key, frozenset())
        held[key] = present - letters if says == allow else present | letters
    return devices.Policy(allow, {key: value for key, value in held.items() if value})


def listing(held: devices.Policy) -> str:
    """devices.list."""
    return "\n".join(f"{k} {a}:{b} {''.join(sorted(access))}" for (k, a, b), access in held.exceptions.items())


@given(rules, rules)
def test_v1_comes_from_any_rules_to_any_others(first: list[Rule], second: list[Rule]) -> None:
    before = policy(first)
    shown = "a *:* rwm" if before.allow else listing(before)
    written = list(devices.v1(second, shown))
    assert kernel(written, before) == policy(second)


@given(rules)
def test_v1_denies_nothing_in_between_when_nothing_changes(same: list[Rule]) -> None:
    listed = [Rule(False, "a", -1, -1, "rwm"), *same]
    found = policy(listed)
    if not found.allow:
        assert list(devices.v1(listed, listing(found))) == []


@pytest.mark.parametrize(("text", "path"), [("/a/b", "a/b"), ("a//b/", "a/b"), ("", "orch-oci/x"), ("./a", "a")])
def test_absolute_and_relative_paths_mean_the_same(text: str, path: str) -> None:
    assert cgroups.place_of(text, "x") == path


@pytest.mark.parametrize("text", ["/", "../a", "/a/../../b"])
def test_a_path_that_leads_out_is_refused(text: str) -> None:
    with pytest.raises(RuntimeFailure, match="/linux/cgroupsPath"):
        cgroups.place_of(text, "x")


def test_without_a_cgroup_nothing_is_killed() -> None:
    """The name of the root would be the machine."""
    assert cgroups.place_of("/a", "x", "disabled") == ""
    assert (cgroups.processes(""), list(cgroups.directories(""))) == ([], [])
    cgroups.kill_all("")
    cgroups.remove("")
    with pytest.raises(RuntimeFailure, match="no cgroup"):
        cgroups.update("", {})


def test_other_letters_of_access_are_left_out() -> None:
    """As in runc, for both ways of limiting devices."""
    items = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "rwa"}]
    listed = devices.rules(items)
    assert [rule.access for rule in listed] == ["rwm", "rw"]
    assert len(devices.program(listed)) % 8 == 0
