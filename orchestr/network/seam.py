"""The Dataplane seam: a desired network state in; links, addresses and nftables transactions out.

Promises:
- `attach`/`detach` are idempotent. `apply` takes the whole desired state, computes the difference to what is in the
  kernel and sends it as one transaction; when something else flushes our table it is re-asserted within a second.
- What was applied goes on working without the daemon: addresses, services, published ports, names.
- Only our own links, routes and `table inet <instance.table>` are ever touched.
Errors are NetworkFailure.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol


class NetworkFailure(Exception):
    """Text as "cannot VERB OBJECT: CAUSE (WHAT TO DO)"."""


class PortTaken(NetworkFailure):
    """A port to publish is held by somebody else; `holder` says whom: "nginx (pid 812)"."""

    def __init__(self, message: str, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


@dataclass(frozen=True, slots=True)
class Link:
    """A pod's connection to the bridge."""

    pod: str  # uid
    ipv4: IPv4Address
    ipv6: IPv6Address
    namespace: str
    name: str  # of the pod
    hostname: str
    segments: frozenset[str] = (
        frozenset()
    )  # Compose networks; pods without a common one cannot talk. Empty: the open segment
    labels: tuple[tuple[str, str], ...] = ()  # what policies choose by
    ports: tuple[tuple[str, str, int], ...] = ()  # (name, protocol, number) of ports with names


@dataclass(frozen=True, slots=True)
class Backend:
    ipv4: IPv4Address
    ipv6: IPv6Address
    port: int


@dataclass(frozen=True, slots=True)
class Publish:
    """A port of the machine."""

    address: str  # "0.0.0.0", "::", "127.0.0.1", ...; "" is every address of both families
    port: int


@dataclass(frozen=True, slots=True)
class ServicePort:
    name: str
    protocol: str  # TCP, UDP
    port: int
    backends: tuple[Backend, ...]  # ready ones only; none: refused with a reset, not a time-out
    publish: tuple[Publish, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceNet:
    namespace: str
    name: str
    ipv4: IPv4Address | None  # None: headless, the name answers with the pods' addresses
    ipv6: IPv6Address | None
    ports: tuple[ServicePort, ...]
    pods: tuple[tuple[str, IPv4Address, IPv6Address], ...] = ()  # (host name, addresses) of ready pods, for DNS
    aliases: tuple[str, ...] = ()  # more names in the same namespace (Compose spelling, network aliases)
    sticky: int = 0  # seconds of sessionAffinity ClientIP, 0 for none
    any_port: bool = False  # every port that is not in `ports` leads to the same port of one of `pods`


@dataclass(frozen=True, slots=True)
class Selector:
    """Labels that a pod must have: each requirement (key, operator, values) as in metav1.LabelSelector."""

    requirements: tuple[tuple[str, str, frozenset[str]], ...] = ()  # operators In, NotIn, Exists, DoesNotExist


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods as a peer: those that `selector` chooses in these namespaces."""

    namespaces: frozenset[str]
    selector: Selector


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses as a peer."""

    network: IPv4Network | IPv6Network
    but: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Ports:
    protocol: str  # TCP, UDP, SCTP
    first: int | str | None  # None: every port; a name is looked up in the pod that is connected to
    last: int | None = None  # None: `first` alone


@dataclass(frozen=True, slots=True)
class Rule:
    """Connections with one of the peers (None: with anybody) on one of the ports (none: on any)."""

    peers: tuple[Pods | Block, ...] | None
    ports: tuple[Ports, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What may come to, and go from, the pods that `selector` chooses in `namespace`; None: it does not say."""

    namespace: str
    name: str
    selector: Selector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None


@dataclass(frozen=True, slots=True)
class NetworkState:
    links: tuple[Link, ...]
    services: tuple[ServiceNet, ...]
    policies: tuple[Policy, ...] = ()


class Dataplane(Protocol):
    async def start(self) -> None:
        """Makes the bridge, the table and the resolver process unless they are there; adopts what is."""
        ...

    async def attach(self, link: Link, netns: int) -> None:
        """Gives the namespace (descriptor, not closed here) `eth0` on the bridge with these addresses and routes.

        The policies of the last `apply` hold for the pod before it can send or be reached.
        """
        ...

    async def detach(self, pod: str) -> None: ...

    def lost(self) -> AsyncIterator[str]:
        """Pods whose link somebody else removed, as it happens; `attach` gives them another. For one reader."""
        ...

    async def apply(self, state: NetworkState) -> dict[tuple[str, str, int], PortTaken]:
        """Makes it so. What cannot be published is returned by (namespace, service, port); the rest is in force."""
        ...

    async def connections(self, address: IPv4Address) -> int:
        """Established connections to this pod address through services; for draining."""
        ...

    async def dns_server(self) -> tuple[IPv4Address, IPv6Address]:
        """What goes into a pod's resolv.conf."""
        ...

    async def stop(self) -> None:
        """Removes bridge, table, resolver: all that `start` made. Only for `system stop --all`."""
        ...
