"""The rtnetlink messages of this room, encoded by pyroute2: links, addresses, routes, neighbours. See rtnetlink(7).

What is said in every pod's namespace again (its gateway, its routes) is encoded once: encoding costs more than the
kernel's own work.
"""

import socket
import sys
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import (
    RTM_DELLINK,
    RTM_DELNEIGH,
    RTM_GETLINK,
    RTM_GETROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
    rt_scope,
    rt_type,
)
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, IFA_F_PERMANENT, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_UP, ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import NUD_PERMANENT, ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from orchestr.network.addresses import mac, port_name, text
from orchestr.network.netlink import Message, message

MAIN_TABLE, BY_BOOT, UNICAST = 254, 3, rt_type["unicast"]  # RT_TABLE_MAIN, RTPROT_BOOT
CREATE, REPLACE = NLM_F_CREATE | NLM_F_EXCL, NLM_F_CREATE | NLM_F_REPLACE

# Stand in a message that is encoded once for what is put in for each pod, of the same length.
ANY_NAME, ANY_ADDRESS, ANY_NETNS = port_name(""), b"\x02\xfe\xdc\xba\x98\x76", 0x7EDCBA98

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Attributes = list[tuple[str, Any]]


def create_bridge(name: str, address: bytes, mtu: int) -> Message:
    data = {"attrs": [("IFLA_BR_MCAST_SNOOPING", 0)]}
    kind = {"attrs": [("IFLA_INFO_KIND", "bridge"), ("IFLA_INFO_DATA", data)]}
    own: Attributes = [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac(address)), ("IFLA_MTU", mtu)]
    return message(_link([*own, ("IFLA_LINKINFO", kind)], up=True), RTM_NEWLINK, CREATE, f"create bridge {name}")


def create_pair(name: str, master: int, netns: int, address: bytes, mtu: int) -> Message:
    """A veth pair whose other end is born as `eth0` in the namespace: moving it there later would cost 17 ms."""
    # In this order: neither a descriptor nor a MAC address of ours can hold what is still to be replaced.
    data = _pair(master, mtu).replace(_packed(ANY_NETNS), _packed(netns))
    data = data.replace(ANY_ADDRESS, address).replace(ANY_NAME.encode(), _port(name))
    return Message(data, f"create link {name}")


@lru_cache(maxsize=4)
def _pair(master: int, mtu: int) -> bytes:
    """For any pod: pyroute2 needs 0.25 ms for it, which would be a tenth of all that a pod's link costs."""
    inner: Attributes = [("IFLA_IFNAME", "eth0"), ("IFLA_ADDRESS", mac(ANY_ADDRESS)), ("IFLA_MTU", mtu)]
    peer = {"attrs": [("VETH_INFO_PEER", {"attrs": [*inner, ("IFLA_NET_NS_FD", ANY_NETNS)]})]}
    kind = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", peer)]}
    own: Attributes = [("IFLA_IFNAME", ANY_NAME), ("IFLA_MTU", mtu), ("IFLA_MASTER", master), ("IFLA_LINKINFO", kind)]
    return message(_link(own, up=True), RTM_NEWLINK, CREATE, "").data


def port_options(name: str) -> Message:
    """Hairpin for a pod that reaches itself through a service; no floods, so that no pod hears another's."""
    return Message(_port_options().replace(ANY_NAME.encode(), _port(name)), f"set bridge port {name}")


@lru_cache(maxsize=1)
def _port_options() -> bytes:
    options: Attributes = [("IFLA_BRPORT_MODE", 1), ("IFLA_BRPORT_MCAST_FLOOD", 0), ("IFLA_BRPORT_BCAST_FLOOD", 0)]
    slave: Attributes = [("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", {"attrs": options})]
    own: Attributes = [("IFLA_IFNAME", ANY_NAME), ("IFLA_LINKINFO", {"attrs": slave})]
    return message(_link(own), RTM_NEWLINK, 0, "").data


def set_master(name: str, master: int) -> Message:
    own: Attributes = [("IFLA_IFNAME", name), ("IFLA_MASTER", master)]
    return message(_link(own, up=True), RTM_NEWLINK, 0, f"put link {name} on its bridge")


