"""The life of an object in a transaction: created, replaced, its status written, marked, removed. No I/O.

Each function takes the transaction and the row as it is, and returns the row as it then is. All writes go through
`_store` and `_drop`, so that quotas are charged for every one of them.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from orchestr.api.base import Condition, Key, KubeObject, ManagedFieldsEntry, ObjectMeta
from orchestr.api.core import Namespace, Node, Pod, ResourceQuota
from orchestr.api.custom import Custom
from orchestr.api.definition import CustomResourceDefinition
from orchestr.api.errors import Cause
from orchestr.api.labels import STOP_TIMEOUT
from orchestr.api.validation import validate
from orchestr.api.versions import stored_form
from orchestr.engine.cluster import Propagation
from orchestr.store import managed, quota
from orchestr.store.admission import admit, mutated, reviewed
from orchestr.store.matching import Subject
from orchestr.store.refusals import already_exists, invalid, modified, replaced
from orchestr.store.request import Request
from orchestr.store.site import Site
from orchestr.store.table import Row
from orchestr.store.transaction import Tx

FOREGROUND = "foregroundDeletion"  # finalizer: dependents go first
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # as Kubernetes: no vowels, nothing that reads like another
DEFAULT_NAMESPACE = "default"
TRIES = 8  # names that are made up for one object


def create(tx: Tx, site: Site, obj: KubeObject, manager: str | None = None) -> Row:
    """A new object. Raises AlreadyExists, Forbidden, Invalid, NotFound (of its namespace)."""
    obj = _fresh(tx, site, stored_form(obj))
    if tx.get(type(obj), obj.key) is not None:
        raise already_exists(type(obj), obj.metadata.name)
    if manager is not None:
        obj = _managed(obj, managed.update(None, obj.wire(), manager=manager, now=tx.now))
    return _store(tx, admit(Request(tx, site, obj, None)), None)


def replace(
    tx: Tx, site: Site, row: Row, obj: KubeObject, manager: str | None = None, *, how: str = "Update", part: str = ""
) -> Row:
    """The object in place of the stored one, all but status and what is the store's. Raises Conflict, Invalid, ...

    `manager` wrote it through the sub-resource `part`; after an Apply it brings its own managedFields.
    """
    old, obj, applied = row.object, stored_form(obj), how == "Apply"
    if isinstance(obj, Namespace) and isinstance(old, Namespace) and manager is not None and part != "finalize":
        obj = obj.but(spec=old.spec)  # its finalizers have a sub-resource of their own
    check(row, uid=obj.metadata.uid, revision=obj.metadata.resource_version)
    meta = obj.metadata.but(**{name: getattr(old.metadata, name) for name in STORE_FIELDS})
    meta = meta.but(managed_fields=obj.metadata.managed_fields if applied else _entries(obj, old, manager))
    if old.metadata.deleting and (added := set(meta.finalizers) - set(old.metadata.finalizers)):
        message = f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
        raise invalid(type(obj), old.metadata.name, [Cause("metadata.finalizers", message, "FieldValueForbidden")])
    new = _with_status(obj.but(metadata=meta), getattr(old, "status", None))
    new = admit(Request(tx, site, new, old, part))
    if _spec(new) != _spec(old):
        new = new.but(metadata=new.metadata.but(generation=(old.metadata.generation or 0) + 1))
    return finish(tx, _store(tx, _signed(tx, old, new, manager, applied, part), row))


def replace_status(tx: Tx, row: Row, obj: KubeObject, manager: str | None = None, *, how: str = "Update") -> Row:
    """The stored object with the status, labels and annotations of `obj`; a custom resource with its status only."""
    old, obj = row.object, stored_form(obj)
    check(row, uid=obj.metadata.uid, revision=obj.metadata.resource_version)
    given, meta = obj.metadata, old.metadata
    if not isinstance(obj, Custom):
        meta = meta.but(labels=given.labels, annotations=given.annotations)
    meta = meta.but(managed_fields=given.managed_fields if how == "Apply" else _entries(obj, old, manager))
    new = old.but(metadata=meta)
    if (meta.labels, meta.annotations) != (old.metadata.labels, old.metadata.annotations) and (causes := validate(new)):
        raise invalid(type(new), old.metadata.name, causes)
    return set_status(
        tx, row, getattr(obj, "status", None), new, lambda new: _signed(tx, old, new, manager, how == "Apply", "status")
    )


def _signed(tx: Tx, old: KubeObject, new: KubeObject, manager: str | None, applied: bool, part: str) -> KubeObject:
    """The object with managedFields that tell of this write."""
    if manager is None:
        return new
    if not applied:
        return _managed(new, managed.update(old.wire(), new.wire(), manager=manager, now=tx.now, subresource=part))
    before = new.metadata.but(managed_fields=old.metadata.managed_fields)
    if new.but(metadata=before) == old:
        return new  # nothing but who owns what
    return _managed(new, managed.touch(managed.entries(new.wire()), manager, tx.now, part))


def _entries(obj: KubeObject, old: KubeObject, manager: str | None) -> tuple[ManagedFieldsEntry, ...]:
    """managedFields before this write: a client may correct them, and an entry without a manager empties them."""
    given = obj.metadata.managed_fields
    if manager is None or not given or given == old.metadata.managed_fields:
        return old.metadata.managed_fields
    return () if any(not entry.manager for entry in given) else given


def set_status(
    tx: Tx,
    row: Row,
    status: Any,
    obj: KubeObject | None = None,
    signed: Callable[[KubeObject], KubeObject] = lambda new: new,
) -> Row:
    """The stored object, or `obj` in its place, with another status; `signed` is the last to change it."""
    new = _with_status(obj or row.object, status)
    new = mutated(Subject(tx, new, row.object, "status"))
    reviewed(Subject(tx, new, row.object, "status"))
    if isinstance(new, ResourceQuota) and obj is None:
        new = quota.counted(tx, new)  # what a controller counted may be older than this transaction
    if isinstance(new, Custom) and (causes := list(new.problems())):
        raise invalid(type(new), new.metadata.name, causes)
    return _store(tx, signed(new), row)


def delete(tx: Tx, row: Row, *, propagation: Propagation, grace: int | None) -> Row | None:
    """Asks for deletion: None when the object is gone, else the row that waits for finalizers or its agent."""
    obj = row.object
    uid = obj.metadata.uid or ""
    if not obj.metadata.deleting:
        reviewed(Subject(tx, None, obj))
    if propagation is Propagation.ORPHAN:
        _let_go(tx, uid)
    finalizers = tuple(name for name in obj.metadata.finalizers if name != FOREGROUND)
    if propagation is Propagation.FOREGROUND and tx.table.owned(uid):
        finalizers = (*finalizers, FOREGROUND)
    seconds = _grace(obj, grace)
    if not finalizers and not seconds and not _content(obj):
        _drop(tx, row)
        return None
    meta = obj.metadata.but(finalizers=finalizers)
    if not meta.deleting or seconds < (meta.deletion_grace_period_seconds or 0):
        at = tx.now + timedelta(seconds=seconds)
        meta = meta.but(deletion_timestamp=at, deletion_grace_period_seconds=seconds)
    marked = obj.but(metadata=meta)
    if isinstance(marked, CustomResourceDefinition) and not obj.metadata.deleting:
        ending = Condition(
            type="Terminating",
            status="True",
            reason="InstanceDeletionPending",
            message="CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            last_transition_time=tx.now,
        )
        marked = marked.but(status=marked.status.but(conditions=(*marked.status.conditions, ending)))
    if isinstance(marked, Namespace):
        marked = marked.but(status=marked.status.but(phase="Terminating"))
    return _store(tx, marked, row)


def finish(tx: Tx, row: Row) -> Row:
    """Removes an object that was only waiting for finalizers and has none left."""
    meta = row.object.metadata
    waits = meta.finalizers or meta.deletion_grace_period_seconds or _content(row.object)
    if meta.deleting and not waits:
        _drop(tx, row)
    return row


def check(row: Row, *, uid: str | None = None, revision: str | None = None) -> None:
    """Raises Conflict unless the stored object has this uid and this resourceVersion."""
    obj = row.object
    if uid and uid != obj.metadata.uid:
        raise replaced(type(obj), obj.metadata.name, uid, obj.metadata.uid)
    if revision and revision != obj.metadata.resource_version:
        raise modified(type(obj), obj.metadata.name)


STORE_FIELDS = (
    "creation_timestamp",
    "deletion_grace_period_seconds",
    "deletion_timestamp",
    "generate_name",
    "generation",
    "name",
    "namespace",
    "resource_version",
    "uid",
)


def _fresh(tx: Tx, site: Site, obj: KubeObject) -> KubeObject:
    """The object with name, namespace, uid and times of a new one, and without a status of before."""
    kind, meta = type(obj), obj.metadata
    name = meta.name
    if not name and meta.generate_name:
        name = tx.once(lambda: _generated(tx, site, obj))
    if not name:
        cause = Cause("metadata.name", "name or generateName is required", "FieldValueRequired")
        raise invalid(kind, "", [cause])
    meta = meta.but(
        name=name,
        namespace=(meta.namespace or DEFAULT_NAMESPACE) if kind.NAMESPACED else None,
        uid=tx.once(site.uid),
        resource_version=None,
        generation=1 if "spec" in kind.model_fields or issubclass(kind, Custom) else None,
        creation_timestamp=tx.now,
        deletion_timestamp=None,
        deletion_grace_period_seconds=None,
        self_link=None,
    )
    obj = obj.but(metadata=meta)
    return obj if isinstance(obj, Node) else _with_status(obj, _no_status(kind))


def _generated(tx: Tx, site: Site, obj: KubeObject) -> str:
    """A name that nobody has; of so many tries that all fail the last one, as Kubernetes does."""
    name, namespace = "", (obj.metadata.namespace or DEFAULT_NAMESPACE) if type(obj).NAMESPACED else ""
    for _ in range(TRIES):
        name = (obj.metadata.generate_name or "")[:58] + "".join(site.chance.choices(ALPHABET, k=5))
        if tx.get(type(obj), Key(namespace, name)) is None:
            break
    return name


def _no_status(kind: type[KubeObject]) -> Any:
    field = kind.model_fields.get("status")
    return field.default if field else None


def _with_status(obj: KubeObject, status: Any) -> KubeObject:
    return obj.but(status=status) if "status" in type(obj).model_fields else obj


def _managed(obj: KubeObject, entries: Sequence[dict[str, Any]]) -> KubeObject:
    fields = tuple(ManagedFieldsEntry.model_validate(entry) for entry in entries)
    return obj.but(metadata=obj.metadata.but(managed_fields=fields))


def _spec(obj: KubeObject) -> Any:
    return obj.content if isinstance(obj, Custom) else getattr(obj, "spec", None)


def _grace(obj: KubeObject, grace: int | None) -> int:
    """Seconds that the agent gets to end the pod; 0 for what nobody runs."""
    if not isinstance(obj, Pod) or not obj.spec.node_name or obj.finished:
        return 0
    if grace is not None:
        return max(grace, 0)
    told = obj.metadata.annotations.get(STOP_TIMEOUT, "")
    return int(told) if told.isdecimal() else obj.spec.termination_grace_period_seconds


def _content(obj: KubeObject) -> bool:
    """Whether a namespace still has to be emptied."""
    return isinstance(obj, Namespace) and bool(obj.spec.finalizers)


def _let_go(tx: Tx, uid: str) -> None:
    """Dependents of this uid stay, without their reference to it."""
    for row in tx.table.owned(uid):
        meta: ObjectMeta = row.object.metadata
        kept = tuple(owner for owner in meta.owner_references if owner.uid != uid)
        _store(tx, row.object.but(metadata=meta.but(owner_references=kept)), row)


def _store(tx: Tx, new: KubeObject, old: Row | None) -> Row:
    row = tx.put(new, old)
    if row is not old:
        quota.charge(tx, old.object if old else None, row.object)
    return row


def _drop(tx: Tx, row: Row) -> None:
    tx.remove(row)
    quota.charge(tx, row.object, None)
