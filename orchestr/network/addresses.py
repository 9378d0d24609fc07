"""Which networks, names and hardware addresses an instance uses: pure functions of the instance and the machine.

Everything is derived and nothing is stored, so that agent, admission and data plane agree without asking each other.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from orchestr.instance import Instance
from orchestr.network.seam import NetworkFailure

MACHINE_ID = "/etc/machine-id"  # machine-id(5)


@dataclass(frozen=True, slots=True)
class Networks:
    """The ranges of one instance. The gateway of each family is the first address of the pods' range."""

    pods4: IPv4Network
    pods6: IPv6Network  # fdXX:XXXX:XXXX::/64, RFC 4193
    services4: IPv4Network
    services6: IPv6Network  # the next /64

    @property
    def gateway4(self) -> IPv4Address:
        return self.pods4[1]

    @property
    def gateway6(self) -> IPv6Address:
        return self.pods6[1]


@dataclass(frozen=True, slots=True)
class Bridge:
    """What an instance's bridge must be; known to the resolver too, so that it can be made again without the daemon."""

    name: str
    hardware: bytes
    gateway4: IPv4Address
    gateway6: IPv6Address
    prefix4: int
    services4: IPv4Network
    services6: IPv6Network


def networks(instance: Instance) -> Networks:
    """The ranges of `instance`; NetworkFailure when its IPv4 ranges were not chosen yet."""
    if not (instance.pod_cidr and instance.service_cidr):
        raise NetworkFailure(
            f"cannot set up bridge {instance.bridge}: no address range (choose one with --pod-cidr and --service-cidr)"
        )
    prefix = _unique_prefix(instance.bridge)
    return Networks(
        pods4=IPv4Network(instance.pod_cidr),
        services4=IPv4Network(instance.service_cidr),
        pods6=IPv6Network((prefix, 64)),
        services6=IPv6Network((prefix + (1 << 64), 64)),
    )


def bridge(instance: Instance) -> Bridge:
    """The bridge of `instance`. NetworkFailure as `networks`."""
    own = networks(instance)
    gateways = own.gateway4, own.gateway6
    return Bridge(instance.bridge, hardware(own.gateway4), *gateways, own.pods4.prefixlen, own.services4, own.services6)


@lru_cache(maxsize=1 << 14)
def port_name(pod: str) -> str:
    """The host's end of a pod's pair, from the pod's uid; at most 15 characters (IFNAMSIZ)."""
    return "v" + hashlib.sha256(pod.encode()).hexdigest()[:12]


def hardware(address: IPv4Address) -> bytes:
    """A locally administered MAC address that belongs to an IPv4 address, so that neighbours need no ARP."""
    return b"\x0a\x58" + address.packed


@lru_cache(maxsize=1 << 14)
def mac(raw: bytes) -> str:
    return raw.hex(":")


@lru_cache(maxsize=1 << 14)
def link_local(raw: bytes) -> IPv6Address:
    """What the kernel gives an interface with this MAC address (EUI-64, RFC 4291 appendix A)."""
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:])


def _unique_prefix(bridge: str) -> int:
    try:
        with open(MACHINE_ID, encoding="ascii") as file:
            machine = file.read().strip()
    except OSError:
        machine = os.uname().nodename
    # The bridge's name stands for the instance: no two instances of a machine can share it.
    digest = hashlib.sha256(f"orch {machine} {bridge}".encode()).digest()
    return int.from_bytes(b"\xfd" + digest[:5] + bytes(10), "big")


@lru_cache(maxsize=1 << 16)
def text(address: IPv4Address | IPv6Address) -> str:
    """str() of an address, kept: every apply spells the same ones, and IPv6 takes 5 microseconds each time."""
    return str(address)
