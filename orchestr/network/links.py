"""One veth pair per pod, many at once: all pairs in one go, then each namespace from inside.

A pod's own address is a /32 (/128) and everything else goes by the gateway, neighbours included. So every packet
between two pods is routed by the host, through `inet` forward, whether or not br_netfilter is there; the bridge table
drops frames that are not for the gateway. ARP and neighbour discovery are replaced by permanent entries at both ends.
"""

import ctypes
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from orchestr.network import messages
from orchestr.network.addresses import Bridge, hardware, port_name
from orchestr.network.bridge import ports
from orchestr.network.netlink import Message, Netlink
from orchestr.network.seam import Link, NetworkFailure

CLONE_NEWNET = 0x40000000
GROUP_BASE = 0x4F000000  # above what people number their link groups with
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    link: Link
    netns: int  # descriptor


def attach(bridge: Bridge, index: int, mtu: int, wanted: Sequence[Wanted]) -> list[NetworkFailure | None]:
    """Connects each pod's namespace; what became of each. Idempotent. Blocks; to be run in a worker thread."""
    with Netlink() as host:
        errors = _pairs(host, index, mtu, wanted)
        results = []
        with leaving_no_trace() as enter:
            for want, error in zip(wanted, errors, strict=True):
                results.append(_finish(host, bridge, index, mtu, want, error, enter))
    return results


def detach(index: int, gone: Sequence[Link]) -> None:
    """Removes neighbour entries, and those pairs that their namespaces have not taken along already."""
    with Netlink() as host:
        host.send([messages.delete_neighbour(index, address) for link in gone for address in (link.ipv4, link.ipv6)])
        _delete(host, index, [port_name(link.pod) for link in gone])


def _delete(host: Netlink, index: int, names: Sequence[str]) -> None:
    """As one group: the kernel waits once and not 19 ms for each. One that has gone already is no error."""
    group = GROUP_BASE + index
    if None in host.send([messages.set_group(name, group) for name in names]):
        host.call(messages.delete_group(group), ignore=(errno.ENODEV,))


def remove_all(host: Netlink, bridge: str) -> None:
    """Removes the bridge and every pair on it."""
    try:
        index = socket.if_nametoindex(bridge)
    except OSError:
        return
    _delete(host, index, ports(host, index))
    host.call(messages.delete_link(bridge), ignore=(errno.ENODEV,))


def inside(bridge: Bridge, link: Link, eth0: int) -> list[Message]:
    """What to say in the pod's namespace, where lo is always 1. Pure."""
    gateway4, gateway6 = IPv4Network(bridge.gateway4), IPv6Network(bridge.gateway6)
    return [
        messages.set_up(1),
        messages.set_address(eth0, hardware(link.ipv4)),
        messages.add_address(eth0, link.ipv4, 32),
        messages.add_address(eth0, link.ipv6, 128),
        messages.add_gateway(eth0, bridge.gateway4, bridge.hardware),
        messages.add_gateway(eth0, bridge.gateway6, bridge.hardware),
        messages.add_route(eth0, gateway4, socket.AF_INET),
        messages.add_route(eth0, gateway6, socket.AF_INET6),
        messages.add_route(eth0, None, socket.AF_INET, via=bridge.gateway4),
        messages.add_route(eth0, None, socket.AF_INET6, via=bridge.gateway6),
    ]


class Enter:
    """Opens netlink sockets in other network namespaces; the socket stays there when the thread comes back."""

    def __init__(self, home: int) -> None:
        self._home = home

    def __call__(self, netns: int) -> tuple[Netlink, int]:
        """(socket, index of eth0 or 0) of the namespace."""
        setns(netns)
        try:
            netlink = Netlink()
            try:
                return netlink, socket.if_nametoindex("eth0")
            except OSError:
                return netlink, 0
        finally:
            setns(self._home)


@contextmanager
def leaving_no_trace() -> Iterator[Enter]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Enter(home)
    finally:
        os.close(home)


def setns(netns: int) -> None:
    if _libc.setns(netns, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"cannot enter network namespace: {os.strerror(code)}")


def _pairs(host: Netlink, index: int, mtu: int, wanted: Sequence[Wanted]) -> list[OSError | None]:
    batch = [messages.create_pair(port_name(w.link.pod), index, w.netns, hardware(w.link.ipv4), mtu) for w in wanted]
    errors = host.send(batch)
    rest: list[Message] = []
    for want in wanted:
        rest += [
            messages.port_options(port_name(want.link.pod)),
            messages.add_neighbour(index, want.link.ipv4, hardware(want.link.ipv4)),
            messages.add_neighbour(index, want.link.ipv6, hardware(want.link.ipv4)),
        ]
    host.send(rest)  # of a pair that could not be made it fails too, and the pair's own error is the one to tell
    return errors


def _finish(
    host: Netlink, bridge: Bridge, index: int, mtu: int, want: Wanted, error: OSError | None, enter: Enter
) -> NetworkFailure | None:
    """Configures the inner end; replaces a pair that is left over from another namespace of the same pod."""
    try:
        netlink, eth0 = enter(want.netns)
        with netlink:
            if not eth0 and error is not None and error.errno == errno.EEXIST:
                host.call(messages.delete_link(port_name(want.link.pod)), ignore=(errno.ENODEV,))
                error = _pairs(host, index, mtu, [want])[0]
                if error is None:
                    netlink.socket.close()
                    return _finish(host, bridge, index, mtu, want, None, enter)
            if error is not None and error.errno != errno.EEXIST:
                raise error
            netlink.call(*inside(bridge, want.link, eth0), ignore=(errno.EEXIST,))
    except OSError as failure:
        name = f"{want.link.namespace}/{want.link.name}"
        return NetworkFailure(f"cannot connect pod {name}: {failure.strerror} (see whether its sandbox still runs)")
    return None
