"""What the resolver process must know, as one file of JSON lines that the daemon replaces whole and the resolver reads.

It stays in the run directory, so that a resolver which is started again serves the last state without the daemon.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from orchestr.network.addresses import Bridge
from orchestr.network.seam import Backend, Link, ServiceNet, ServicePort

STATE, RULES = "network.json", "network.nft"


@dataclass(frozen=True, slots=True)
class Held:
    """A published socket to bind, and where to send what arrives there although nftables should have caught it."""

    protocol: str
    address: str
    port: int
    targets: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    table: str
    bridge: Bridge
    links: tuple[Link, ...]
    services: tuple[ServiceNet, ...]
    held: tuple[Held, ...]


def encode(snapshot: Snapshot) -> bytes:
    """A line of JSON for each thing, its kind first; lines of what did not change are not made again."""
    lines = [_line("table", snapshot.table), _line("bridge", _bridge(snapshot.bridge))]
    lines += [_link_line(link) for link in snapshot.links]
    lines += [_service_line(service) for service in snapshot.services]
    lines += [_line("held", [h.protocol, h.address, h.port, h.targets]) for h in snapshot.held]
    return "".join(lines).encode()


def decode(data: bytes) -> Snapshot:
    found: dict[str, list[Any]] = {"table": [], "bridge": [], "link": [], "service": [], "held": []}
    for line in data.decode().splitlines():
        kind, value = _thing(line)
        found[kind].append(value)
    links, services, held = tuple(found["link"]), tuple(found["service"]), tuple(found["held"])
    return Snapshot(found["table"][0], found["bridge"][0], links, services, held)


@lru_cache(maxsize=1 << 12)
def _thing(line: str) -> tuple[str, Any]:
    """What a line stands for; kept, because most lines are the same as last time."""
    kind, value = json.loads(line)
    match kind:
        case "bridge":
            return kind, _decode_bridge(*value)
        case "link":
            return kind, decode_link(value)
        case "service":
            return kind, _decode_service(*value)
        case "held":
            protocol, address, port, targets = value
            return kind, Held(protocol, address, port, tuple((host, number) for host, number in targets))
    return kind, value


def _line(kind: str, value: Any) -> str:
    return json.dumps([kind, value], separators=(",", ":")) + "\n"


@lru_cache(maxsize=1 << 14)
def _link_line(link: Link) -> str:
    return _line("link", encode_link(link))


@lru_cache(maxsize=1 << 13)
def _service_line(service: ServiceNet) -> str:
    return _line("service", _service(service))


def write(directory: str, name: str, data: bytes) -> None:
    """Replaces the file at once; a reader sees the old one or the new one."""
    path = os.path.join(directory, name)
    with open(f"{path}.new", "wb") as file:
        file.write(data)
    os.rename(f"{path}.new", path)


def encode_link(link: Link) -> list[Any]:
    name = [link.pod, str(link.ipv4), str(link.ipv6), link.namespace, link.name, link.hostname]
    return [*name, sorted(link.segments)]


def decode_link(raw: Sequence[Any]) -> Link:
    pod, ipv4, ipv6, namespace, name, hostname, segments = raw
    return Link(pod, IPv4Address(ipv4), IPv6Address(ipv6), namespace, name, hostname, frozenset(segments))


def _bridge(bridge: Bridge) -> list[Any]:
    gateways = [str(bridge.gateway4), str(bridge.gateway6)]
    return [bridge.name, bridge.hardware.hex(), *gateways, bridge.prefix4, str(bridge.services4), str(bridge.services6)]


def _decode_bridge(
    name: str, hardware: str, gateway4: str, gateway6: str, prefix4: int, services4: str, services6: str
) -> Bridge:
    gateways = IPv4Address(gateway4), IPv6Address(gateway6)
    return Bridge(name, bytes.fromhex(hardware), *gateways, prefix4, IPv4Network(services4), IPv6Network(services6))


def _service(service: ServiceNet) -> list[Any]:
    ports = [
        [port.name, port.protocol, port.port, [[str(b.ipv4), str(b.ipv6), b.port] for b in port.backends]]
        for port in service.ports
    ]
    addresses = [str(address) if address else None for address in (service.ipv4, service.ipv6)]
    pods = [[name, str(ipv4), str(ipv6)] for name, ipv4, ipv6 in service.pods]
    return [service.namespace, service.name, *addresses, ports, pods, service.aliases]


def _decode_service(
    namespace: str, name: str, ipv4: str | None, ipv6: str | None, ports: Any, pods: Any, aliases: Any
) -> ServiceNet:
    return ServiceNet(
        namespace,
        name,
        IPv4Address(ipv4) if ipv4 else None,
        IPv6Address(ipv6) if ipv6 else None,
        tuple(ServicePort(title, protocol, port, _backends(behind)) for title, protocol, port, behind in ports),
        tuple((host, IPv4Address(a), IPv6Address(b)) for host, a, b in pods),
        tuple(aliases),
    )


def _backends(raw: Any) -> tuple[Backend, ...]:
    return tuple(Backend(IPv4Address(ipv4), IPv6Address(ipv6), port) for ipv4, ipv6, port in raw)
