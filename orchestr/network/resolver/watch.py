"""Somebody else flushed our table or removed our bridge: put it back at once, with or without a daemon.

Listens to the kernel's own notifications. A transaction that touched our table and was not the daemon's leads to the
whole table being asserted again from the file that the daemon keeps (an idempotent transaction).
"""

import os
import struct
import subprocess
import time
from collections.abc import Callable

from orchestr.network import bridge as bridges
from orchestr.network import messages
from orchestr.network.addresses import hardware, port_name
from orchestr.network.netlink import NETFILTER, ROUTE, Netlink, attributes
from orchestr.network.netlink import messages as split
from orchestr.network.resolver.loop import READ, Loop
from orchestr.network.statefile import RULES, Snapshot

GROUP_TABLES, GROUP_LINKS = 7, 1  # NFNLGRP_NFTABLES, RTNLGRP_LINK
NFTABLES, NEWGEN = 10, 15  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN
TABLE_NAME, GENERATION_PID = 1, 2  # NFTA_*_TABLE, NFTA_GEN_PROC_PID
PAUSE = 0.25  # seconds between two assertions, should two programs fight over the table


class Watch:
    def __init__(self, loop: Loop, run: str, snapshot: Callable[[], Snapshot]) -> None:
        self._loop, self._run, self._snapshot = loop, run, snapshot
        self.daemon = 0  # pid
        self._touched = False
        self._asserter: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._waiting = False
        self._tables, self._links = Netlink(NETFILTER), Netlink(ROUTE)
        for netlink, group, call in (
            (self._tables, GROUP_TABLES, self._changed),
            (self._links, GROUP_LINKS, self._unlinked),
        ):
            netlink.subscribe(group)
            netlink.socket.setblocking(False)
            loop.watch(netlink.socket, READ, call)

    def _changed(self, _: int) -> None:
        try:
            while True:
                for kind, _flags, _sequence, _port, body in split(self._tables.socket.recv(1 << 18)):
                    self._notice(kind, attributes(body, 4))
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: something was missed
            self._assert_soon()

    def _notice(self, kind: int, parts: dict[int, bytes]) -> None:
        if kind >> 8 != NFTABLES:
            return
        if kind & 0xFF != NEWGEN:
            self._touched = self._touched or parts.get(TABLE_NAME, b"").rstrip(b"\0").decode() == self._snapshot().table
            return
        if self._touched and not self._own(struct.unpack("!I", parts.get(GENERATION_PID, bytes(4)))[0]):
            self._assert_soon()
        self._touched = False

    def _own(self, thread: int) -> bool:
        """The kernel names the thread; /proc tells whose it is."""
        if self._asserter is not None and thread == self._asserter.pid:
            return True
        try:
            with open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as file:
                group = next(line.split()[1] for line in file if line.startswith("Tgid:"))
        except (OSError, StopIteration):
            return False
        return int(group) == self.daemon

    def _assert_soon(self) -> None:
        if not self._waiting:
            self._waiting = True
            self._loop.later(max(0.0, self._not_before - time.monotonic()), self._assert)

    def _assert(self) -> None:
        self._waiting = False
        self._not_before = time.monotonic() + PAUSE
        rules = os.path.join(self._run, RULES)
        if not os.path.exists(rules):
            return
        self._asserter = subprocess.Popen(["nft", "-f", rules])
        if self._asserter.wait():
            print("cannot assert the nftables table again: nft failed (see above); trying again", flush=True)
            self._assert_soon()

    def _unlinked(self, _: int) -> None:
        try:
            bodies = [b for k, _, _, _, b in split(self._links.socket.recv(1 << 18)) if k == messages.DELLINK]
        except BlockingIOError:
            return
        except OSError:
            bodies = []
        name = self._snapshot().bridge.name
        if any(attributes(body, 16).get(messages.IFNAME, b"").rstrip(b"\0").decode() == name for body in bodies):
            self._rebuild()

    def _rebuild(self) -> None:
        snapshot = self._snapshot()
        try:
            with Netlink() as netlink:
                index = bridges.ensure(netlink, snapshot.bridge)
                bridges.restore_ports(netlink, index, {port_name(link.pod) for link in snapshot.links})
                netlink.send(
                    [
                        messages.add_neighbour(index, address, hardware(link.ipv4))
                        for link in snapshot.links
                        for address in (link.ipv4, link.ipv6)
                    ]
                )
        except OSError as error:
            print(f"cannot make bridge {snapshot.bridge.name} again: {error}; trying again", flush=True)
            self._loop.later(PAUSE, self._rebuild)
