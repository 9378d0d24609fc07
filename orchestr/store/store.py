"""The store: objects in memory for readers, one writer thread with group commit, rings for watchers.

Promises to everybody above:
- What `write` returned is on disk (fsync), and visible to every read and watch that begins afterwards.
- Revisions are consecutive integers over all kinds; changes are published in their order, whole batches at a time: a
  reader on trio's thread never sees half of a function's changes.
- A function that raises leaves nothing behind and disturbs no other function of its batch.
- Cancelling a caller does not cancel its write: it happens or not, whole.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TypeVar

import trio

from orchestr.api.base import KubeObject
from orchestr.api.errors import Unavailable
from orchestr.store.sqlite import Database, Decode, Loaded, Quarantined
from orchestr.store.table import Change, Row, Table
from orchestr.store.transaction import Claims, Tx, no_claims
from orchestr.store.watch import Rings, Watcher
from orchestr.store.writer import Job, Writer

T = TypeVar("T")

KEEP = 2048  # revisions of history for watches


class Store:
    """Made by `open_store`. All methods belong to trio's thread."""

    def __init__(self, table: Table, loaded: Loaded, rings: Rings, writer: Writer) -> None:
        self.table, self.revision, self.rings = table, loaded.revision, rings
        self._writer = writer
        self._open = True
        self._observer: Callable[[Sequence[Change]], None] | None = None
        self.quarantined: tuple[Quarantined, ...] = ()

    async def write(self, run: Callable[[Tx], T], *, dry_run: bool = False) -> T:
        """Runs `run` in the writer thread and returns its result once its changes are on disk.

        With `dry_run` its changes are taken back. Raises what `run` raises, and Unavailable when the disk is full.
        """
        if not self._open:
            raise Unavailable("the store is closing")
        job = Job(run, dry_run, trio.Event())
        self._writer.submit(job)
        await job.done.wait()
        assert job.result is not None
        result: T = job.result.unwrap()
        return result

    def watch(self, kind: str, namespace: str | None, since: int) -> Watcher:
        return self.rings.watcher(kind, namespace, since)

    def observe(self, observer: Callable[[Sequence[Change]], None]) -> None:
        """Is called with each batch, on trio's thread, before the changes can be seen."""
        self._observer = observer

    def publish(self, changes: Sequence[Change], jobs: Sequence[Job]) -> None:
        """Called on trio's thread when a batch is on disk (or failed): first visible, then answered."""
        if self._observer is not None:
            self._observer(changes)
        for change in changes:
            self.table.apply(change)
        if changes:
            self.revision = changes[-1].revision
            self.rings.add(changes)
        for job in jobs:
            job.done.set()

    def close(self) -> None:
        self._open = False


@asynccontextmanager
async def open_store(
    path: str,
    *,
    decode: Decode,
    clock: Callable[[], datetime],
    claims: Claims = no_claims,
    keep: int = KEEP,
) -> AsyncIterator[Store]:
    """The store in the database at `path`; on leaving, what was submitted is finished. Raises StoreError."""

    def row(obj: KubeObject, data: bytes) -> Row:
        return Row(obj, data, int(obj.metadata.resource_version or 0), claims(obj))

    database = await trio.to_thread.run_sync(lambda: Database(path, keep=keep))
    try:
        loaded, quarantined = await trio.to_thread.run_sync(database.load, decode, row)
        working, published = Table(), Table()
        for each in loaded.rows:
            working.put(each)
            published.put(each)
        rings = Rings(loaded.floor, keep)
        rings.add(loaded.changes)
        for change in loaded.changes:
            change.new.fade()
        writer = Writer(database, working, loaded.revision, clock=clock, claims=claims)
        store = Store(published, loaded, rings, writer)
        store.quarantined = quarantined
        writer.start(trio.lowlevel.current_trio_token(), store.publish)
        try:
            yield store
        finally:
            store.close()
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(writer.stop)
    finally:
        database.close()
