"""CustomResourceDefinitions in the store: which are established, and which classes they give.

What a definition's status says is decided where it is written, so that a kind is there for whoever created it when the
create returns; objects of a kind may even be in the same transaction as its definition.
"""

from collections.abc import Iterable, Sequence

from orchestr.api import scheme
from orchestr.api.base import Condition, Key, KubeObject
from orchestr.api.custom import Custom, kinds_of
from orchestr.api.definition import CLEANUP, CustomResourceDefinition, CustomResourceDefinitionStatus
from orchestr.api.errors import NotFound
from orchestr.engine.cluster import EventType
from orchestr.store.request import Request
from orchestr.store.table import Change, Row, Table, kind_name
from orchestr.store.transaction import Tx

DEFINITIONS = kind_name(CustomResourceDefinition)


def established(request: Request) -> KubeObject:
    """A definition with its finalizer, names and conditions."""
    new = request.new
    if not isinstance(new, CustomResourceDefinition):
        return new
    meta = new.metadata
    if request.old is None and CLEANUP not in meta.finalizers:
        new = new.but(metadata=meta.but(finalizers=(*meta.finalizers, CLEANUP)))
    taken = _conflict(request.tx, new)
    before = new.status
    accepted = ("False", *taken) if taken else ("True", "NoConflicts", "no conflicts found")
    there = not taken or before.has("Established")
    active = ("True", "InitialNamesAccepted", "the initial names have been accepted")
    waiting = ("False", "NotAccepted", "not all names are accepted")
    conditions = [
        _condition(request, before.conditions, "NamesAccepted", *accepted),
        _condition(request, before.conditions, "Established", *(active if there else waiting)),
    ]
    others = tuple(each for each in before.conditions if each.type not in ("NamesAccepted", "Established"))
    stored = (
        before.stored_versions
        if new.spec.stored in before.stored_versions
        else (
            *before.stored_versions,
            new.spec.stored,
        )
    )
    status = CustomResourceDefinitionStatus(
        conditions=(*others, *conditions),
        accepted_names=before.accepted_names if taken else new.spec.names,
        stored_versions=stored,
    )
    return new.but(status=status)


def _condition(
    request: Request, before: Sequence[Condition], type_: str, status: str, reason: str, message: str
) -> Condition:
    last = next((each for each in before if each.type == type_ and each.status == status), None)
    since = last.last_transition_time if last else request.tx.now
    return Condition(type=type_, status=status, reason=reason, message=message, last_transition_time=since)


def _conflict(tx: Tx, crd: CustomResourceDefinition) -> tuple[str, str] | None:
    """(reason, message) when another definition of the group has one of the names."""
    names = crd.spec.names
    wanted = {names.plural, names.singular or "", *names.short_names}
    kinds = {names.kind, names.list_kind or ""}
    for row in tx.table.rows(DEFINITIONS):
        other = row.object
        assert isinstance(other, CustomResourceDefinition)
        if other.key == crd.key or other.spec.group != crd.spec.group or other.status.accepted_names is None:
            continue
        theirs = other.status.accepted_names
        if twice := wanted & {theirs.plural, theirs.singular or "", *theirs.short_names}:
            return "NameConflict", f'"{min(twice)}" is already in use'
        if twice := kinds & {theirs.kind, theirs.list_kind or ""}:
            return "KindConflict", f'"{min(twice)}" is already in use'
    return None


def kind_in(tx: Tx, api_version: str, kind: str) -> type[KubeObject]:
    """The model of a kind, also one that this transaction defines. Raises UnknownKind."""
    if (api_version, kind) not in scheme.BY_NAME:
        for row in tx.table.rows(DEFINITIONS):
            for each in _classes(row.object):
                if scheme.gvk(each) == (api_version, kind):
                    return each
    return scheme.kind_of(api_version, kind)


def custom_accepts(request: Request) -> KubeObject:
    """A new custom resource needs a definition that stays."""
    new = request.new
    if request.old is None and isinstance(new, Custom):
        row = request.tx.get(CustomResourceDefinition, Key("", f"{new.PLURAL}.{new.GROUP}"))
        if row is None or row.object.metadata.deleting:
            raise NotFound(
                f"create not allowed while custom resource definition {new.PLURAL}.{new.GROUP} is terminating"
            )
    return new


def _classes(obj: KubeObject) -> tuple[type[Custom], ...]:
    assert isinstance(obj, CustomResourceDefinition)
    return kinds_of(obj).served if obj.status.has("Established") else ()


class Catalogue:
    """The classes of one store's definitions, registered in the scheme as they come and go."""

    def __init__(self) -> None:
        self._classes: dict[str, tuple[type[Custom], ...]] = {}
        self._loading: dict[str, type[Custom]] = {}

    def decode(self, kind: str, data: bytes) -> KubeObject:
        """A stored custom resource. KeyError for a kind without definition: it goes to quarantine."""
        return scheme.load(self._loading[kind], data)

    def learn(self, obj: KubeObject) -> None:
        """A definition that was read from disk, before the objects that need it."""
        assert isinstance(obj, CustomResourceDefinition)
        stored = kinds_of(obj).stored
        self._loading.setdefault(kind_name(stored), stored)

    def load(self, table: Table) -> None:
        """Registers what is in the table."""
        self._loading.clear()
        for row in table.rows(DEFINITIONS):
            self._enter(row)

    def changed(self, changes: Iterable[Change]) -> None:
        """Called on trio's thread, before anybody hears of the changes."""
        for change in changes:
            if change.new.kind == DEFINITIONS:
                if change.type is EventType.DELETED:
                    scheme.forget(self._classes.pop(change.new.object.metadata.name, ()))
                else:
                    self._enter(change.new)

    def close(self) -> None:
        for classes in self._classes.values():
            scheme.forget(classes)

    def _enter(self, row: Row) -> None:
        name, classes = row.object.metadata.name, _classes(row.object)
        if self._classes.get(name) != classes:
            scheme.forget(self._classes.get(name, ()))
            scheme.register(classes)
            self._classes[name] = classes
