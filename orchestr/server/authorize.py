"""Who may what: one question for every request, answered from roles and bindings (RBAC)."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from orchestr.api.base import Key, KubeObject
from orchestr.api.rbac import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef
from orchestr.server.attributes import Attributes, refused
from orchestr.server.auth import Unauthorized
from orchestr.server.rbac import EVERYTHING, allows, means
from orchestr.server.user import ANONYMOUS, User
from orchestr.store.local import LocalCluster
from orchestr.store.table import kind_name
from orchestr.store.transaction import Tx

K = TypeVar("K", bound=KubeObject)

OPEN = ("/livez", "/readyz", "/healthz", "/version")  # the only paths for which nobody has to say who they are


class Objects(Protocol):
    """Where roles and bindings are read: what is published, or what a transaction sees."""

    def one(self, kind: type[K], key: Key) -> K | None: ...

    def all(self, kind: type[K], namespace: str | None = None) -> Sequence[K]: ...


class Published:
    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster

    def one(self, kind: type[K], key: Key) -> K | None:
        row = self._cluster.row(kind, key)
        return row.object if row else None  # type: ignore[return-value]

    def all(self, kind: type[K], namespace: str | None = None) -> Sequence[K]:
        return [row.object for row in self._cluster.rows(kind, namespace=namespace).rows]  # type: ignore[misc]


class InTransaction:
    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def one(self, kind: type[K], key: Key) -> K | None:
        row = self._tx.get(kind, key)
        return row.object if row else None  # type: ignore[return-value]

    def all(self, kind: type[K], namespace: str | None = None) -> Sequence[K]:
        return [row.object for row in self._tx.table.rows(kind_name(kind), namespace)]  # type: ignore[misc]


def open_to_all(wanted: Attributes) -> bool:
    parts = wanted.path.split("/")
    return wanted.verb == "get" and len(parts) > 1 and f"/{parts[1]}" in OPEN


def rules_of(objects: Objects, role: RoleRef, namespace: str) -> Sequence[PolicyRule] | None:
    """The rules of a binding's role; None when there is no such role."""
    if role.kind == "ClusterRole":
        found: ClusterRole | Role | None = objects.one(ClusterRole, Key("", role.name))
    else:
        found = objects.one(Role, Key(namespace, role.name))
    return found.rules if found else None


def granted(objects: Objects, user: User, namespace: str) -> Iterator[tuple[PolicyRule, str]]:
    """Every rule that holds for the user in the namespace ("" for the cluster), and the binding that says so."""
    if user.unrestricted:
        for rule in EVERYTHING:
            yield rule, "the group system:masters"
    for whole in objects.all(ClusterRoleBinding):
        if any(means(subject, user, "") for subject in whole.subjects):
            for rule in rules_of(objects, whole.role_ref, "") or ():
                yield rule, _why("ClusterRoleBinding", whole.metadata.name, whole.role_ref, user)
    for binding in objects.all(RoleBinding, namespace) if namespace else ():
        if any(means(subject, user, namespace) for subject in binding.subjects):
            for rule in rules_of(objects, binding.role_ref, namespace) or ():
                yield rule, _why("RoleBinding", f"{binding.metadata.name}/{namespace}", binding.role_ref, user)


def _why(kind: str, name: str, role: RoleRef, user: User) -> str:
    return f'RBAC: allowed by {kind} "{name}" of {role.kind} "{role.name}" to User "{user.name}"'


class Authorizer:
    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def authorize(self, user: User, wanted: Attributes) -> None:
        """Raises Forbidden; Unauthorized for somebody unknown."""
        if user.unrestricted or open_to_all(wanted):
            return
        if user.name == ANONYMOUS.name:
            raise Unauthorized
        if self.reason(user, wanted) is None:
            raise refused(user.name, wanted)

    def reason(self, user: User, wanted: Attributes) -> str | None:
        """Why the user may; None when they may not."""
        found = granted(self.objects, user, wanted.namespace)
        return next((why for rule, why in found if allows(rule, wanted)), None)
