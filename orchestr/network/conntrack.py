"""The kernel's connection table: how many connections a pod still serves, and forgetting UDP flows to one.

ctnetlink, linux/netfilter/nfnetlink_conntrack.h. The reply of a connection to a backend comes from the backend's
address, so the kernel filters by the reply's source.
"""

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from orchestr.network.netlink import NETFILTER, Message, Netlink, attr, attributes, nest, u32

GET, DELETE = 0x0101, 0x0102  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_*
TUPLE_ORIG, TUPLE_REPLY, PROTOINFO, ID, FILTER = 1, 2, 4, 12, 25  # CTA_*
TUPLE_IP, TUPLE_PROTO = 1, 2
PROTO_NUM, TCP_INFO, TCP_STATE, ESTABLISHED = 1, 1, 1, 3
FILTER_IP_SRC = 1
IP_SRC = {4: 1, 6: 3}
IP_DST = {4: 2, 6: 4}

Address = IPv4Address | IPv6Address


def established(address: Address) -> int:
    """TCP connections to this pod that came through a service or a published port and are not closing."""
    with Netlink(NETFILTER) as netlink:
        return sum(_counts(entry, address) for entry in _served_by(netlink, address))


def forget_udp(*addresses: Address) -> None:
    """Ends the UDP flows to these pods: without a connection, a flow would stick to a pod that is gone."""
    with Netlink(NETFILTER) as netlink:
        for address in addresses:
            doomed = [entry for entry in _served_by(netlink, address) if _protocol(entry) == socket.IPPROTO_UDP]
            netlink.send([_delete(address, entry) for entry in doomed])  # one that ended meanwhile is no error


def _served_by(netlink: Netlink, address: Address) -> Iterator[dict[int, bytes]]:
    source = nest(TUPLE_REPLY, nest(TUPLE_IP, attr(IP_SRC[address.version], address.packed)))
    flags = nest(FILTER, u32(1, 0), u32(2, FILTER_IP_SRC))  # CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS
    for body in netlink.dump(GET, _header(address) + source + flags):
        entry = attributes(body, 4)
        if _ip(entry, TUPLE_REPLY, IP_SRC[address.version]) == address.packed:
            yield entry


def _counts(entry: dict[int, bytes], address: Address) -> bool:
    direct = _ip(entry, TUPLE_ORIG, IP_DST[address.version]) == address.packed
    state = attributes(attributes(entry.get(PROTOINFO, b"")).get(TCP_INFO, b"")).get(TCP_STATE)
    return not direct and state == bytes([ESTABLISHED])


def _delete(address: Address, entry: dict[int, bytes]) -> Message:
    body = _header(address) + nest(TUPLE_ORIG, entry[TUPLE_ORIG]) + attr(ID, entry[ID])
    return Message(DELETE, 0, body, f"forget a flow to {address}")


def _header(address: Address) -> bytes:
    """struct nfgenmsg"""
    return struct.pack("=BBH", socket.AF_INET if address.version == 4 else socket.AF_INET6, 0, 0)


def _ip(entry: dict[int, bytes], side: int, kind: int) -> bytes:
    return attributes(attributes(entry.get(side, b"")).get(TUPLE_IP, b"")).get(kind, b"")


def _protocol(entry: dict[int, bytes]) -> int:
    return attributes(attributes(entry.get(TUPLE_ORIG, b"")).get(TUPLE_PROTO, b"")).get(PROTO_NUM, b"\0")[0]
