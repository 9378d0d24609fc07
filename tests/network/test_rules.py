"""Segments, services and rulesets as data: what must hold for any input."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from orchestr.network.published import plan, taken
from orchestr.network.ruleset import EMPTY, Chain, Ruleset, difference, whole
from orchestr.network.seam import Backend, Link, Publish, ServiceNet, ServicePort
from orchestr.network.segments import elements, share
from orchestr.network.services import Socket
from orchestr.network.services import elements as service_elements

POD4, POD6 = IPv4Address("10.70.0.10"), IPv6Address("fd00::10")
SEGMENTS = st.frozensets(st.sampled_from(["a", "b", "c", "d"]))


def link(number: int, segments: frozenset[str]) -> Link:
    return Link(f"uid-{number}", POD4 + number, POD6 + number, "shop", f"p{number}", f"p{number}", segments)


def service(name: str, backends: int, *publish: Publish, number: int = 1) -> ServiceNet:
    behind = tuple(Backend(POD4 + index, POD6 + index, 8080) for index in range(backends))
    port = ServicePort("http", "TCP", 80, behind, publish)
    return ServiceNet("shop", name, IPv4Address("10.71.0.0") + number, IPv6Address("fd00:1::") + number, (port,))


@given(st.lists(SEGMENTS, max_size=8))
def test_an_address_is_reachable_iff_a_segment_is_shared(told: list[frozenset[str]]) -> None:
    links = [link(number, segments) for number, segments in enumerate(told)]
    found = elements(links, ())
    for one in links:
        for other in links:
            key = f"{found['inet class4'][str(one.ipv4)]} . {other.ipv4}"
            assert (key in found["inet reach4"]) == share(one.segments, other.segments)


@given(st.lists(st.integers(0, 4), max_size=6))
def test_every_pick_finds_its_backend(counts: list[int]) -> None:
    services = [service(f"s{number}", count, number=number + 1) for number, count in enumerate(counts)]
    found = service_elements(services, {})
    for key, verdict in found.elements["inet services4"].items():
        count = int(verdict.rpartition("_")[2])
        assert f"inet {verdict.removeprefix('goto ')}" in found.chains
        assert all(f"{key} . {index}" in found.elements["inet backends4_tcp"] for index in range(count))
    assert len(found.elements["inet services4"]) == sum(1 for count in counts if count)


def test_of_two_services_on_one_port_the_second_is_told_of_the_first() -> None:
    services = [service("b", 1, Publish("", 80)), service("a", 1, Publish("0.0.0.0", 80))]
    found = plan(services)
    assert found.owners[Socket("tcp", "0.0.0.0", 80)] == ("shop", "a", 80)
    assert taken(found, {})["shop", "b", 80].holder == "service shop/a"


DECLARED = {"inet s": "map { typeof ip saddr : verdict; }"}
rulesets = st.builds(
    lambda held: Ruleset({"inet c": Chain(("accept",))}, DECLARED, {"inet s": held}),
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xy")),
)


@given(rulesets, rulesets)
def test_the_difference_leads_from_one_to_the_other(old: Ruleset, new: Ruleset) -> None:
    held = dict(old.elements["inet s"])
    for line in difference(old, new, "t").splitlines():
        verb, _, rest = line.partition(" element inet t s { ")
        for item in rest.removesuffix(" }").split(", "):
            key, value = item.split(" : ")
            if verb == "delete":
                assert held.pop(key) == value
            else:
                assert key not in held
                held[key] = value
    assert held == new.elements["inet s"]
    assert difference(new, new, "t") == ""


def test_the_whole_declares_flushes_and_fills() -> None:
    rules = Ruleset({"inet c": Chain(("accept",))}, {"inet s": "set { typeof ip saddr; }"}, {"inet s": {"1.2.3.4": ""}})
    assert whole(rules, "t").splitlines() == [
        "add table inet t",
        "add set inet t s { typeof ip saddr; }",
        "add chain inet t c",
        "flush chain inet t c",
        "flush set inet t s",
        "add rule inet t c accept",
        "add element inet t s { 1.2.3.4 }",
    ]
    assert difference(EMPTY, EMPTY, "t") == ""
