"""The kernel's connection table: how many connections a pod still serves, and forgetting UDP flows to one.

ctnetlink, linux/netfilter/nfnetlink_conntrack.h. The reply of a connection to a backend comes from the backend's
address, so the kernel filters by the reply's source.
"""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from pyroute2.netlink.marshal import Marshal
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_CTNETLINK
from pyroute2.netlink.nfnetlink.nfctsocket import (
    IPCTNL_MSG_CT_DELETE,
    IPCTNL_MSG_CT_GET,
    IPCTNL_MSG_CT_NEW,
    nfct_msg,
)

from orchestr.network.netlink import NETFILTER, Message, Netlink, message

SUBSYSTEM = NFNL_SUBSYS_CTNETLINK << 8
ESTABLISHED = 3  # TCP_CONNTRACK_ESTABLISHED
REPLY_SOURCE = 1  # CTA_FILTER_F_CTA_IP_SRC

Address = IPv4Address | IPv6Address


class _Marshal(Marshal):  # type: ignore[misc]  # pyroute2 has no types
    msg_map = {SUBSYSTEM | IPCTNL_MSG_CT_NEW: nfct_msg}  # noqa: RUF012


def established(address: Address) -> int:
    """TCP connections to this pod that came through a service or a published port and are not closing."""
    with Netlink(NETFILTER, _Marshal) as netlink:
        return sum(_counts(entry, address) for entry in _served_by(netlink, address))


def forget_udp(*addresses: Address) -> None:
    """Ends the UDP flows to these pods: without a connection, a flow would stick to a pod that is gone."""
    with Netlink(NETFILTER, _Marshal) as netlink:
        for address in addresses:
            served = _served_by(netlink, address)
            number = ("CTA_TUPLE_ORIG", "CTA_TUPLE_PROTO", "CTA_PROTO_NUM")
            doomed = [entry for entry in served if entry.get_nested(*number) == socket.IPPROTO_UDP]
            netlink.send([_delete(address, entry) for entry in doomed])  # one that ended meanwhile is no error


def _served_by(netlink: Netlink, address: Address) -> Iterator[Any]:
    source = {"attrs": [("CTA_TUPLE_IP", {"attrs": [(_ip(address, "SRC"), str(address))]})]}
    flags = {"attrs": [("CTA_FILTER_ORIG_FLAGS", 0), ("CTA_FILTER_REPLY_FLAGS", REPLY_SOURCE)]}
    request = _request(address, ("CTA_TUPLE_REPLY", source), ("CTA_FILTER", flags))
    dump = message(request, SUBSYSTEM | IPCTNL_MSG_CT_GET, 0, "list connections")
    for entry in netlink.dump(dump):
        if entry.get_nested("CTA_TUPLE_REPLY", "CTA_TUPLE_IP", _ip(address, "SRC")) == str(address):
            yield entry


def _counts(entry: Any, address: Address) -> bool:
    direct = entry.get_nested("CTA_TUPLE_ORIG", "CTA_TUPLE_IP", _ip(address, "DST")) == str(address)
    state = entry.get_nested("CTA_PROTOINFO", "CTA_PROTOINFO_TCP", "CTA_PROTOINFO_TCP_STATE")
    return not direct and state == ESTABLISHED


def _delete(address: Address, entry: Any) -> Message:
    request = _request(
        address, ("CTA_TUPLE_ORIG", entry.get_attr("CTA_TUPLE_ORIG")), ("CTA_ID", entry.get_attr("CTA_ID"))
    )
    return message(request, SUBSYSTEM | IPCTNL_MSG_CT_DELETE, 0, f"forget a flow to {address}")


def _request(address: Address, *attributes: tuple[str, Any]) -> Any:
    request = nfct_msg()
    request["nfgen_family"] = socket.AF_INET if address.version == 4 else socket.AF_INET6
    request["attrs"] = list(attributes)
    return request


def _ip(address: Address, side: str) -> str:
    return f"CTA_IP_V{address.version}_{side}"
