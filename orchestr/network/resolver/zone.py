"""The names of one instance. Pure: a snapshot in, answers out.

    web, web.ns, web.ns.svc, web.ns.svc.cluster.local   services, their aliases, pods and host names of namespace ns
    db-0.db.ns.svc.cluster.local                        a pod of a service by its host name
    10-88-0-5.ns.pod.cluster.local                      a pod by its address
    _http._tcp.web.ns.svc.cluster.local                 SRV of a named port
    5.0.88.10.in-addr.arpa                              PTR of pods and services
A bare name means the namespace of the pod that asks. A pod sees only what it shares a segment with; the machine sees
all. As in CoreDNS's kubernetes plugin, except that pods also have their plain names.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from orchestr.network.resolver import wire
from orchestr.network.resolver.wire import Labels, Record
from orchestr.network.seam import Link, ServiceNet
from orchestr.network.segments import Segments, share

DOMAIN = ("cluster", "local")
Address = IPv4Address | IPv6Address


class Target(NamedTuple):
    """Addresses behind a name, and the segments of the pods there; none: everybody may know it."""

    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    segments: frozenset[Segments]
    host: str = ""  # of a pod behind a service


@dataclass(slots=True)
class Entry:
    targets: list[Target] = field(default_factory=list)
    hosts: dict[str, list[Target]] = field(default_factory=dict)
    ports: list[tuple[str, str, int]] = field(default_factory=list)  # name, protocol, port


class Client(NamedTuple):
    namespace: str
    segments: Segments | None  # None: sees everything


class Answer(NamedTuple):
    rcode: int
    records: tuple[Record, ...] = ()


MACHINE = Client("default", None)
NO_DATA, NO_NAME = Answer(wire.NOERROR), Answer(wire.NXDOMAIN)


class Zone:
    def __init__(
        self, links: Iterable[Link], services: Iterable[ServiceNet], networks: Iterable[IPv4Network | IPv6Network]
    ) -> None:
        self._names: dict[str, dict[str, Entry]] = defaultdict(dict)
        self._clients: dict[str, Client] = {}
        self._pods: dict[Address, Link] = {}
        self._pointers: dict[Address, tuple[Labels, Target]] = {}
        self._networks = tuple(networks)
        links = tuple(links)
        for link in links:
            self.add(link)
        for service in sorted(services, key=lambda s: (s.namespace, s.name)):
            self._service(service)

    def add(self, link: Link) -> None:
        """A pod that was connected just now; known under its own name if no service has that."""
        self._clients[str(link.ipv4)] = self._clients[str(link.ipv6)] = Client(link.namespace, link.segments)
        target = Target(link.ipv4, link.ipv6, frozenset([link.segments]))
        names = self._names[link.namespace]
        for name in {link.name.lower(), link.hostname.lower()} - {""}:
            entry = names.setdefault(name, Entry())
            if not entry.ports and target not in entry.targets:
                entry.targets.append(target)
        for address in (link.ipv4, link.ipv6):
            self._pods[address] = link
            self._pointers.setdefault(address, ((link.name, link.namespace, "svc", *DOMAIN), target))

    def client(self, address: str) -> Client:
        return self._clients.get(address, MACHINE)

    def answer(self, labels: Labels, kind: int, client: Client) -> Answer | None:
        """None: not ours, ask upstream."""
        if labels[-2:] == DOMAIN:
            return self._ours(labels[:-2], kind, client)
        if labels[-1:] == ("arpa",):
            return self._pointer(labels, kind, client)
        own = self._names.get(client.namespace, {}).get(".".join(labels))
        if own:
            return _told(own.targets, kind, client)
        if labels[-1:] == ("svc",):
            return self._ours(labels, kind, client)
        if len(labels) == 2:
            other = self._names.get(labels[1], {}).get(labels[0])
            if other:
                return _told(other.targets, kind, client)
        return None

    def _ours(self, labels: Labels, kind: int, client: Client) -> Answer:
        if not labels or labels in (("svc",), ("pod",)):
            return NO_DATA
        if labels[-1] not in ("svc", "pod") or len(labels) < 2 or labels[-2] not in self._names:
            return NO_NAME
        namespace, rest = labels[-2], labels[:-2]
        if not rest:
            return NO_DATA
        if labels[-1] == "pod":
            return self._by_address(rest, namespace, kind, client)
        names = self._names[namespace]
        if entry := names.get(".".join(rest)):
            return _told(entry.targets, kind, client)
        service = names.get(rest[-1])
        if not service or not any(_visible(target, client) for target in service.targets or service_targets(service)):
            return NO_NAME
        if len(rest) == 2 and rest[0] in service.hosts:
            return _told(service.hosts[rest[0]], kind, client)
        if len(rest) <= 3 and rest[-2] in ("_tcp", "_udp"):
            return _ports(service, rest, namespace, kind, client)
        return NO_NAME

    def _by_address(self, rest: Labels, namespace: str, kind: int, client: Client) -> Answer:
        text = rest[0]
        link = None
        for separator in (".", ":"):
            try:
                link = link or self._pods.get(ip_address(text.replace("-", separator)))
            except ValueError:
                continue
        if len(rest) != 1 or link is None or link.namespace != namespace:
            return NO_NAME
        return _told([Target(link.ipv4, link.ipv6, frozenset([link.segments]))], kind, client)

    def _pointer(self, labels: Labels, kind: int, client: Client) -> Answer | None:
        address = _reverse(labels)
        if address is None or not any(address in network for network in self._networks):
            return None
        name, target = self._pointers.get(address, ((), None))
        if target is None or not _visible(target, client):
            return NO_NAME
        return Answer(wire.NOERROR, (Record(wire.PTR, wire.encode(name)),)) if kind == wire.PTR else NO_DATA

    def _service(self, service: ServiceNet) -> None:
        pods = [Target(ipv4, ipv6, self._segments(ipv4), name.lower()) for name, ipv4, ipv6 in service.pods]
        behind = {backend.ipv4 for port in service.ports for backend in port.backends} | {pod.ipv4 for pod in pods}
        segments = frozenset().union(*(self._segments(ipv4) for ipv4 in behind if ipv4))
        own = [Target(service.ipv4, service.ipv6, segments)] if service.ipv4 or service.ipv6 else pods
        hosts: dict[str, list[Target]] = defaultdict(list)
        for pod in pods:
            hosts[pod.host].append(pod)
        name = service.name.lower()
        ports = [(port.name, port.protocol.lower(), port.port) for port in service.ports]
        names = self._names[service.namespace]
        names[name] = Entry(own, dict(hosts), ports)  # a service's name goes before a pod's
        for alias in {alias.lower() for alias in service.aliases} - {name}:
            entry = names.setdefault(alias, Entry())
            entry.targets += [target for target in own if target not in entry.targets]
        full = (name, service.namespace, "svc", *DOMAIN)
        for address in (service.ipv4, service.ipv6):
            if address:
                self._pointers[address] = (full, own[0])
        for pod in pods:
            for address in (pod.ipv4, pod.ipv6):
                if address and pod.host:
                    self._pointers[address] = ((pod.host, *full), pod)

    def _segments(self, ipv4: IPv4Address) -> frozenset[Segments]:
        link = self._pods.get(ipv4)
        return frozenset([link.segments]) if link else frozenset()


def service_targets(entry: Entry) -> list[Target]:
    return [target for targets in entry.hosts.values() for target in targets]


def _visible(target: Target, client: Client) -> bool:
    own = client.segments
    return own is None or not target.segments or any(share(own, segments) for segments in target.segments)


def _told(targets: list[Target], kind: int, client: Client) -> Answer:
    """Addresses of one family in random order; a name whose every target is hidden does not exist."""
    seen = [target for target in targets if _visible(target, client)]
    if targets and not seen:
        return NO_NAME
    records = [record for target in seen for record in _records(target, kind)]
    random.shuffle(records)
    return Answer(wire.NOERROR, tuple(records))


def _records(target: Target, kind: int) -> Iterator[Record]:
    if target.ipv4 and kind in (wire.A, wire.ANY):
        yield Record(wire.A, target.ipv4.packed)
    if target.ipv6 and kind in (wire.AAAA, wire.ANY):
        yield Record(wire.AAAA, target.ipv6.packed)


def _ports(service: Entry, rest: Labels, namespace: str, kind: int, client: Client) -> Answer:
    """`_tcp.web` holds something if `_http._tcp.web` does."""
    protocol, name = rest[-2][1:], rest[0][1:] if len(rest) == 3 else None
    found = [port for port in service.ports if port[1] == protocol and name in (None, port[0])]
    if not found or (name is not None and rest[0][:1] != "_"):
        return NO_NAME
    if name is None or kind not in (wire.SRV, wire.ANY):
        return NO_DATA
    full = (rest[-1], namespace, "svc", *DOMAIN)
    targets = [(t.host, *full) if t.host else full for t in service.targets if _visible(t, client)]
    return Answer(wire.NOERROR, tuple(wire.srv(port, target) for _, _, port in found for target in targets))


def _reverse(labels: Labels) -> Address | None:
    """The address of a whole reverse name, RFC 1035 section 3.5, RFC 3596 section 2.5."""
    try:
        if labels[-2:] == ("in-addr", "arpa") and len(labels) == 6:
            return IPv4Address(".".join(labels[3::-1]))
        if labels[-2:] == ("ip6", "arpa") and len(labels) == 34:
            return IPv6Address(int("".join(labels[31::-1]), 16))
    except ValueError:
        pass
    return None
