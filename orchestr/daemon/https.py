"""Where https listens, and what clients may call it there."""

import os
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from orchestr.agent.machine import primary_address
from orchestr.client.paths import Address
from orchestr.instance import Instance
from orchestr.network.addresses import Networks
from orchestr.server.pki import Directory, utc_now
from orchestr.server.tls import Tls, kept_socket, shown, tcp_socket

SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


def sockets(instance: Instance, addresses: Sequence[Address]) -> list[socket.socket]:
    """Those that were asked for, else one on a free loopback port. CannotListen."""
    found: list[socket.socket] = []
    try:
        for each in addresses:
            found.append(tcp_socket(each.host, each.port))
        return found or [kept_socket(instance.state)]
    except BaseException:
        for sock in found:
            sock.close()
        raise


def inside(ranges: Networks) -> list[socket.socket]:
    """For pods: any port of the bridge's own addresses, the same one for both families."""
    first = tcp_socket(str(ranges.gateway4), 0, free=True)
    try:
        return [first, tcp_socket(str(ranges.gateway6), first.getsockname()[1], free=True)]
    except BaseException:
        first.close()
        raise


def urls(listening: Sequence[socket.socket]) -> tuple[str, ...]:
    """How clients reach the sockets: a wildcard by the machine's address."""
    return tuple(f"https://{shown(_reached(sock))}:{sock.getsockname()[1]}" for sock in listening)


def _reached(sock: socket.socket) -> str:
    host: str = sock.getsockname()[0]
    if not ip_address(host).is_unspecified:
        return host
    return primary_address() if sock.family == socket.AF_INET else "::1"


def settings(instance: Instance, node: str, ranges: Networks, listening: Sequence[socket.socket]) -> Tls:
    """The TLS settings, with certificates for every name of the server. Blocks."""
    names = {"localhost", "127.0.0.1", "::1", node, *SERVICE_NAMES, primary_address()}
    names |= {str(ranges.services4[1]), str(ranges.services6[1]), str(ranges.gateway4), str(ranges.gateway6)}
    names |= {_reached(sock) for sock in listening}
    return Tls(Directory(os.path.join(instance.state, "pki")), names, utc_now)
