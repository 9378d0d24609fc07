"""NetworkPolicies as the dataplane takes them: selectors of namespaces looked up, the rest as it was written."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network

from orchestr.api.core import Namespace
from orchestr.api.meta import LabelSelector
from orchestr.api.networkpolicy import NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort
from orchestr.engine.informers import Informers
from orchestr.network.seam import Block, Pods, Policy, Ports, Rule, Selector

Labels = Mapping[str, Mapping[str, str]]  # of namespaces, by name


class Policies:
    """All of them as they are now; made again only after a change."""

    def __init__(self, informers: Informers, changed: Callable[[], None]) -> None:
        self._informers, self._changed = informers, changed
        self._known: tuple[Policy, ...] | None = None
        for kind in (NetworkPolicy, Namespace):
            informers.add(kind)

    async def synced(self) -> None:
        for kind in (NetworkPolicy, Namespace):
            informer = self._informers.add(kind)
            await informer.synced.wait()
            informer.add_handler(self._forget)

    def _forget(self, _old: object, _new: object) -> None:
        if self._known != () or self._informers.all(NetworkPolicy):
            self._known = None
            self._changed()

    def now(self) -> tuple[Policy, ...]:
        if self._known is None:
            found = sorted(self._informers.all(NetworkPolicy), key=lambda each: each.key)
            spaces = self._informers.all(Namespace) if found else ()
            labels = {space.metadata.name: space.metadata.labels for space in spaces}
            self._known = tuple(policy(each, labels) for each in found)
        return self._known


def policy(wanted: NetworkPolicy, namespaces: Labels) -> Policy:
    """Pure."""
    spec, here = wanted.spec, wanted.metadata.namespace or ""
    ingress = tuple(_rule(rule.from_, rule.ports, here, namespaces) for rule in spec.ingress)
    egress = tuple(_rule(rule.to, rule.ports, here, namespaces) for rule in spec.egress)
    return Policy(
        here,
        wanted.metadata.name,
        _selector(spec.pod_selector),
        ingress if "Ingress" in spec.policy_types else None,
        egress if "Egress" in spec.policy_types else None,
    )


def _rule(
    peers: Iterable[NetworkPolicyPeer], ports: Iterable[NetworkPolicyPort], here: str, namespaces: Labels
) -> Rule:
    who = tuple(_peer(peer, here, namespaces) for peer in peers)
    which = tuple(Ports(port.protocol or "TCP", port.port, port.end_port) for port in ports)
    return Rule(who or None, which)


def _peer(peer: NetworkPolicyPeer, here: str, namespaces: Labels) -> Pods | Block:
    if peer.ip_block is not None:
        but = tuple(ip_network(text, strict=False) for text in peer.ip_block.except_)
        return Block(ip_network(peer.ip_block.cidr, strict=False), but)
    chosen = frozenset({here})
    if (of := peer.namespace_selector) is not None:
        chosen = frozenset(name for name, labels in namespaces.items() if of.matches(labels))
    return Pods(chosen, _selector(peer.pod_selector or LabelSelector()))


def _selector(selector: LabelSelector) -> Selector:
    equal = [(key, "In", frozenset({value})) for key, value in selector.match_labels.items()]
    others = [(each.key, each.operator, frozenset(each.values)) for each in selector.match_expressions]
    return Selector(tuple(sorted([*equal, *others], key=lambda each: each[:2])))
