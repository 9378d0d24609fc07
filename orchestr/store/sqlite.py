"""The durable half of the store: load everything at the start, then append batches.

One connection, used by one thread at a time: the opening thread first, the writer's afterwards.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from orchestr.api.base import KubeObject
from orchestr.engine.cluster import EventType
from orchestr.store.schema import connect
from orchestr.store.table import Change, Ident, Row

log = logging.getLogger(__name__)

LOG = 4 * 1024 * 1024  # bytes of write-ahead log after which SQLite moves it into the database
RESERVE = LOG + 2 * 1024 * 1024  # bytes given back to a full disk: the log can be moved, and deletions still fit
RESUME = 512  # revisions of history that are read at the start, for watches that a restart interrupted
KEPT_WHEN_FULL = 1  # revisions of history on a full disk: what it holds of deleted objects makes room for more
# definitions of kinds before the objects of those kinds
ORDER = "ORDER BY kind <> 'customresourcedefinitions.apiextensions.k8s.io'"
TRIM_EVERY = 512  # revisions between two trims of the log


class Quarantined(NamedTuple):
    """A row that cannot be read any more; it is kept aside, untouched."""

    kind: str
    namespace: str
    name: str
    error: str


@dataclass(frozen=True)
class Loaded:
    rows: tuple[Row, ...]
    changes: tuple[Change, ...]  # the kept history, oldest first; `old` is None where it is not in it
    revision: int
    floor: int  # history begins after this revision


Decode = Callable[[str, bytes], KubeObject]  # (kind, canonical JSON); raises when the row is broken


class DiskFull(Exception):
    """There is no room for the batch; nothing of it is stored."""


class Database:
    def __init__(self, path: str, *, keep: int) -> None:
        """Opens or makes the database; `keep` is how many revisions of history stay. Raises StoreError."""
        self.path, self.keep = path, keep
        self._connection = connect(path)
        self._reserve = f"{path}.reserve"
        self._trimmed = self._reserved = 0
        self.full = not self.reserve()

    def close(self) -> None:
        self._connection.close()

    def load(self, decode: Decode, row: Callable[[KubeObject, bytes], Row]) -> tuple[Loaded, tuple[Quarantined, ...]]:
        """Everything; rows that `decode` cannot read are moved into the table `quarantine`."""
        rows: list[Row] = []
        broken: list[tuple[tuple[str, str, str, int, bytes], str]] = []
        for record in self._connection.execute("SELECT kind, namespace, name, revision, data FROM objects " + ORDER):
            try:
                rows.append(row(decode(record[0], record[4]), record[4]))
            except Exception as error:
                broken.append((record, f"{type(error).__name__}: {error}"))
        self._quarantine(broken)
        revision, floor = (self._meta("revision"), self._meta("floor"))
        changes, floor = self._history(decode, row, max(floor, revision - RESUME))
        every = self._connection.execute("SELECT kind, namespace, name, error FROM quarantine")
        return Loaded(tuple(rows), changes, revision, floor), tuple(Quarantined(*record) for record in every)

    def commit(self, changes: Sequence[Change]) -> None:
        """One transaction, synced to disk on return. Raises DiskFull, else sqlite3.Error; then nothing is stored."""
        execute = self._connection.execute
        self._provide(changes)
        try:
            execute("BEGIN IMMEDIATE")
            for change in changes:
                self._write(change)
            execute("UPDATE meta SET value=? WHERE key='revision'", (changes[-1].revision,))
            self._trim(changes[-1].revision)
            execute("COMMIT")
            if self.full:
                self._checkpoint()
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                execute("ROLLBACK")
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                self._release()
                raise DiskFull(str(error)) from error
            raise

    def _provide(self, changes: Sequence[Change]) -> None:
        """Widens the reserve for a large batch: what is in the log must always fit into the database. Raises DiskFull.

        Each change is written twice, as the object and as history. SQLite says nothing when it cannot move the log.
        """
        wanted = LOG + 2 * sum(len(change.new.data) for change in changes)
        if not self.full and wanted > self._reserved and not self.reserve(wanted):
            raise DiskFull("the disk is full")

    def reserve(self, size: int = RESERVE) -> bool:
        """Sets the reserve aside again; False while the disk has no room for it."""
        try:
            fd = os.open(self._reserve, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, size)
            finally:
                os.close(fd)
        except OSError:
            self._release()
            return False
        self.full, self._reserved = False, size
        return True

    def _release(self) -> None:
        self.full = True
        with suppress(FileNotFoundError):
            os.unlink(self._reserve)
        self._checkpoint()

    def _checkpoint(self) -> None:
        """Gives the room of the write-ahead log back, 4 MB and more, which it keeps for its next use otherwise."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _write(self, change: Change) -> None:
        new, execute = change.new, self._connection.execute
        key, uid = new.object.key, new.object.metadata.uid
        if change.type is EventType.DELETED:
            execute("DELETE FROM objects WHERE kind=? AND namespace=? AND name=?", (new.kind, *key))
        else:
            values = (new.kind, *key, uid, new.revision, new.data)
            execute("INSERT OR REPLACE INTO objects VALUES (?,?,?,?,?,?)", values)
        execute("INSERT INTO log VALUES (?,?,?,?)", (new.revision, change.type.value, new.kind, new.data))

    def _trim(self, revision: int) -> None:
        if revision - self._trimmed < TRIM_EVERY and not self.full:
            return
        self._trimmed = revision
        floor = max(revision - (min(self.keep, KEPT_WHEN_FULL) if self.full else self.keep), 0)
        self._connection.execute("DELETE FROM log WHERE revision<=?", (floor,))
        self._connection.execute("UPDATE meta SET value=max(value, ?) WHERE key='floor'", (floor,))

    def _history(
        self, decode: Decode, row: Callable[[KubeObject, bytes], Row], floor: int
    ) -> tuple[tuple[Change, ...], int]:
        """The log after the last entry that cannot be read: a watch must not skip what it cannot tell."""
        changes: list[Change] = []
        last: dict[Ident, Row] = {}
        recent = "SELECT revision, type, kind, data FROM log WHERE revision>? ORDER BY revision"
        for revision, type_, kind, data in self._connection.execute(recent, (floor,)):
            try:
                new = row(decode(kind, data), data)
                changes.append(Change(EventType(type_), last.get(new.ident), new))
                last[new.ident] = new
                if type_ == EventType.DELETED:
                    del last[new.ident]
            except Exception:
                changes, last, floor = [], {}, revision
        return tuple(changes), floor

    def _quarantine(self, broken: Sequence[tuple[tuple[str, str, str, int, bytes], str]]) -> None:
        if not broken:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        for record, error in broken:
            log.error("cannot read %s %s/%s: %s (it is kept in the table quarantine)", *record[:3], error)
            self._connection.execute("INSERT INTO quarantine VALUES (?,?,?,?,?,?)", (*record, error))
            where = "kind=? AND namespace=? AND name=?"
            self._connection.execute(f"DELETE FROM objects WHERE {where}", record[:3])
        self._connection.execute("COMMIT")

    def _meta(self, key: str) -> int:
        return int(self._connection.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()[0])
