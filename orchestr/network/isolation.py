"""Policies as chains and elements: which connections the pods that policies choose take and make. Pure.

    egress4   10.88.0.5 : jump out_3fa9...    the pod is chosen by policies that say what it may send
    ingress4  10.88.0.7 : jump in_81c0...     ... what may come to it
    in_81c0   ip saddr @peers4_77d1... tcp dport { 8080 } return     a rule: so may these pods, on this port
              goto refuse
    peers4_77d1...  10.88.0.5
    port4_0d5e...   10.88.0.7 . tcp . 8080    where a port is that rules call by its name
Pods that the same policies choose share a chain, rules that choose the same pods share a set. So a pod that comes or
goes is a few elements; a chain is made when a policy changes, or first chooses a pod together with others. Only the
first packet of a connection passes here: answers are let through before, and what is open stays open.

The resolver takes the part of the cluster's name server: a pod in kube-system with the label k8s-app=kube-dns.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses

from orchestr.network.addresses import Networks, text
from orchestr.network.ruleset import Chain
from orchestr.network.seam import Block, Link, Pods, Policy, Ports, Rule, Selector

FAMILIES = ((4, "ip"), (6, "ip6"))
NAMES = "kube-system", (("k8s-app", "kube-dns"),), (("dns", "UDP", 53), ("dns-tcp", "TCP", 53))
TOP = 65535
Labels = tuple[tuple[str, str], ...]
Group = tuple[str, Labels]  # pods of a namespace with the same labels
Addresses = tuple[IPv4Address, IPv6Address]


_KEYS = tuple(f"inet {name}{family}" for name in ("egress", "ingress") for family in (4, 6))


@dataclass(slots=True)
class Compiled:
    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    elements: dict[str, dict[str, str]] = field(default_factory=lambda: {key: {} for key in _KEYS})


def compiled(links: Iterable[Link], policies: Sequence[Policy], networks: Networks) -> Compiled:
    """What the table must hold so that these policies rule these pods."""
    out = Compiled()
    if not policies:
        return out
    groups: dict[Group, list[Addresses]] = defaultdict(list)
    for link in links:
        groups[link.namespace, link.labels].append((link.ipv4, link.ipv6))
    for direction, prefix in (("ingress", "in"), ("egress", "out")):
        classes: dict[tuple[Rule, ...], list[Addresses]] = defaultdict(list)
        for group, members in groups.items():
            chosen = [p for p in policies if _rules(p, direction) is not None and _chooses(p, group)]
            if chosen:
                rules = (rule for policy in chosen for rule in _rules(policy, direction) or ())
                classes[tuple(dict.fromkeys(rules))] += members
        for ruling, members in classes.items():
            chain = f"{prefix}_{_digest(ruling)}"
            out.chains[f"inet {chain}"] = Chain(tuple(_lines(ruling, direction)))
            for family in (4, 6):
                verdicts = out.elements[f"inet {direction}{family}"]
                verdicts.update({text(addresses[family == 6]): f"jump {chain}" for addresses in members})
    groups[NAMES[:2]].append((networks.gateway4, networks.gateway6))
    _peers(out, policies, groups)
    _named(out, policies, links, networks)
    return out


def _rules(policy: Policy, direction: str) -> tuple[Rule, ...] | None:
    return policy.ingress if direction == "ingress" else policy.egress


def _chooses(policy: Policy, group: Group) -> bool:
    return policy.namespace == group[0] and matches(policy.selector, group[1])


@lru_cache(maxsize=1 << 14)
def matches(selector: Selector, labels: Labels) -> bool:
    """metav1.LabelSelector's rule; kept, because pods of one workload have the same labels."""
    given = dict(labels)
    return all(_holds(given.get(key), operator, values) for key, operator, values in selector.requirements)


def _holds(value: str | None, operator: str, values: frozenset[str]) -> bool:
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


# rules


def _lines(rules: Iterable[Rule], direction: str) -> Iterator[str]:
    """`return` goes on to the next check; what no rule lets through is refused."""
    side = "saddr" if direction == "ingress" else "daddr"
    for rule in rules:
        for family, peer in _who(rule, side):
            for ports in _which(rule, family):
                yield " ".join(part for part in (peer, ports, "return") if part)
    yield "goto refuse"


def _who(rule: Rule, side: str) -> Iterator[tuple[int, str]]:
    """(family, match) for each way in which a peer is known; family 0 is both."""
    if rule.peers is None:
        yield 0, ""
        return
    pods = _selected(rule)
    for family, word in FAMILIES:
        if pods:
            yield family, f"{word} {side} @peers{family}_{_digest(pods)}"
    for block in (peer for peer in rule.peers if isinstance(peer, Block)):
        yield block.network.version, _block(block, side)