@lru_cache(maxsize=16)
def set_up(index: int) -> Message:
    return message(_link([], index=index, up=True), RTM_NEWLINK, 0, f"set link {index} up")


def set_address(index: int, address: bytes) -> Message:
    """Its MAC address, and up."""
    own: Attributes = [("IFLA_ADDRESS", mac(address))]
    return message(_link(own, index=index, up=True), RTM_NEWLINK, 0, f"set link {index} up")


def set_group(name: str, group: int) -> Message:
    own: Attributes = [("IFLA_IFNAME", name), ("IFLA_GROUP", group)]
    return message(_link(own), RTM_NEWLINK, 0, f"put link {name} in group {group}")


def delete_group(group: int) -> Message:
    return message(_link([("IFLA_GROUP", group)]), RTM_DELLINK, 0, f"delete link group {group}")


def delete_link(name: str) -> Message:
    return message(_link([("IFLA_IFNAME", name)]), RTM_DELLINK, 0, f"delete link {name}")


def get_links(master: int = 0) -> Message:
    """To dump: all, or only the ports of a bridge."""
    return message(_link([("IFLA_MASTER", master)] if master else []), RTM_GETLINK, 0, "list links")


def get_routes() -> Message:
    """To dump: the IPv4 routes of all tables."""
    request = rtmsg()
    request["family"] = socket.AF_INET
    return message(request, RTM_GETROUTE, 0, "list routes")


def add_address(index: int, address: Address, prefix: int) -> Message:
    request = ifaddrmsg()
    request["family"], request["index"], request["prefixlen"] = _family(address), index, prefix
    request["flags"] = IFA_F_NODAD | IFA_F_PERMANENT if address.version == 6 else IFA_F_PERMANENT
    request["attrs"] = [("IFA_LOCAL", text(address)), ("IFA_ADDRESS", text(address))]
    return message(request, RTM_NEWADDR, REPLACE, f"give link {index} address {address}")


@lru_cache(maxsize=64)
def add_route(index: int, to: Network | None, family: int, *, via: Address | None = None) -> Message:
    """A route through a link; `to` None is the default route."""
    request = rtmsg()
    request["family"], request["dst_len"] = family, to.prefixlen if to else 0
    request["table"], request["proto"], request["type"] = MAIN_TABLE, BY_BOOT, UNICAST
    request["scope"] = rt_scope["universe" if via or family == socket.AF_INET6 else "link"]
    where: Attributes = [("RTA_DST", text(to.network_address))] if to else []
    where += [("RTA_GATEWAY", text(via))] if via else []
    request["attrs"] = [*where, ("RTA_OIF", index)]
    return message(request, RTM_NEWROUTE, REPLACE, f"add route to {to or 'everywhere'}")


def add_neighbour(index: int, address: Address, hardware: bytes) -> Message:
    request = _neighbour(index, address)
    request["attrs"].append(("NDA_LLADDR", mac(hardware)))
    return message(request, RTM_NEWNEIGH, REPLACE, f"add neighbour {address}")


@lru_cache(maxsize=16)
def add_gateway(index: int, address: Address, hardware: bytes) -> Message:
    """The neighbour that all pods have."""
    return add_neighbour(index, address, hardware)


def delete_neighbour(index: int, address: Address) -> Message:
    return message(_neighbour(index, address), RTM_DELNEIGH, 0, f"delete neighbour {address}")


def _port(name: str) -> bytes:
    assert len(name) == len(ANY_NAME), f"{name} is no name of a pod's link"
    return name.encode()


def _packed(number: int) -> bytes:
    return number.to_bytes(4, sys.byteorder)


def _link(attributes: Attributes, *, index: int = 0, up: bool = False) -> Any:
    request = ifinfmsg()
    request["index"], request["attrs"] = index, attributes
    if up:
        request["flags"] = request["change"] = IFF_UP
    return request


def _neighbour(index: int, address: Address) -> Any:
    request = ndmsg()
    request["family"], request["ifindex"], request["state"] = _family(address), index, NUD_PERMANENT
    request["attrs"] = [("NDA_DST", text(address))]
    return request


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6
