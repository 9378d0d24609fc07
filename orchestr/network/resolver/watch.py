"""Somebody else flushed our table or removed our bridge: put it back at once, with or without a daemon.

Listens to the kernel's own notifications. A transaction that touched our table and was not the daemon's leads to the
whole table being asserted again from the file that the daemon keeps (an idempotent transaction).
"""

import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable

from orchestr.network.resolver.loop import READ, Loop
from orchestr.network.resolver.notice import NETFILTER, ROUTE, attributes, heard, listener
from orchestr.network.statefile import RULES, Snapshot

GROUP_TABLES, GROUP_LINKS = 7, 1  # NFNLGRP_NFTABLES, RTNLGRP_LINK
NFTABLES, NEWGEN = 10, 15  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWGEN
TABLE_NAME, GENERATION_PID = 1, 2  # NFTA_*_TABLE, NFTA_GEN_PROC_PID
DELLINK, IFNAME = 17, 3  # RTM_DELLINK, IFLA_IFNAME
NFGENMSG, IFINFOMSG = 4, 16  # bytes
PAUSE = 0.25  # seconds between two assertions, should two programs fight over the table


class Watch:
    def __init__(self, loop: Loop, run: str, snapshot: Callable[[], Snapshot]) -> None:
        self._loop, self._run, self._snapshot = loop, run, snapshot
        self.daemon = 0  # pid
        self._touched = False
        self._asserter: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._waiting = False
        self._repair: subprocess.Popen[bytes] | None = None
        self._tables, self._links = listener(NETFILTER, GROUP_TABLES), listener(ROUTE, GROUP_LINKS)
        loop.watch(self._tables, READ, self._changed)
        loop.watch(self._links, READ, self._unlinked)

    def _changed(self, _: int) -> None:
        try:
            for kind, body in heard(self._tables):
                self._notice(kind, attributes(body, NFGENMSG))
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
        name = self._snapshot().bridge.name
        try:
            bodies = [body for kind, body in heard(self._links) if kind == DELLINK]
            gone = [attributes(body, IFINFOMSG).get(IFNAME, b"") for body in bodies]
        except OSError:  # ENOBUFS: something was missed
            gone = [] if os.path.exists(f"/proc/sys/net/ipv4/conf/{name}") else [name.encode()]
        if any(link.rstrip(b"\0").decode() == name for link in gone):
            self._rebuild()

    def _rebuild(self) -> None:
        """In a process of its own, which says itself what it could not do; names are served meanwhile."""
        if self._repair is None:
            command = [sys.executable, "-I", "-m", "orchestr.network.repair", self._run]
            self._repair = subprocess.Popen(command, stdout=subprocess.PIPE)
            assert self._repair.stdout
            self._loop.watch(self._repair.stdout, READ, self._repaired)

    def _repaired(self, _: int) -> None:
        assert self._repair
        assert self._repair.stdout
        self._loop.close(self._repair.stdout)  # it says nothing there: this is its end
        failed, self._repair = self._repair.wait() != 0, None
        if failed or not os.path.exists(f"/proc/sys/net/ipv4/conf/{self._snapshot().bridge.name}"):
            self._loop.later(PAUSE, self._rebuild)
