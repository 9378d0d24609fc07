"""Nobody hands out more than they hold: the check on every write of a role or a binding, inside its transaction.

Whoever has the verb `escalate` on a role may write any rules into it, and with `bind` on it may bind it to anybody.
"""

from collections.abc import Iterable

from orchestr.api.base import KubeObject
from orchestr.api.core import Namespace
from orchestr.api.errors import Forbidden
from orchestr.api.rbac import GROUP, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding
from orchestr.server.attributes import Attributes, refused
from orchestr.server.authorize import Authorizer, InTransaction, granted, rules_of
from orchestr.server.rbac import EVERYTHING, shown, uncovered
from orchestr.server.user import User
from orchestr.store.refusals import forbidden, not_found
from orchestr.store.request import Request


def guard(user: User, request: Request) -> None:
    """Raises Forbidden when the write would grant what the user does not hold."""
    new, old = request.new, request.old
    if user.unrestricted:
        return
    if old is None:  # a POST was asked already, an apply was not
        _check_creation(user, request, new)
    if isinstance(new, Role | ClusterRole) and not (isinstance(old, type(new)) and _same(old, new)):
        _role(user, request, new)
    elif isinstance(new, RoleBinding | ClusterRoleBinding) and not (isinstance(old, type(new)) and _alike(old, new)):
        _binding(user, request, new)


def _check_creation(user: User, request: Request, new: KubeObject) -> None:
    kind = type(new)
    namespace = new.metadata.name if isinstance(new, Namespace) else request.namespace
    wanted = Attributes("create", kind.GROUP, kind.VERSION, kind.PLURAL, namespace=namespace)
    if Authorizer(InTransaction(request.tx)).reason(user, wanted) is None:
        raise refused(user.name, wanted._replace(namespace=request.namespace))


def _same(old: Role | ClusterRole, new: Role | ClusterRole) -> bool:
    return old.rules == new.rules and getattr(old, "aggregation_rule", None) == getattr(new, "aggregation_rule", None)


def _alike(old: RoleBinding | ClusterRoleBinding, new: RoleBinding | ClusterRoleBinding) -> bool:
    return (old.role_ref, old.subjects) == (new.role_ref, new.subjects)


def _role(user: User, request: Request, role: Role | ClusterRole) -> None:
    namespace = request.namespace
    if _may(user, request, "escalate", type(role), namespace, role.metadata.name):
        return
    rules: Iterable[PolicyRule] = role.rules
    if isinstance(role, ClusterRole) and role.aggregation_rule is not None:
        rules = (*rules, *EVERYTHING)  # nobody knows what it will hold
    _check(user, request, role, rules, namespace)


def _binding(user: User, request: Request, binding: RoleBinding | ClusterRoleBinding) -> None:
    ref, namespace = binding.role_ref, request.namespace
    kind = ClusterRole if ref.kind == "ClusterRole" else Role
    if _may(user, request, "bind", kind, namespace, ref.name):
        return
    rules = rules_of(InTransaction(request.tx), ref, namespace)
    if rules is None:
        raise not_found(kind, ref.name)
    _check(user, request, binding, rules, namespace)


def _may(user: User, request: Request, verb: str, kind: type[KubeObject], namespace: str, name: str) -> bool:
    wanted = Attributes(verb, GROUP, "v1", kind.PLURAL, namespace=namespace, name=name)
    return Authorizer(InTransaction(request.tx)).reason(user, wanted) is not None


def _check(user: User, request: Request, obj: KubeObject, rules: Iterable[PolicyRule], namespace: str) -> None:
    owned = [rule for rule, _ in granted(InTransaction(request.tx), user, namespace)]
    if lacking := uncovered(owned, rules):
        raise _forbidden(user, obj, lacking)


def _forbidden(user: User, obj: KubeObject, lacking: Iterable[PolicyRule]) -> Forbidden:
    groups = ", ".join(f'"{group}"' for group in user.groups)
    texts = "\n".join(shown(rule) for rule in lacking)
    why = f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{texts}'
    return forbidden(type(obj), obj.metadata.name, why)
