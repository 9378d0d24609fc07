"""A free pair of address ranges for a named instance."""

import hashlib
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from orchestr.instance import Instance
from orchestr.network import messages
from orchestr.network.netlink import Netlink, attributes
from orchestr.network.seam import NetworkFailure

POOL = IPv4Network("10.64.0.0/10")
SIZE = 18  # 16,382 pods and as many services; 256 such blocks in the pool


def choose_ranges(instance: Instance, taken: Iterable[str] = ()) -> tuple[str, str]:
    """(pod range, service range) that overlap no route or address of the machine and none of `taken`.

    What the instance already says is kept. The search begins at a place of its own for each name, so that instances
    which start at the same moment do not meet.
    """
    used = [IPv4Network(network) for network in taken] + machine_networks()
    used += [IPv4Network(cidr) for cidr in (instance.pod_cidr, instance.service_cidr) if cidr]
    pods = instance.pod_cidr or str(pick(instance.name, used))
    services = instance.service_cidr or str(pick(instance.name, [*used, IPv4Network(pods)]))
    return pods, services


def pick(name: str, used: Iterable[IPv4Network]) -> IPv4Network:
    """The first free block of the pool, from the place that belongs to `name` on. Pure."""
    used = tuple(used)
    count = 2 ** (SIZE - POOL.prefixlen)
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    for step in range(count):
        start = int(POOL.network_address) + (first + step) % count * 2 ** (32 - SIZE)
        block = IPv4Network((start, SIZE))
        if not any(block.overlaps(other) for other in used):
            return block
    raise NetworkFailure(f"cannot choose addresses: {POOL} is used up (give --pod-cidr and --service-cidr)")


def machine_networks() -> list[IPv4Network]:
    """The destinations of all IPv4 routes in all tables but the default route; addresses have theirs in `local`."""
    found = []
    with Netlink() as netlink:
        for body in netlink.dump(messages.GETROUTE, struct.pack("=BBBBBBBBI", socket.AF_INET, *(0,) * 8)):
            to = attributes(body, 12).get(1)  # RTA_DST
            if to and body[1]:
                found.append(IPv4Network((IPv4Address(to), body[1]), strict=False))
    return found
