"""The instance's bridge: the link, its addresses, the services' route, the kernel settings of both.

Run by the daemon at start and by `repair` when somebody else removed the bridge; both in the machine's namespace.
"""

import errno
import socket
from collections.abc import Iterable

from orchestr.network import messages
from orchestr.network.addresses import Bridge, hardware, port_name
from orchestr.network.netlink import Netlink
from orchestr.network.seam import Link
from orchestr.network.settings import write_setting

DEFAULT_MTU = 1500
OWN_SETTINGS = {  # of the bridge itself; they go with it
    "net/ipv4/conf/{bridge}/route_localnet": "1",  # for 127.0.0.1 published; the table drops what pods send there
    "net/ipv4/conf/{bridge}/forwarding": "1",
    "net/ipv6/conf/{bridge}/accept_ra": "0",  # CVE-2020-13401
    "net/ipv6/conf/{bridge}/accept_redirects": "0",
    "net/ipv4/conf/{bridge}/accept_redirects": "0",
    "net/ipv4/conf/{bridge}/send_redirects": "0",
}


def ensure(netlink: Netlink, bridge: Bridge) -> int:
    """Makes the bridge unless it is there and sets it up either way; its interface index."""
    netlink.call(messages.create_bridge(bridge.name, bridge.hardware, uplink_mtu(netlink)), ignore=(errno.EEXIST,))
    for path, value in OWN_SETTINGS.items():
        write_setting(path.format(bridge=bridge.name), value)
    index = socket.if_nametoindex(bridge.name)
    netlink.call(
        messages.set_address(index, bridge.hardware),
        messages.add_address(index, bridge.gateway4, bridge.prefix4),
        messages.add_address(index, bridge.gateway6, 64),
        # So that a service without backends has a route, and its clients get a reset instead of "unreachable".
        messages.add_route(index, bridge.services4, socket.AF_INET),
        messages.add_route(index, bridge.services6, socket.AF_INET6),
    )
    return index


def restore(netlink: Netlink, bridge: Bridge, links: Iterable[Link]) -> int:
    """Makes a bridge that was removed again, with those ports that lost it and are still there; its index."""
    index = ensure(netlink, bridge)
    for link in links:
        name, address = port_name(link.pod), hardware(link.ipv4)
        netlink.send(
            [
                messages.set_master(name, index),
                messages.port_options(name),
                messages.add_neighbour(index, link.ipv4, address),
                messages.add_neighbour(index, link.ipv6, address),
            ]
        )
    return index


def ports(netlink: Netlink, index: int) -> list[str]:
    """The names of the links on a bridge."""
    return [found.get_attr("IFLA_IFNAME") for found in netlink.dump(messages.get_links(index)) if found["index"]]


def uplink_mtu(netlink: Netlink) -> int:
    """The packet size of the link that holds the IPv4 default route: pods must not send larger ones."""
    for route in netlink.dump(messages.get_routes()):
        if route["dst_len"] or route["table"] != messages.MAIN_TABLE or route["type"] != messages.UNICAST:
            continue
        uplink = route.get_attr("RTA_OIF")
        for link in netlink.dump(messages.get_links()):
            if uplink is not None and link["index"] == uplink:
                return int(link.get_attr("IFLA_MTU"))
    return DEFAULT_MTU
