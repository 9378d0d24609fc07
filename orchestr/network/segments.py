"""Who may talk to whom: pods with the same set of segments form a class; classes reach addresses. Pure.

The table holds an element per (class, reachable address), not per pair of pods: a thousand pods in one segment are a
thousand elements. The resolver asks `share` for names, so that both keep one rule.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

from orchestr.network.addresses import hardware, link_local, mac, port_name, text
from orchestr.network.seam import Link, ServiceNet

Segments = frozenset[str]


def share(one: Segments, other: Segments) -> bool:
    """Both in the open segment, or one in common."""
    return not one.isdisjoint(other) if one or other else True


def classes(links: Iterable[Link]) -> dict[Segments, int]:
    """A number, not 0, for each distinct set of segments: the same one again whatever other pods there are."""
    numbers: dict[Segments, int] = {}
    taken: set[int] = {0}
    for segments in sorted({link.segments for link in links}, key=sorted):
        number = int.from_bytes(hashlib.sha256("\0".join(sorted(segments)).encode()).digest()[:4], "big")
        while number in taken:
            number = (number + 1) % 2**32
        taken.add(number)
        numbers[segments] = number
    return numbers


def reachable(numbers: Mapping[Segments, int]) -> dict[Segments, set[Segments]]:
    """For each class those that share a segment with it, by segment and not by pair."""
    members: dict[str, set[Segments]] = defaultdict(set)
    for segments in numbers:
        for segment in segments:
            members[segment].add(segments)
    return {one: set().union(*(members[segment] for segment in one)) if one else {one} for one in numbers}


def elements(links: Iterable[Link], services: Iterable[ServiceNet]) -> dict[str, dict[str, str]]:
    """What the table must hold for these pods, and who reaches which service."""
    links = tuple(links)
    numbers = classes(links)
    found: dict[str, dict[str, str]] = {key: {} for key in _KEYS}
    class4, class6, reach4, reach6, self4, self6, ports, guard4, guard6 = (found[key] for key in _KEYS)
    # Sharing is symmetric: the classes that an address is reachable from are those that it reaches.
    reaching = {one: [numbers[other] for other in others] for one, others in reachable(numbers).items()}
    for link in links:
        ipv4, ipv6, own = text(link.ipv4), text(link.ipv6), str(numbers[link.segments])
        class4[ipv4] = class6[ipv6] = own
        for number in reaching[link.segments]:
            reach4[f"{number} . {ipv4}"] = reach6[f"{number} . {ipv6}"] = ""
        self4[f"{ipv4} . {ipv4}"] = self6[f"{ipv6} . {ipv6}"] = ""
        address, name = hardware(link.ipv4), f'"{port_name(link.pod)}"'
        ports[name] = ""
        sender = f"{name} . {mac(address)} . "
        guard4[sender + ipv4] = guard6[sender + ipv6] = guard6[sender + text(link_local(address))] = ""
    behind = {link.ipv4: reaching[link.segments] for link in links}
    for service in services:
        pods = {backend.ipv4 for port in service.ports for backend in port.backends}
        pods |= {ipv4 for _, ipv4, _ in service.pods} if service.any_port else set()
        # What is no pod, such as the machine itself, is everybody's.
        whose = numbers.values() if pods - behind.keys() else ()
        for number in {*whose, *(number for pod in pods for number in behind.get(pod, ()))}:
            for own_address, reach in ((service.ipv4, reach4), (service.ipv6, reach6)):
                if own_address:
                    reach[f"{number} . {text(own_address)}"] = ""
    return found


_KEYS = (
    *("inet class4", "inet class6", "inet reach4", "inet reach6", "inet self4", "inet self6"),
    *("bridge ports", "bridge guard4", "bridge guard6"),
)
