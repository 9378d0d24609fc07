"""The Dataplane on Linux: puts bridge, links, table and resolver together. Promises: see seam.py.

Kernel work is done in worker threads. Concurrent attaches are carried out together: whoever comes first takes along all
that wait, so that a hundred pods are a few batches of netlink messages and a few transactions.

The first `apply` after `start` must have the whole state: it is asserted whatever the kernel holds.
"""

import errno
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeVar

import trio

from orchestr.instance import Instance
from orchestr.network import bridge as bridges
from orchestr.network import conntrack, isolation, links, policy, published, segments, services, settings
from orchestr.network.addresses import bridge, networks, port_name
from orchestr.network.control import Control, reap
from orchestr.network.netlink import Netlink
from orchestr.network.nft import Nft
from orchestr.network.removals import removals, there
from orchestr.network.ruleset import EMPTY, Ruleset, difference, whole
from orchestr.network.seam import Link, NetworkFailure, NetworkState, PortTaken
from orchestr.network.services import Socket
from orchestr.network.statefile import RULES, STATE, Held, Snapshot, encode, encode_link, write

T = TypeVar("T")
NOTHING = NetworkState((), ())


@dataclass(slots=True)
class _Attach:
    want: links.Wanted
    done: bool = False
    error: NetworkFailure | None = None


@dataclass(slots=True)
class _Told:
    """What was applied last."""

    state: NetworkState = NOTHING
    refused: dict[Socket, int] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    served: services.Compiled = field(default_factory=services.Compiled)


