"""All objects in memory, with the indexes that the store needs. SQLite makes them durable; nothing reads it back.

There are two tables: the writer's, which a transaction changes in place and can undo, and the published one, which
readers use and which changes only by committed batches. Both hold the same frozen rows, so the second costs little.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from orchestr.api.base import Key, KubeObject
from orchestr.api.versions import same_version, served_form
from orchestr.engine.cluster import EventType

FEW = 64  # rows that are sorted each time


def kind_name(kind: type[KubeObject]) -> str:
    """How a kind is called in the store: "pods", "deployments.apps"."""
    kind = kind.STORED or kind
    return f"{kind.PLURAL}.{kind.GROUP}" if kind.GROUP else kind.PLURAL


class Ident(NamedTuple):
    kind: str
    key: Key


class Row:
    """One object as stored: decoded once, encoded once. Immutable, but that `fade` saves memory."""

    __slots__ = ("_object", "claims", "data", "kind", "model", "revision")

    def __init__(self, obj: KubeObject, data: bytes, revision: int, claims: tuple[str, ...] = ()) -> None:
        self.model = type(obj)
        self.kind = kind_name(self.model)
        self.data = data  # canonical JSON
        self.revision = revision
        self.claims = claims  # what it holds exclusively or by agreement: addresses, ports
        self._object: KubeObject | None = obj

    @property
    def object(self) -> KubeObject:
        return self._object or self.model.model_validate_json(self.data)

    @property
    def fresh(self) -> bool:
        """Whether the object is at hand."""
        return self._object is not None

    @property
    def ident(self) -> Ident:
        return Ident(self.kind, self.object.key)

    def fade(self) -> None:
        """For a row that is history: keeps the bytes (1 to 3 kB) only; whoever wants the object (16 kB) decodes."""
        self._object = None


def served(row: Row, kind: type[KubeObject]) -> Row:
    """The row as the version `kind` shows it; the same row where that is the version it is stored in."""
    if same_version(row.model, kind):
        return row
    obj = served_form(row.object, kind)
    return Row(obj, obj.canonical(), row.revision, row.claims)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One revision: what was, what is. `new` of a DELETED is the last state, with the revision of the deletion.

    `old` is None of an ADDED, and of a change from before a restart that replaced what the history does not have.
    """

    type: EventType
    old: Row | None
    new: Row

    @property
    def revision(self) -> int:
        return self.new.revision


class Table:
    """Rows by kind, namespace and name; by uid; by owner's uid; by claim."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, dict[str, Row]]] = {}
        self._uids: dict[str, Row] = {}
        self._owned: dict[str, dict[Ident, Row]] = {}
        self._claims: dict[str, dict[Ident, Row]] = {}
        self._names: dict[tuple[str, str], list[str]] = {}  # of many rows, sorted; made when they are first wanted

    def get(self, kind: str, key: Key) -> Row | None:
        return self._rows.get(kind, {}).get(key.namespace, {}).get(key.name)

    def has(self, kind: str) -> bool:
        """Whether there is any object of the kind."""
        return bool(self._rows.get(kind))

    def by_uid(self, uid: str) -> Row | None:
        return self._uids.get(uid)

    def rows(self, kind: str, namespace: str | None = None) -> list[Row]:
        """Rows of a kind in the order of namespace and name."""
        spaces = self._rows.get(kind, {})
        if namespace is not None:
            return self._ordered(kind, namespace)
        return [row for name in sorted(spaces) for row in self._ordered(kind, name)]

    def _ordered(self, kind: str, namespace: str) -> list[Row]:
        rows = self._rows.get(kind, {}).get(namespace, {})
        if len(rows) < FEW:
            return [rows[name] for name in sorted(rows)]
        names = self._names.get((kind, namespace))
        if names is None:
            names = self._names[kind, namespace] = sorted(rows)
        return [rows[name] for name in names]

    def kinds(self) -> list[str]:
        return list(self._rows)

    def owned(self, uid: str) -> list[Row]:
        """Rows with an owner reference to this uid."""
        return list(self._owned.get(uid, {}).values())

    def holders(self, claim: str) -> list[Row]:
        return list(self._claims.get(claim, {}).values())

    def put(self, row: Row) -> None:
        """Adds the row, in place of the one with its name."""
        ident = row.ident
        old = self.get(*ident)
        if old is not None:
            self._unlink(old)
        elif (names := self._names.get((row.kind, ident.key.namespace))) is not None:
            insort(names, ident.key.name)
        self._rows.setdefault(row.kind, {}).setdefault(ident.key.namespace, {})[ident.key.name] = row
        self._uids[row.object.metadata.uid or ""] = row
        for index, entry in self._entries(row):
            index.setdefault(entry, {})[ident] = row

    def remove(self, kind: str, key: Key) -> None:
        spaces = self._rows[kind]
        self._unlink(spaces[key.namespace].pop(key.name))
        if (names := self._names.get((kind, key.namespace))) is not None:
            del names[bisect_left(names, key.name)]
            if len(names) < FEW // 2:
                del self._names[kind, key.namespace]
        if not spaces[key.namespace]:
            del spaces[key.namespace]

    def apply(self, change: Change) -> None:
        if change.type is EventType.DELETED:
            self.remove(*change.new.ident)
        else:
            self.put(change.new)

    def undo(self, change: Change) -> None:
        if change.old is not None:
            self.put(change.old)
        else:
            self.remove(*change.new.ident)

    def _unlink(self, row: Row) -> None:
        self._uids.pop(row.object.metadata.uid or "", None)
        for index, entry in self._entries(row):
            del index[entry][row.ident]
            if not index[entry]:
                del index[entry]

    def _entries(self, row: Row) -> Iterator[tuple[dict[str, dict[Ident, Row]], str]]:
        for uid in {owner.uid for owner in row.object.metadata.owner_references}:
            yield self._owned, uid
        for claim in row.claims:
            yield self._claims, claim
