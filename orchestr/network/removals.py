"""Which links of this machine are removed, as the kernel tells it (RTNLGRP_LINK, rtnetlink(7))."""

import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import trio
from pyroute2.netlink import NETLINK_ADD_MEMBERSHIP, SOL_NETLINK
from pyroute2.netlink.marshal import Marshal
from pyroute2.netlink.rtnl import RTM_DELLINK, RTNLGRP_LINK
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from orchestr.network.netlink import RECEIVE, ROUTE


class _Removals(Marshal):  # type: ignore[misc]  # pyroute2 has no types
    msg_map = {RTM_DELLINK: ifinfmsg}  # noqa: RUF012

    def get_parser(self, key: int, flags: int, sequence_number: int) -> Callable[..., Any]:
        """Other news are passed over unread: every pod that comes makes several."""
        return super().get_parser(key, flags, sequence_number) if key == RTM_DELLINK else lambda *_: None


async def removals() -> AsyncIterator[set[str] | None]:
    """The names of links that went at about the same time; None when news were lost: any link may have gone."""
    marshal = _Removals()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, ROUTE) as sock:
        sock.bind((0, 0))
        sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, RTNLGRP_LINK)
        while True:
            await trio.lowlevel.wait_readable(sock)
            try:
                found = list(marshal.parse(sock.recv(RECEIVE)))
            except BlockingIOError:
                continue
            except OSError:  # ENOBUFS
                yield None
                continue
            # A port that leaves its bridge is told of with family AF_BRIDGE.
            names = {each.get_attr("IFLA_IFNAME") for each in found if each["family"] == socket.AF_UNSPEC}
            if names:
                yield names


def there(name: str) -> bool:
    try:
        return bool(socket.if_nametoindex(name))
    except OSError:
        return False
