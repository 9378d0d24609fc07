from ipaddress import IPv4Network, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.agent.addresses import RANGE, Addresses, NoAddressLeft

V4, V6 = IPv4Network("10.1.0.0/28"), IPv6Network("fd00::/64")


def test_an_address_is_kept_until_released_and_used_again_as_late_as_possible() -> None:
    addresses = Addresses(V4, V6)
    first = addresses.take("a")
    assert addresses.take("a") == first
    assert [str(each) for each in first] == ["10.1.0.2", "fd00::2"]
    addresses.release("a")
    assert addresses.take("b") != first


def test_the_range_has_an_end_that_is_told() -> None:
    addresses = Addresses(V4, V6)
    taken = {addresses.take(str(number))[0] for number in range(13)}
    assert len(taken) == 13
    assert not taken & {V4[0], V4[1], V4[15]}
    with pytest.raises(NoAddressLeft, match="--pod-cidr"):
        addresses.take("one more")
    addresses.release("4")
    assert addresses.take("one more")[0] in taken


def test_what_a_pod_had_is_entered() -> None:
    addresses = Addresses(V4, V6)
    addresses.claim("old", "10.1.0.9")
    addresses.claim("stranger", "10.9.0.9")
    assert str(addresses.take("old")[0]) == "10.1.0.9"
    addresses.claim_uids("old", addresses.uid_base("x") + RANGE)
    assert addresses.uid_base("old") == addresses.uid_base("x") + RANGE


@given(st.lists(st.tuples(st.sampled_from(["take", "release", "uid"]), st.integers(0, 8)), max_size=60))
def test_no_two_pods_share_anything(steps: list[tuple[str, int]]) -> None:
    addresses = Addresses(V4, V6)
    ips: dict[str, object] = {}
    uids: dict[str, int] = {}
    for verb, number in steps:
        name = str(number)
        if verb == "take":
            ips[name] = addresses.take(name)
        elif verb == "uid":
            uids[name] = addresses.uid_base(name)
        else:
            addresses.release(name)
            ips.pop(name, None)
            uids.pop(name, None)
        assert len(set(ips.values())) == len(ips)
        assert len(set(uids.values())) == len(uids)
