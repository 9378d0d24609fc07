"""Services as elements: an address and port leads to a chain that picks one of N, and N elements say where. Pure.

    services4   10.89.0.7 . tcp . 80 : goto pick4_tcp_2          a service's address, or one published address
    backends4_tcp 10.89.0.7 . tcp . 80 . 0 : 10.88.0.5 . 8080  the first of two; ". 1" the second
    ports4      tcp . 8080 : goto wild4_2                    published on every address of the machine
    behind4_tcp tcp . 8080 . 0 : 10.88.0.5 . 8080
    any4        10.89.0.7 : goto any4_2                  any other port of a service that is open on all
    open4       10.89.0.7 . 0 : 10.88.0.5                the port stays
`pick4_tcp_2` is one rule that serves every TCP service with two backends: a change is a few elements.
Only the first packet of a connection is looked up: an established one keeps its backend until it ends (draining).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from orchestr.network import sticky
from orchestr.network.addresses import text
from orchestr.network.ruleset import Chain
from orchestr.network.seam import Publish, ServiceNet, ServicePort

FAMILIES = ((4, "ip"), (6, "ip6"))
ANY = {4: "0.0.0.0", 6: "::"}
Key = tuple[str, str, int]  # namespace, service, the service's port
_KEYS = (
    *(f"inet {name}{family}" for name in ("services", "ports", "any", "open") for family in (4, 6)),
    *(
        f"inet {name}{family}_{proto}"
        for name in ("backends", "behind")
        for family in (4, 6)
        for proto in ("tcp", "udp")
    ),
)


@dataclass(slots=True)
class Compiled:
    chains: dict[str, Chain] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    elements: dict[str, dict[str, str]] = field(default_factory=lambda: {key: {} for key in _KEYS})


@dataclass(frozen=True, slots=True, order=True)
class Socket:
    """One address and port of the machine that is published, of one family."""

    protocol: str  # tcp, udp
    address: str  # never ""
    port: int

    @property
    def family(self) -> int:
        return 6 if ":" in self.address else 4


def sockets(port: ServicePort, publish: Publish) -> tuple[Socket, ...]:
    """What has to be bound for it: two sockets for "", which is every address of both families."""
    addresses = (publish.address,) if publish.address else tuple(ANY.values())
    return tuple(Socket(port.protocol.lower(), address, publish.port) for address in addresses)


def elements(services: Iterable[ServiceNet], owners: Mapping[Socket, Key]) -> Compiled:
    """What the table must hold for these services; a published socket leads to the service port that owns it."""
    out = Compiled()
    for service in services:
        if service.any_port and service.pods:
            _any_port(out, service)
        for port in service.ports:
            if not port.backends:
                continue
            key = (service.namespace, service.name, port.port)
            published = [s for publish in port.publish for s in sockets(port, publish) if owners.get(s) == key]
            for family, word in FAMILIES:
                _port(out, service, port, family, word, [s for s in published if s.family == family])
    return out


def _port(out: Compiled, service: ServiceNet, port: ServicePort, family: int, word: str, held: list[Socket]) -> None:
    address = service.ipv4 if family == 4 else service.ipv6
    protocol, targets = port.protocol.lower(), list(_targets(port, family))
    fixed = [f"{text(address)} . {protocol} . {port.port}"] if address else []
    fixed += [f"{s.address} . {protocol} . {s.port}" for s in held if not ip_address(s.address).is_unspecified]
    wild = [f"{protocol} . {s.port}" for s in held if ip_address(s.address).is_unspecified]
    if not (fixed or wild):
        return
    if service.sticky:
        goto = sticky.add(out.chains, out.sets, service, port, family, targets)
        out.elements[f"inet services{family}"].update(dict.fromkeys(fixed, goto))
        out.elements[f"inet ports{family}"].update(dict.fromkeys(wild, goto))
        return
    count = len(targets)
    suffix = f"{family}_{protocol}"
    pick, wildcard = f"pick{suffix}_{count}", f"wild{suffix}_{count}"
    _balance(out, f"services{family}", f"backends{suffix}", fixed, pick, targets)
    _balance(out, f"ports{family}", f"behind{suffix}", wild, wildcard, targets)
    slot = f"meta l4proto . th dport . numgen random mod {count}"
    if fixed:
        out.chains[f"inet {pick}"] = Chain((f"dnat {word} to {word} daddr . {slot} map @backends{suffix}",))
    if wild:
        out.chains[f"inet {wildcard}"] = Chain((f"dnat {word} to {slot} map @behind{suffix}",))


def _any_port(out: Compiled, service: ServiceNet) -> None:
    """What no port of its own catches goes to the same port of a pod; a listed port without backends is refused."""
    for family, word in FAMILIES:
        address = service.ipv4 if family == 4 else service.ipv6
        if not address:
            continue
        key, targets = text(address), [text(pods[family == 6]) for pods in sorted(pod[1:] for pod in service.pods)]
        closed = [f"{key} . {port.protocol.lower()} . {port.port}" for port in service.ports if not port.backends]
        out.elements[f"inet services{family}"].update(dict.fromkeys(closed, "return"))
        if service.sticky:
            out.elements[f"inet any{family}"][key] = sticky.add(out.chains, out.sets, service, None, family, targets)
            continue
        chain = f"any{family}_{len(targets)}"
        _balance(out, f"any{family}", f"open{family}", [key], chain, targets)
        slot = f"{word} daddr . numgen random mod {len(targets)}"
        out.chains[f"inet {chain}"] = Chain((f"dnat {word} to {slot} map @open{family}",))


def _balance(out: Compiled, front: str, back: str, keys: list[str], chain: str, targets: list[str]) -> None:
    for key in keys:
        out.elements[f"inet {front}"][key] = f"goto {chain}"
        for index, target in enumerate(targets):
            out.elements[f"inet {back}"][f"{key} . {index}"] = target


def _targets(port: ServicePort, family: int) -> Iterator[str]:
    """In a fixed order, so that the order in which backends are told makes no difference."""
    for backend in sorted(port.backends, key=lambda b: (b.ipv4, b.port)):
        yield f"{text(backend.ipv4 if family == 4 else backend.ipv6)} . {backend.port}"
