"""The rtnetlink messages of this room, as bytes: links, addresses, routes, neighbours. Pure. See rtnetlink(7)."""

import socket
import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from orchestr.network.netlink import CREATE, EXCL, REPLACE, Message, attr, nest, text, u32

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH = 28, 29

ADDRESS, IFNAME, MTU, MASTER, LINKINFO, GROUP, NET_NS_FD = 1, 3, 4, 10, 18, 27, 28  # IFLA_*
INFO_KIND, INFO_DATA, INFO_SLAVE_KIND, INFO_SLAVE_DATA = 1, 2, 4, 5
VETH_PEER = 1
BR_MCAST_SNOOPING = 23
PORT_HAIRPIN, PORT_MCAST_FLOOD, PORT_BCAST_FLOOD = 4, 27, 30  # IFLA_BRPORT_MODE, _MCAST_FLOOD, _BCAST_FLOOD
UP = 1  # IFF_UP
NODAD, PERMANENT = 0x02, 0x80  # IFA_F_NODAD; IFA_F_PERMANENT and NUD_PERMANENT
UNIVERSE, SCOPE_LINK, UNICAST, MAIN_TABLE, BY_BOOT = 0, 253, 1, 254, 3

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def info(index: int = 0, *, flags: int = 0, change: int = 0) -> bytes:
    """struct ifinfomsg"""
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


def create_bridge(name: str, address: bytes, mtu: int) -> Message:
    data = nest(INFO_DATA, attr(BR_MCAST_SNOOPING, b"\0"))
    body = info(flags=UP, change=UP) + text(IFNAME, name) + attr(ADDRESS, address) + u32(MTU, mtu)
    kind = nest(LINKINFO, text(INFO_KIND, "bridge"), data)
    return Message(NEWLINK, CREATE | EXCL, body + kind, f"create bridge {name}")


def create_pair(name: str, master: int, netns: int, address: bytes, mtu: int) -> Message:
    """A veth pair whose other end is born as `eth0` in the namespace: moving it there later would cost 17 ms."""
    peer = info() + text(IFNAME, "eth0") + attr(ADDRESS, address) + u32(MTU, mtu) + u32(NET_NS_FD, netns)
    kind = nest(LINKINFO, text(INFO_KIND, "veth"), nest(INFO_DATA, nest(VETH_PEER, peer)))
    own = info(flags=UP, change=UP) + text(IFNAME, name) + u32(MTU, mtu) + u32(MASTER, master)
    return Message(NEWLINK, CREATE | EXCL, own + kind, f"create link {name}")


def port_options(name: str) -> Message:
    """Hairpin for a pod that reaches itself through a service; no floods, so that no pod hears another's."""
    options = attr(PORT_HAIRPIN, b"\1") + attr(PORT_MCAST_FLOOD, b"\0") + attr(PORT_BCAST_FLOOD, b"\0")
    slave = nest(LINKINFO, text(INFO_SLAVE_KIND, "bridge"), nest(INFO_SLAVE_DATA, options))
    return Message(NEWLINK, 0, info() + text(IFNAME, name) + slave, f"set bridge port {name}")


def set_master(index: int, master: int) -> Message:
    return Message(
        NEWLINK, 0, info(index, flags=UP, change=UP) + u32(MASTER, master), f"put link {index} on its bridge"
    )


def set_up(index: int, address: bytes | None = None) -> Message:
    body = info(index, flags=UP, change=UP) + (attr(ADDRESS, address) if address else b"")
    return Message(NEWLINK, 0, body, f"set link {index} up")


def set_group(index: int, group: int) -> Message:
    return Message(NEWLINK, 0, info(index) + u32(GROUP, group), f"put link {index} in group {group}")


def delete_group(group: int) -> Message:
    return Message(DELLINK, 0, info() + u32(GROUP, group), f"delete link group {group}")


def delete_link(name: str) -> Message:
    return Message(DELLINK, 0, info() + text(IFNAME, name), f"delete link {name}")


def add_address(index: int, address: Address, prefix: int) -> Message:
    family = _family(address)
    flags = NODAD | PERMANENT if address.version == 6 else PERMANENT
    body = struct.pack("=BBBBi", family, prefix, flags, UNIVERSE, index)
    body += attr(2, address.packed) + attr(1, address.packed)  # IFA_LOCAL, IFA_ADDRESS
    return Message(NEWADDR, CREATE | REPLACE, body, f"give link {index} address {address}")


def add_route(index: int, to: Network | None, family: int, *, via: Address | None = None) -> Message:
    """A route through a link; `to` None is the default route."""
    scope = UNIVERSE if via or family == socket.AF_INET6 else SCOPE_LINK
    length = to.prefixlen if to else 0
    body = struct.pack("=BBBBBBBBI", family, length, 0, 0, MAIN_TABLE, BY_BOOT, scope, UNICAST, 0)
    body += attr(1, to.network_address.packed) if to else b""  # RTA_DST
    body += attr(5, via.packed) if via else b""  # RTA_GATEWAY
    return Message(NEWROUTE, CREATE | REPLACE, body + u32(4, index), f"add route to {to or 'everywhere'}")


def add_neighbour(index: int, address: Address, hardware: bytes) -> Message:
    body = struct.pack("=BxxxiHBB", _family(address), index, PERMANENT, 0, 0)
    body += attr(1, address.packed) + attr(2, hardware)  # NDA_DST, NDA_LLADDR
    return Message(NEWNEIGH, CREATE | REPLACE, body, f"add neighbour {address}")


def delete_neighbour(index: int, address: Address) -> Message:
    body = struct.pack("=BxxxiHBB", _family(address), index, PERMANENT, 0, 0) + attr(1, address.packed)
    return Message(DELNEIGH, 0, body, f"delete neighbour {address}")


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
