"""Which writes a webhook or a policy is for: rules by operation and resource, and selectors. No I/O.

Source: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook/predicates of Kubernetes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestr.api import scheme
from orchestr.api.base import Key, KubeObject
from orchestr.api.core import Namespace
from orchestr.api.custom import Custom
from orchestr.api.meta import LabelSelector
from orchestr.api.versions import served_form
from orchestr.api.webhooks import RuleWithOperations
from orchestr.store.transaction import Tx

OPTIONS = {"exec": "PodExecOptions", "attach": "PodAttachOptions", "portforward": "PodPortForwardOptions"}

Rules = Sequence[RuleWithOperations]


class Subject:
    """A write as webhooks and policies see it."""

    def __init__(self, tx: Tx, new: KubeObject | None, old: KubeObject | None, sub: str = "") -> None:
        self.tx, self.new, self.old, self.sub = tx, new, old, sub
        self.operation = "CREATE" if old is None else "UPDATE" if new is not None else "DELETE"
        self.any: KubeObject = new or old  # type: ignore[assignment]

    def with_(self, new: KubeObject) -> "Subject":
        return Subject(self.tx, new, self.old, self.sub)

    @property
    def namespace(self) -> KubeObject | None:
        """The namespace that the object is in."""
        if not type(self.any).NAMESPACED:
            return None
        row = self.tx.get(Namespace, Key("", self.any.metadata.namespace or ""))
        return row.object if row else None

    def shown(self, kind: type[KubeObject]) -> Mapping[str, Any] | None:
        """The new object in this version, on the wire."""
        return shown(self.new, kind)


class Connect(Subject):
    """A stream into a pod: no write, but rules with the operation CONNECT are for it. Its object are its options."""

    def __init__(self, tx: Tx, pod: KubeObject, sub: str, options: Mapping[str, Any]) -> None:
        super().__init__(tx, pod, None, sub)
        self.new, self.operation = None, "CONNECT"
        self._options = {"kind": OPTIONS[sub], "apiVersion": "v1", **options}

    def shown(self, kind: type[KubeObject]) -> Mapping[str, Any]:
        return self._options


def ruled(subject: Subject, rules: Rules, exclude: Rules, match_policy: str | None) -> type[KubeObject] | None:
    """The version of the kind that the rules name and want to see; None when they name none."""
    kinds = list(_versions(subject.any, match_policy))
    if any(_fits(rule, subject, kind) for rule in exclude for kind in kinds):
        return None
    return next((kind for kind in kinds if any(_fits(rule, subject, kind) for rule in rules)), None)


def selected(subject: Subject, objects: LabelSelector | None, namespaces: LabelSelector | None) -> bool:
    labels = [obj.metadata.labels for obj in (subject.new, subject.old) if obj is not None]
    if objects is not None and not objects.empty and not any(objects.matches(each) for each in labels):
        return False
    if namespaces is None or namespaces.empty:
        return True
    if isinstance(subject.any, Namespace):
        return namespaces.matches(subject.any.metadata.labels)
    if not type(subject.any).NAMESPACED:
        return True
    found = subject.namespace
    return found is not None and namespaces.matches(found.metadata.labels)


def _versions(obj: KubeObject, match_policy: str | None) -> Iterator[type[KubeObject]]:
    yield type(obj)
    if match_policy != "Exact" and isinstance(obj, Custom):
        yield from (kind for kind in scheme.CUSTOM if kind.STORED is type(obj).STORED and kind is not type(obj))


def _fits(rule: RuleWithOperations, subject: Subject, kind: type[KubeObject]) -> bool:
    def has(allowed: tuple[str, ...], word: str) -> bool:
        return "*" in allowed or word in allowed

    if rule.scope not in (None, "*", "Namespaced" if kind.NAMESPACED else "Cluster"):
        return False
    if not has(rule.operations, subject.operation) or not has(rule.api_groups, kind.GROUP):
        return False
    names: tuple[str, ...] = getattr(rule, "resource_names", ())
    if names and subject.any.metadata.name not in names:
        return False
    return has(rule.api_versions, kind.VERSION) and any(_resource(each, kind, subject.sub) for each in rule.resources)


def _resource(pattern: str, kind: type[KubeObject], sub: str) -> bool:
    plural, _, part = pattern.partition("/")
    return plural in ("*", kind.PLURAL) and (part in ("*", sub) if part else not sub)


def attributes(subject: Subject, kind: type[KubeObject]) -> dict[str, Any]:
    """The AdmissionRequest, less who asks and the objects."""
    group_kind = {"group": kind.GROUP, "version": kind.VERSION, "kind": kind.__name__}
    resource = {"group": kind.GROUP, "version": kind.VERSION, "resource": kind.PLURAL}
    request: dict[str, Any] = {
        "kind": group_kind,
        "resource": resource,
        "requestKind": group_kind,
        "requestResource": resource,
        "name": subject.any.metadata.name,
        "operation": subject.operation,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": f"{subject.operation.capitalize()}Options"},
    }
    if isinstance(subject, Connect):
        request["kind"] = request["requestKind"] = {"group": "", "version": "v1", "kind": OPTIONS[subject.sub]}
    if kind.NAMESPACED or isinstance(subject.any, Namespace):
        request["namespace"] = subject.any.metadata.namespace or subject.any.metadata.name
    if subject.sub:
        request["subResource"] = request["requestSubResource"] = subject.sub
    return request


def shown(obj: KubeObject | None, kind: type[KubeObject]) -> Mapping[str, Any] | None:
    """The object in this version, on the wire."""
    return None if obj is None else served_form(obj, kind).wire()
