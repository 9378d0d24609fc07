"""A transaction as the functions see it that run in the writer: reads and writes on the writer's own table.

Changes are made in place and noted, so that the functions of one batch see each other's, and any of them can be
undone alone. Only what is left at the end goes to the database.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from orchestr.api.base import Key, KubeObject
from orchestr.engine.cluster import EventType
from orchestr.store.attempt import Attempt
from orchestr.store.caller import Caller
from orchestr.store.decoding import decoded
from orchestr.store.table import Change, Row, Table, kind_name

T = TypeVar("T")
Claims = Callable[[KubeObject], tuple[str, ...]]
# (transaction, UserInfo, attributes of a request) -> why that user may, None when they may not
Decide = Callable[["Tx", Mapping[str, Any], Mapping[str, str]], str | None]


def no_claims(obj: KubeObject) -> tuple[str, ...]:
    return ()


class Tx:
    """One function's view. `now` is the time of the transaction, in whole seconds as metav1.Time has."""

    def __init__(self, table: Table, revision: int, now: datetime, claims: Claims = no_claims) -> None:
        self.table, self.now = table, now.replace(microsecond=0)
        self._first, self._claims = revision, claims
        self.changes: list[Change] = []
        self.guard: Callable[[Any], None] | None = None  # guard.py
        self.caller: Caller | None = None
        self.decide: Decide | None = None
        self.dry_run = False
        self.attempt: Attempt | None = None  # of a write that webhooks are asked about

    @property
    def revision(self) -> int:
        return self._first + len(self.changes)

    def once(self, make: Callable[[], T]) -> T:
        """What `make` gives, the same in every attempt of a write."""
        return make() if self.attempt is None else self.attempt.once(make)

    def get(self, kind: type[KubeObject], key: Key) -> Row | None:
        return self.table.get(kind_name(kind), key)

    def put(self, obj: KubeObject, old: Row | None) -> Row:
        """Stores `obj` in place of `old` with the next revision; `old` itself when its JSON would not change."""
        before = str(old.revision) if old else "0"
        data = obj.but(metadata=obj.metadata.but(resource_version=before)).canonical()
        if old is not None and data == old.data:
            return old
        revision = self.revision + 1
        data = restamp(data, before, revision)
        row = self._row(decoded(obj, data, revision, old.object if old else None), data, revision)
        if old is not None and same(row.object, old.object):
            return old
        return self._change(EventType.MODIFIED if old else EventType.ADDED, old, row)

    def remove(self, row: Row) -> Row:
        """Takes the object away. The event's last state always has a deletionTimestamp, unlike Kubernetes': who
        sees only objects and not the events' types can tell that it is gone.
        """
        revision = self.revision + 1
        meta = row.object.metadata.but(
            resource_version=str(revision), deletion_timestamp=row.object.metadata.deletion_timestamp or self.now
        )
        last = row.object.but(metadata=meta)  # of the store's own parts
        return self._change(EventType.DELETED, row, self._row(last, last.canonical(), revision))

    def undo(self, mark: int) -> None:
        """Takes back all changes after the first `mark` ones."""
        while len(self.changes) > mark:
            self.table.undo(self.changes.pop())

    def _row(self, obj: KubeObject, data: bytes, revision: int) -> Row:
        return Row(obj, data, revision, self._claims(obj))

    def _change(self, type_: EventType, old: Row | None, new: Row) -> Row:
        change = Change(type_, old, new)
        self.table.apply(change)
        self.changes.append(change)
        return new


def same(new: KubeObject, old: KubeObject) -> bool:
    """Equal but for the resourceVersion; the order of keys in maps does not count."""
    meta = new.metadata.but(resource_version=old.metadata.resource_version)
    return new.but(metadata=meta) == old


def restamp(data: bytes, before: str, revision: int) -> bytes:
    """Canonical JSON with another resourceVersion. It is the first in the text: before it stand apiVersion, kind and
    names, which cannot contain quotes.
    """
    return data.replace(b'"resourceVersion":"%s"' % before.encode(), b'"resourceVersion":"%d"' % revision, 1)
