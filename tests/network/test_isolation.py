"""Policies as chains and elements, for any input; the rules walked here as nftables would."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from orchestr.instance import instance
from orchestr.network.addresses import networks
from orchestr.network.isolation import compiled, matches
from orchestr.network.ruleset import Ruleset, difference
from orchestr.network.seam import Block, Link, Pods, Policy, Ports, Rule, Selector

NETWORKS = networks(instance("t", pod_cidr="10.70.0.0/16", service_cidr="10.71.0.0/16"))
SPACES, APPS = st.sampled_from(["shop", "other"]), st.sampled_from("abc")
SELECTORS = st.sampled_from(
    [
        Selector(),
        Selector((("app", "In", frozenset("a")),)),
        Selector((("app", "NotIn", frozenset("ab")),)),
        Selector((("gone", "Exists", frozenset()),)),
    ]
)
PEERS = st.builds(Pods, st.frozensets(SPACES), SELECTORS)
RULES = st.builds(Rule, st.none() | st.lists(PEERS, min_size=1, max_size=2).map(tuple), st.just(()))
SIDES = st.none() | st.lists(RULES, max_size=2).map(tuple)
POLICIES = st.lists(st.builds(Policy, SPACES, st.just("p"), SELECTORS, SIDES, SIDES), max_size=4)


def link(number: int, namespace: str, app: str) -> Link:
    labels, ports = (("app", app),), (("http", "TCP", 8000 + number),)
    v4, v6 = IPv4Address("10.70.0.10") + number, IPv6Address("fd00::10") + number
    return Link(f"u{number}", v4, v6, namespace, f"p{number}", "h", frozenset(), labels, ports)


LINKS = st.lists(st.tuples(SPACES, APPS), min_size=1, max_size=5).map(
    lambda told: [link(number, *each) for number, each in enumerate(told)]
)


def passes(found: Ruleset, direction: str, mine: Link, other: Link) -> bool:
    """Whether the chain of `mine` lets a connection with `other` through."""
    verdict = found.elements[f"inet {direction}4"].get(str(mine.ipv4))
    if verdict is None:
        return True
    for rule in found.chains[f"inet {verdict.removeprefix('jump ')}"].rules:
        if rule == "return":
            return True
        if rule.startswith("ip ") and str(other.ipv4) in found.elements[f"inet {rule.split('@')[1].split()[0]}"]:
            return True
    return False


def meant(policies: list[Policy], direction: str, mine: Link, other: Link) -> bool:
    """What Kubernetes' documentation says: all is let through unless chosen, then only what some policy lets."""
    mine_all = [p for p in policies if p.namespace == mine.namespace and matches(p.selector, mine.labels)]
    sides = [side for p in mine_all if (side := p.ingress if direction == "ingress" else p.egress) is not None]
    return not sides or any(
        rule.peers is None
        or any(
            isinstance(peer, Pods) and other.namespace in peer.namespaces and matches(peer.selector, other.labels)
            for peer in rule.peers
        )
        for side in sides
        for rule in side
    )


@given(LINKS, POLICIES)
def test_each_pair_of_pods_is_let_through_as_the_policies_say(links: list[Link], policies: list[Policy]) -> None:
    made = compiled(links, policies, NETWORKS)
    found = Ruleset(made.chains, made.sets, made.elements)
    for direction in ("ingress", "egress"):
        for one in links:
            for other in links:
                assert passes(found, direction, one, other) == meant(policies, direction, one, other)


def test_a_pod_more_is_a_few_elements() -> None:
    rules = (Rule((Pods(frozenset({"shop"}), Selector((("app", "In", frozenset("b")),))),), ()),)
    policies = [Policy("shop", "p", Selector((("app", "In", frozenset("a")),)), rules, None)]
    before, after = (
        compiled([link(number, "shop", "ab"[number % 2]) for number in range(count)], policies, NETWORKS)
        for count in (500, 502)
    )
    old, new = (Ruleset(each.chains, each.sets, each.elements) for each in (before, after))
    assert len(difference(old, new, "t").splitlines()) == 4  # to the map and to the set, by both families


def lines(*ports: Ports, peers: tuple[Pods | Block, ...] | None = None) -> list[str]:
    policy = Policy("shop", "p", Selector(), (Rule(peers, ports),), None)
    made = compiled([link(0, "shop", "a")], [policy], NETWORKS)
    (chain,) = made.chains.values()
    assert chain.rules[-1] == "goto refuse"
    return list(chain.rules[:-1])


def test_ports_as_ranges_without_overlaps() -> None:
    found = lines(Ports("TCP", 80), Ports("TCP", 81, 90), Ports("TCP", 85, 100), Ports("UDP", 53), Ports("SCTP", None))
    assert found == ["tcp dport { 80-100 } return", "udp dport { 53 } return", "meta l4proto sctp return"]


def test_ranges_of_addresses_with_exceptions() -> None:
    whole, parts = IPv4Network("0.0.0.0/0"), [IPv4Network(f"10.{part}.0.0/16") for part in (0, 1, 5)]
    assert lines(peers=(Block(whole),)) == ["meta nfproto ipv4 return"]
    found = lines(Ports("TCP", 1), peers=(Block(IPv4Network("10.0.0.0/8"), tuple(parts)),))
    assert found == ["ip saddr 10.0.0.0/8 ip saddr != { 10.0.0.0/15, 10.5.0.0/16 } tcp dport { 1 } return"]


def test_a_port_by_name_is_where_each_pod_has_it() -> None:
    policy = Policy("shop", "p", Selector(), (Rule(None, (Ports("TCP", "http"),)),), None)
    made = compiled([link(0, "shop", "a"), link(1, "other", "a")], [policy], NETWORKS)
    (places,) = (held for name, held in made.elements.items() if name.startswith("inet port4_"))
    assert set(places) == {"10.70.0.10 . tcp . 8000", "10.70.0.11 . tcp . 8001"}