class LinuxDataplane:
    """One per instance and daemon. Methods may be called concurrently, from the trio thread."""

    def __init__(self, instance: Instance, *, run: str | None = None) -> None:
        self._instance = instance
        self._run = run or instance.run
        self._networks = networks(instance)
        self._bridge = bridge(instance)
        self._control = Control(self._run)
        self._nft = Nft()
        self._lock = trio.Lock()  # table, snapshot and links change in turn
        self._waiting: list[_Attach] = []
        self._leaving: list[str] = []
        self._attached: dict[str, Link] = {}
        self._told = _Told()
        self._rules = EMPTY  # what the kernel holds, as far as we know; EMPTY: assert the whole
        self._static = policy.chains(self._bridge, self._networks)
        self._index = self._mtu = 0
        self._newest = self._applied = 0  # numbers of states to apply
        self._wanted = NOTHING
        self._taken: dict[services.Key, PortTaken] = {}
        self._stopping = False

    @property
    def resolver(self) -> int:
        """Pid of the resolver process, 0 if it does not run."""
        return self._control.pid()

    async def start(self) -> None:
        self._stopping = False
        async with self._lock:
            pid = await _blocking(self._start)
        # A system task and no nursery of the caller's: the seam has none, and the resolver must be kept alive as long
        # as this trio run lasts. It ends with the run, or by `stop`.
        trio.lowlevel.spawn_system_task(self._keep_resolver, pid)

    async def attach(self, link: Link, netns: int) -> None:
        mine = _Attach(links.Wanted(link, netns))
        self._waiting.append(mine)
        async with self._lock:
            if not mine.done:
                batch, self._waiting = self._waiting, []
                await _blocking(self._attach, batch)
        if mine.error:
            raise mine.error

    async def detach(self, pod: str) -> None:
        self._leaving.append(pod)
        async with self._lock:
            if pod in self._leaving:
                batch, self._leaving = set(self._leaving), []
                await _blocking(self._detach, batch)

    async def lost(self) -> AsyncIterator[str]:
        async for names in removals():
            if names is None or self._bridge.name in names:
                async with self._lock:
                    if self._stopping:  # it was us
                        return
                    await _blocking(self._find_bridge)
            for link in self._links():
                name = port_name(link.pod)
                if (names is None or name in names) and not there(name):
                    yield link.pod

    async def apply(self, state: NetworkState) -> dict[tuple[str, str, int], PortTaken]:
        self._newest += 1
        mine, self._wanted = self._newest, state
        async with self._lock:
            # A state is whole, so a newer one replaces those that still wait: a burst of changes is applied once.
            if self._applied < mine:
                number, wanted = self._newest, self._wanted
                self._taken = await _blocking(self._apply, wanted)
                self._applied = number
            return self._taken

    async def connections(self, address: IPv4Address) -> int:
        return await _blocking(conntrack.established, address)

    async def dns_server(self) -> tuple[IPv4Address, IPv6Address]:
        return self._networks.gateway4, self._networks.gateway6

    async def stop(self) -> None:
        async with self._lock:
            self._stopping = True
            await _blocking(self._stop)

    # What follows blocks and runs in worker threads, one at a time.

    def _start(self) -> int:
        os.makedirs(self._run, mode=0o700, exist_ok=True)
        with Netlink() as netlink:
            self._index = bridges.ensure(netlink, self._bridge)
            self._mtu = bridges.uplink_mtu(netlink)
        settings.turn_on(self._bridge.name)  # after: a user is known by its bridge
        if not os.path.exists(os.path.join(self._run, STATE)):
            write(self._run, STATE, encode(self._snapshot()))
        if not os.path.exists(os.path.join(self._run, RULES)):
            self._assert(self._compile({}))
        else:  # of the daemon before us: it holds until the first apply
            with open(os.path.join(self._run, RULES), encoding="ascii") as file:
                self._nft.run(file.read())
        return self._control.ensure()

    def _find_bridge(self) -> None:
        """Somebody else may have removed it, and the resolver made it again with another index."""
        try:
            self._index = socket.if_nametoindex(self._bridge.name)
        except OSError:
            with Netlink() as netlink:
                self._index = bridges.restore(netlink, self._bridge, self._links())

    def _attach(self, batch: list[_Attach]) -> None:
        new = [attach.want.link for attach in batch]
        self._attached.update((link.pod, link) for link in new)
        try:
            self._find_bridge()
            self._change_links()  # before the pods can send: an unguarded port could forge
            results = links.attach(self._bridge, self._index, self._mtu, [attach.want for attach in batch])
            self._call(op="links", links=[encode_link(link) for link in new])
        except (OSError, NetworkFailure) as error:
            results = [error if isinstance(error, NetworkFailure) else NetworkFailure(str(error))] * len(batch)
        for attach, result in zip(batch, results, strict=True):
            attach.done, attach.error = True, result
            if result is not None:
                self._attached.pop(attach.want.link.pod, None)

    def _detach(self, pods: set[str]) -> None:
        gone = [link for link in self._links() if link.pod in pods]
        for pod in pods:
            self._attached.pop(pod, None)
        rest = tuple(link for link in self._told.state.links if link.pod not in pods)
        self._told.state = replace(self._told.state, links=rest)
        links.detach(self._index, gone)
        self._change_links()  # last: a pod that still runs stays guarded

    def _change_links(self) -> None:
        """Brings what the table says of links in line, the services as they were."""
        if self._rules is EMPTY:
            self._add_links()
        else:
            self._commit(self._ruleset())

    def _add_links(self) -> None:
        """Before the first apply the table is the last daemon's: pods are added to it, nothing is taken away."""
        elements = segments.elements(self._attached.values(), ())
        added = difference(Ruleset({}, policy.SETS, {}), Ruleset({}, policy.SETS, elements), self._instance.table)
        if added:
            self._nft.run(added)

    def _apply(self, state: NetworkState) -> dict[tuple[str, str, int], PortTaken]:
        before, self._told.state = self._told.state, state
        # Labels may have changed since they were attached.
        self._attached.update((link.pod, link) for link in state.links if link.pod in self._attached)
        plan = published.plan(state.services)
        snapshot = self._snapshot(plan.held)
        if snapshot != self._told.snapshot or self._told.refused:
            write(self._run, STATE, encode(snapshot))
            self._told.refused = {Socket(p, a, n): code for p, a, n, code in self._call(op="load").get("failed", ())}
            self._told.snapshot = snapshot
        self._commit(self._compile(plan.owned(self._told.refused)))
        gone = published.backends(before, "UDP") - published.backends(state, "UDP")
        if gone:
            conntrack.forget_udp(*gone)
        return published.taken(plan, self._told.refused)

    def _links(self) -> tuple[Link, ...]:
        """Those told and those attached since: a pod may be connected before the state knows it."""
        return tuple(({link.pod: link for link in self._told.state.links} | self._attached).values())

    def _snapshot(self, held: Iterable[Held] = ()) -> Snapshot:
        return Snapshot(self._instance.table, self._bridge, self._links(), self._told.state.services, tuple(held))

    def _compile(self, owners: Mapping[Socket, services.Key]) -> Ruleset:
        self._told.served = services.elements(self._told.state.services, owners)
        return self._ruleset()

    def _ruleset(self) -> Ruleset:
        state, links_, served = self._told.state, self._links(), self._told.served
        ruled = isolation.compiled(links_, state.policies, self._networks)
        return Ruleset(
            {**self._static, **served.chains, **ruled.chains},
            {**policy.SETS, **served.sets, **ruled.sets},
            {**segments.elements(links_, state.services), **served.elements, **ruled.elements},
        )

    def _commit(self, rules: Ruleset) -> None:
        """The difference as one transaction; the whole, if the kernel does not hold what we believed."""
        if self._rules is EMPTY:
            self._assert(rules)
            return
        change = difference(self._rules, rules, self._instance.table)
        if not change:
            return
        write(self._run, RULES, whole(rules, self._instance.table).encode())  # before: the watch asserts the newest
        try:
            self._nft.run(change)
            self._rules = rules
        except NetworkFailure:
            self._assert(rules)

    def _assert(self, rules: Ruleset) -> None:
        """The whole, over whatever is there; a table that does not fit (of another version) is replaced, in one go."""
        table = self._instance.table
        text = whole(rules, table)
        write(self._run, RULES, text.encode())
        self._rules = EMPTY
        try:
            self._nft.run(text)
        except NetworkFailure:
            self._nft.run(_delete_tables(table) + text)
        self._rules = rules

    def _call(self, **request: object) -> dict[str, Any]:
        try:
            return self._control.call(**request)
        except OSError:
            self._control.ensure()
            return self._control.call(op="load") if request["op"] != "load" else self._control.call(**request)

    def _stop(self) -> None:
        self._control.stop()
        self._nft.run(_delete_tables(self._instance.table))
        with Netlink() as netlink:
            links.remove_all(netlink, self._instance.bridge)
        settings.put_back(self._bridge.name)
        for name in (STATE, RULES, "resolver.sock", "resolver.log"):
            path = os.path.join(self._run, name)
            if os.path.exists(path):
                os.unlink(path)
        self._rules, self._told = EMPTY, _Told()
        self._attached.clear()

    async def _keep_resolver(self, pid: int) -> None:
        """Starts the resolver again whenever it ends."""
        while not self._stopping:
            try:
                fd = os.pidfd_open(pid)
            except OSError as error:
                # EINVAL, of older kernels: it has ended, and others have its number as their session or group.
                if error.errno not in (errno.ESRCH, errno.EINVAL):
                    raise
            else:
                try:
                    await trio.lowlevel.wait_readable(fd)
                finally:
                    os.close(fd)
            reap(pid)
            async with self._lock:
                if self._stopping:
                    return
                try:
                    pid = await _blocking(self._control.ensure)
                except NetworkFailure:
                    await trio.sleep(1)


async def _blocking(call: Callable[..., T], *args: object) -> T:
    return await trio.to_thread.run_sync(call, *args)


def _delete_tables(table: str) -> str:
    """Added first: what is not there cannot be deleted."""
    return "".join(f"{verb} table {family} {table}\n" for family in ("inet", "bridge") for verb in ("add", "delete"))
