"""Watches: a ring of recent changes for each kind, and cursors into it.

A watcher is only a position. A slow one costs the others nothing; when what it has not read yet falls out of the ring
it gets Expired, and lists anew.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

import trio

from orchestr.api.base import KubeObject
from orchestr.api.errors import Expired
from orchestr.engine.cluster import EventType
from orchestr.store.table import Change, served

FRESH = 256  # changes whose former objects stay decoded, for watchers that are about to read them
YIELD_EVERY = 64  # changes handed out in one go before other tasks get their turn


class Ring:
    """Changes of one kind, oldest first. Positions count all changes ever added, so trimming moves no cursor."""

    def __init__(self) -> None:
        self._changes: list[Change] = []
        self.first = 0  # position of the oldest
        self._grown = trio.Event()

    @property
    def end(self) -> int:
        return self.first + len(self._changes)

    def add(self, change: Change) -> None:
        self._changes.append(change)
        if self._grown.statistics().tasks_waiting:
            self._grown.set()
            self._grown = trio.Event()

    def trim(self, floor: int) -> None:
        """Forgets changes up to the revision `floor`."""
        gone = self._after(floor)
        del self._changes[:gone]
        self.first += gone

    def after(self, revision: int) -> int:
        """Position of the first change later than `revision`."""
        return self.first + self._after(revision)

    def at(self, position: int) -> Change:
        return self._changes[position - self.first]

    def since(self, revision: int) -> list[Change]:
        """The changes later than `revision`, newest first."""
        return self._changes[self._after(revision) :][::-1]

    async def more(self) -> None:
        await self._grown.wait()

    def _after(self, revision: int) -> int:
        return bisect_right(self._changes, revision, key=lambda change: change.revision)


class Watcher:
    """An async iterator over changes of a kind, in one namespace or all, from a position on. Never ends."""

    def __init__(self, ring: Ring, position: int, namespace: str | None) -> None:
        self._ring, self._position, self._namespace = ring, position, namespace
        self._kind: type[KubeObject] | None = None
        self._given = 0

    def showing(self, kind: type[KubeObject]) -> "Watcher":
        """Itself, but its changes show another version than the one that is stored."""
        self._kind = kind
        return self

    def __aiter__(self) -> "Watcher":
        return self

    async def __anext__(self) -> Change:
        """The next change. Raises Expired when it is no longer kept."""
        self._given += 1
        if self._given % YIELD_EVERY == 0:
            await trio.lowlevel.checkpoint()
        while True:
            change = self._next()
            if change is not None:
                return change if self._kind is None else _shown(change, self._kind)
            await self._ring.more()

    def _next(self) -> Change | None:
        ring, namespace = self._ring, self._namespace
        if self._position < ring.first:
            raise expired()
        while self._position < ring.end:
            change = ring.at(self._position)
            self._position += 1
            if namespace is None or (change.new.object.metadata.namespace or "") == namespace:
                return change
        return None


class Rings:
    """The rings of all kinds, trimmed together to the last `keep` revisions."""

    def __init__(self, floor: int, keep: int) -> None:
        self.floor, self._keep = floor, keep
        self._rings: dict[str, Ring] = {}
        self._fresh: deque[Change] = deque()
        self._last = floor  # the newest revision before this addition

    def of(self, kind: str) -> Ring:
        return self._rings.setdefault(kind, Ring())

    def add(self, changes: Sequence[Change]) -> None:
        # Trimmed by what was there before: a watcher that keeps up is not left behind by one large batch.
        if (floor := self._last - self._keep) > self.floor + self._keep // 8:
            self.floor = floor
            for ring in self._rings.values():
                ring.trim(floor)
        for change in changes:
            self.of(change.new.kind).add(change)
            self._last = change.revision
        self._fresh.extend(changes)
        while len(self._fresh) > max(FRESH, len(changes)):
            _fade(self._fresh.popleft())

    def since(self, kind: str, revision: int) -> list[Change]:
        """The changes of a kind later than `revision`, newest first. Raises Expired when some of them are gone."""
        if revision < self.floor:
            raise expired()
        return self.of(kind).since(revision)

    def watcher(self, kind: str, namespace: str | None, since: int) -> Watcher:
        """Changes later than the revision `since`. Raises Expired when some of them are gone."""
        if since < self.floor:
            raise expired()
        ring = self.of(kind)
        return Watcher(ring, ring.after(since), namespace)


def _shown(change: Change, kind: type[KubeObject]) -> Change:
    return Change(change.type, served(change.old, kind) if change.old else None, served(change.new, kind))


def _fade(change: Change) -> None:
    """What it replaced, and what it removed, is history by now."""
    if change.old is not None:
        change.old.fade()
    if change.type is EventType.DELETED:
        change.new.fade()


def expired() -> Expired:
    return Expired("The resourceVersion for the provided watch is too old.")
