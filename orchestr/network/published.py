"""Published ports: who asks for which socket, which are held for whom, and what to tell of those that are taken. Pure
but for the search of the holder."""

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from orchestr.network.addresses import text
from orchestr.network.holders import holder
from orchestr.network.seam import NetworkState, PortTaken, ServiceNet
from orchestr.network.services import Key, Socket, sockets
from orchestr.network.statefile import Held


@dataclass(frozen=True, slots=True)
class Plan:
    held: tuple[Held, ...]
    owners: Mapping[Socket, Key]
    conflicts: Mapping[Key, tuple[Socket, Key]]  # asks for a socket that another service of ours has

    def owned(self, refused: Mapping[Socket, int]) -> dict[Socket, Key]:
        """Without those that could not be bound."""
        return {wanted: key for wanted, key in self.owners.items() if wanted not in refused}


def plan(services: Iterable[ServiceNet]) -> Plan:
    """Of two services that publish the same socket, the first by name has it."""
    owners: dict[Socket, Key] = {}
    held: list[Held] = []
    conflicts: dict[Key, tuple[Socket, Key]] = {}
    for service in sorted(services, key=lambda s: (s.namespace, s.name)):
        for port in service.ports:
            key = (service.namespace, service.name, port.port)
            targets = tuple((text(backend.ipv4), backend.port) for backend in port.backends)
            for wanted in (s for publish in port.publish for s in sockets(port, publish)):
                if owners.setdefault(wanted, key) == key:
                    held.append(Held(wanted.protocol, wanted.address, wanted.port, targets))
                else:
                    conflicts[key] = (wanted, owners[wanted])
    return Plan(tuple(held), owners, conflicts)


def taken(plan: Plan, refused: Mapping[Socket, int]) -> dict[Key, PortTaken]:
    """What to tell, by service port."""
    found = {
        key: _error(wanted, f"service {namespace}/{name}")
        for key, (wanted, (namespace, name, _)) in plan.conflicts.items()
    }
    for wanted, code in refused.items():
        if wanted in plan.owners:
            found[plan.owners[wanted]] = _refused(wanted, code)
    return found


def backends(state: NetworkState, protocol: str) -> set[IPv4Address | IPv6Address]:
    found: set[IPv4Address | IPv6Address] = set()
    for service in state.services:
        ports = [port for port in service.ports if port.protocol == protocol]
        found |= {ip for port in ports for backend in port.backends for ip in (backend.ipv4, backend.ipv6)}
        found |= {ip for _, v4, v6 in service.pods for ip in (v4, v6)} if service.any_port else set()
    return found


def _refused(wanted: Socket, code: int) -> PortTaken:
    if code == errno.EADDRINUSE:
        return _error(wanted, holder(wanted))
    cause = "no link has this address" if code == errno.EADDRNOTAVAIL else os.strerror(code)
    return PortTaken(f"cannot publish {_words(wanted)}: {cause} (publish another address)", "")


def _error(wanted: Socket, who: str) -> PortTaken:
    return PortTaken(f"cannot publish {_words(wanted)}: held by {who} (stop it or publish another port)", who)


def _words(wanted: Socket) -> str:
    address = f"[{wanted.address}]" if wanted.family == 6 else wanted.address
    return f"{address}:{wanted.port}/{wanted.protocol}"
