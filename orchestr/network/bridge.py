"""The instance's bridge: the link, its addresses, the services' route, the kernel settings of both.

Run by the daemon at start and by the resolver when somebody else removed the bridge; both in the machine's namespace.
"""

import contextlib
import errno
import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from orchestr.network import messages
from orchestr.network.netlink import Netlink, attributes

DEFAULT_MTU = 1500
OWN_SETTINGS = {  # of the bridge itself; they go with it
    "net/ipv4/conf/{bridge}/route_localnet": "1",  # for 127.0.0.1 published; the table drops what pods send there
    "net/ipv4/conf/{bridge}/forwarding": "1",
    "net/ipv6/conf/{bridge}/accept_ra": "0",  # CVE-2020-13401
    "net/ipv6/conf/{bridge}/accept_redirects": "0",
    "net/ipv4/conf/{bridge}/accept_redirects": "0",
    "net/ipv4/conf/{bridge}/send_redirects": "0",
}


@dataclass(frozen=True, slots=True)
class Bridge:
    name: str
    hardware: bytes
    gateway4: IPv4Address
    gateway6: IPv6Address
    prefix4: int
    services4: IPv4Network
    services6: IPv6Network


def ensure(netlink: Netlink, bridge: Bridge) -> int:
    """Makes the bridge unless it is there and sets it up either way; its interface index."""
    netlink.call(messages.create_bridge(bridge.name, bridge.hardware, uplink_mtu(netlink)), ignore=(errno.EEXIST,))
    for path, value in OWN_SETTINGS.items():
        write_setting(path.format(bridge=bridge.name), value)
    index = socket.if_nametoindex(bridge.name)
    netlink.call(
        messages.set_up(index, bridge.hardware),
        messages.add_address(index, bridge.gateway4, bridge.prefix4),
        messages.add_address(index, bridge.gateway6, 64),
        # So that a service without backends has a route, and its clients get a reset instead of "unreachable".
        messages.add_route(index, bridge.services4, socket.AF_INET),
        messages.add_route(index, bridge.services6, socket.AF_INET6),
    )
    return index


def restore_ports(netlink: Netlink, index: int, ports: set[str]) -> None:
    """Puts the pods' links that lost their bridge on the new one."""
    found = [(number, name) for number, name, master in links(netlink) if name in ports and master != index]
    for number, name in found:
        netlink.call(messages.set_master(number, index), messages.port_options(name), ignore=(errno.ENODEV,))


def links(netlink: Netlink) -> list[tuple[int, str, int]]:
    """(index, name, master's index or 0) of every link."""
    found = []
    for body in netlink.dump(messages.GETLINK, messages.info()):
        index = struct.unpack_from("=i", body, 4)[0]
        parts = attributes(body, 16)
        master = struct.unpack("=I", parts[messages.MASTER])[0] if messages.MASTER in parts else 0
        found.append((index, parts[messages.IFNAME].rstrip(b"\0").decode(), master))
    return found


def uplink_mtu(netlink: Netlink) -> int:
    """The packet size of the link that holds the IPv4 default route: pods must not send larger ones."""
    # Each dump is read to its end: the socket refuses another one (EBUSY) while there is more of the first.
    for body in list(netlink.dump(messages.GETROUTE, struct.pack("=BBBBBBBBI", socket.AF_INET, *(0,) * 8))):
        table, kind = struct.unpack_from("=4xB2xB", body)
        route = attributes(body, 12)
        if body[1] or table != messages.MAIN_TABLE or kind != messages.UNICAST or 4 not in route:
            continue
        uplink = struct.unpack("=I", route[4])[0]  # RTA_OIF
        for link in list(netlink.dump(messages.GETLINK, messages.info())):
            if struct.unpack_from("=i", link, 4)[0] == uplink:
                return int(struct.unpack("=I", attributes(link, 16)[messages.MTU])[0])
    return DEFAULT_MTU


def write_setting(path: str, value: str) -> str | None:
    """Writes /proc/sys/PATH; what was there before if that differed, None if nothing changed or it does not exist."""
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(f"/proc/sys/{path}", os.O_RDWR | os.O_CLOEXEC)
        try:
            before = os.read(fd, 64).decode().strip()
            if before != value:
                os.pwrite(fd, value.encode(), 0)
                return before
        finally:
            os.close(fd)
    return None
