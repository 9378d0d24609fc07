"""The writer: one thread that runs the functions of many callers in one transaction of the database.

While a commit waits for the disk the next callers queue up, and share the next commit: throughput grows with load, and
a caller that is alone waits for one commit. Order: run all, commit (fsync), then publish and answer, on trio's thread.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import outcome
import trio

from orchestr.api.errors import Unavailable
from orchestr.engine.cluster import EventType
from orchestr.store.sqlite import Database, DiskFull
from orchestr.store.table import Change, Table
from orchestr.store.transaction import Claims, Tx

BATCH = 128  # functions in one commit


@dataclass(eq=False, slots=True)
class Job:
    """A function to run, and where its outcome goes."""

    run: Callable[[Tx], Any]
    dry_run: bool  # take the changes back, keep the result
    done: trio.Event
    result: outcome.Outcome[Any] | None = None


Publish = Callable[[Sequence[Change], Sequence[Job]], None]


class Writer:
    def __init__(
        self, database: Database, table: Table, revision: int, *, clock: Callable[[], datetime], claims: Claims
    ) -> None:
        self._database, self._table, self._revision = database, table, revision
        self._clock, self._claims = clock, claims
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, token: trio.lowlevel.TrioToken, publish: Publish) -> None:
        def loop() -> None:
            try:
                while (jobs := self._next()) is not None:
                    changes = self._batch(jobs)
                    token.run_sync_soon(publish, changes, jobs)
            except BaseException as error:  # a bug: memory and disk may differ, so the process has to start anew
                token.run_sync_soon(crash, error)

        self._thread = threading.Thread(target=loop, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        self._queue.put(job)

    def stop(self) -> None:
        """Ends the thread after what was submitted before; blocks."""
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()

    def _next(self) -> list[Job] | None:
        """Waits for a job and takes what else is there; None to stop."""
        job = self._queue.get()
        if job is None:
            return None
        jobs = [job]
        while len(jobs) < BATCH and not self._queue.empty():
            if (job := self._queue.get()) is None:
                self._queue.put(None)
                break
            jobs.append(job)
        return jobs

    def _batch(self, jobs: Sequence[Job]) -> Sequence[Change]:
        full = self._database.full and not self._database.reserve()
        try:
            return self._attempt(jobs, full)
        except DiskFull:  # which gave the reserve back: once more, for what may use it
            return self._attempt(jobs, full=True, last=True)

    def _attempt(self, jobs: Sequence[Job], full: bool, last: bool = False) -> Sequence[Change]:
        """Runs and commits all jobs. Raises DiskFull, with nothing done, unless it is the last attempt."""
        tx = Tx(self._table, self._revision, self._clock(), self._claims)
        wrote = [job for job in jobs if self._run(tx, job, full)]
        if not tx.changes:
            return ()
        try:
            self._database.commit(tx.changes)
        except (DiskFull, sqlite3.Error) as error:
            tx.undo(0)
            if isinstance(error, DiskFull) and not last:
                raise
            for job in wrote:
                job.result = outcome.Error(unavailable(error))
            return ()
        self._revision = tx.revision
        return tx.changes

    def _run(self, tx: Tx, job: Job, full: bool) -> bool:
        """Runs one function; True when changes of it stay."""
        mark = len(tx.changes)
        job.result = outcome.capture(job.run, tx)
        # On a full disk the reserve is for what makes room: deletions and what controllers write on the way to them.
        if full and any(change.type is EventType.ADDED for change in tx.changes[mark:]) and not job.dry_run:
            job.result = outcome.Error(unavailable(DiskFull("the disk is full")))
        if job.dry_run or isinstance(job.result, outcome.Error):
            tx.undo(mark)
        return len(tx.changes) > mark


def unavailable(cause: Exception) -> Unavailable:
    hint = " (free some disk space; deletions still work)" if isinstance(cause, DiskFull) else ""
    return Unavailable(f"cannot write to the store: {cause}{hint}", details={"retryAfterSeconds": 1})


def crash(error: BaseException) -> None:
    """On trio's thread: ends the run with the writer's error."""
    raise error