def _block(block: Block, side: str) -> str:
    word = "ip" if block.network.version == 4 else "ip6"
    whole = f"{word} {side} {block.network}" if block.network.prefixlen else f"meta nfproto ipv{block.network.version}"
    but = ", ".join(map(str, _merged(block.but)))
    return f"{whole} {word} {side} != {{ {but} }}" if but else whole


def _merged(networks: Iterable[IPv4Network | IPv6Network]) -> list[IPv4Network | IPv6Network]:
    """Without overlaps, which a set of ranges does not take."""
    found: list[IPv4Network | IPv6Network] = list(collapse_addresses(networks))  # type: ignore[type-var]
    return found


def _which(rule: Rule, family: int) -> Iterator[str]:
    """Matches for the ports; one that is empty lets every port and protocol through."""
    if not rule.ports:
        yield ""
        return
    for protocol in dict.fromkeys(ports.protocol for ports in rule.ports):
        mine, word = [ports for ports in rule.ports if ports.protocol == protocol], protocol.lower()
        if any(ports.first is None for ports in mine):
            yield f"meta l4proto {word}"
        elif ranges := _ranges(mine):
            yield f"{word} dport {{ {', '.join(ranges)} }}"
    for ports in rule.ports:
        if isinstance(ports.first, str):
            for each, word in FAMILIES:
                if family in (0, each):
                    where = f"{word} daddr . meta l4proto . th dport @{_place(ports.first, each)}"
                    yield f"meta l4proto {ports.protocol.lower()} {where}"


def _ranges(ports: Iterable[Ports]) -> list[str]:
    """Numbers and ranges without overlaps, in order."""
    spans = sorted((p.first, p.last or p.first) for p in ports if isinstance(p.first, int))
    merged: list[tuple[int, int]] = []
    for first, last in spans:
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return [str(first) if first == last else f"{first}-{last}" for first, last in merged]


# sets


def _selected(rule: Rule) -> tuple[Pods, ...]:
    return tuple(peer for peer in rule.peers or () if isinstance(peer, Pods))


def _every(policies: Iterable[Policy]) -> Iterator[Rule]:
    for policy in policies:
        yield from (*(policy.ingress or ()), *(policy.egress or ()))


def _peers(out: Compiled, policies: Sequence[Policy], groups: dict[Group, list[Addresses]]) -> None:
    """A set of addresses for each choice of pods that rules make."""
    for pods in dict.fromkeys(_selected(rule) for rule in _every(policies)):
        if not pods:
            continue
        found = [
            addresses
            for (namespace, labels), members in groups.items()
            if any(namespace in each.namespaces and matches(each.selector, labels) for each in pods)
            for addresses in members
        ]
        for family, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
            name = f"inet peers{family}_{_digest(pods)}"
            out.sets[name] = f"set {{ type {kind}; }}"
            out.elements[name] = {text(addresses[family == 6]): "" for addresses in found}


def _named(out: Compiled, policies: Sequence[Policy], links: Iterable[Link], networks: Networks) -> None:
    """Where the ports are that rules call by their names."""
    names = {ports.first for rule in _every(policies) for ports in rule.ports if isinstance(ports.first, str)}
    for name in names:
        for family, word in FAMILIES:
            place = f"inet {_place(name, family)}"
            out.sets[place] = f"set {{ typeof {word} daddr . meta l4proto . th dport; }}"
            out.elements[place] = {}
    places = [((link.ipv4, link.ipv6), link.ports) for link in links] if names else []
    places.append(((networks.gateway4, networks.gateway6), NAMES[2]))
    for addresses, ports in places:
        for name, protocol, number in ports:
            for family in (4, 6) if name in names else ():
                key = f"{text(addresses[family == 6])} . {protocol.lower()} . {number}"
                out.elements[f"inet {_place(name, family)}"][key] = ""


def _place(name: str, family: int) -> str:
    return f"port{family}_{_digest(name)}"


@lru_cache(maxsize=1 << 12)
def _digest(thing: object) -> str:
    """A name for rules or peers that is the same as long as they are."""
    return hashlib.sha256(_spelled(thing).encode()).hexdigest()[:16]


def _spelled(thing: object) -> str:
    """As repr(), but sets are sorted: their order differs from one daemon to the next."""
    match thing:
        case frozenset():
            return f"{{{','.join(sorted(map(_spelled, thing)))}}}"
        case tuple():
            return f"({','.join(map(_spelled, thing))})"
        case Pods():
            return f"pods{_spelled((thing.namespaces, thing.selector.requirements))}"
        case Rule():
            return f"rule{_spelled((thing.peers, thing.ports))}"
        case _:
            return repr(thing)
