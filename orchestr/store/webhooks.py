"""Admission webhooks: which are to be asked about a write, and what their answers do to it. No I/O here.

Source: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook of Kubernetes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.api import scheme
from orchestr.api.base import Key, KubeObject
from orchestr.api.core import Namespace
from orchestr.api.custom import Custom
from orchestr.api.errors import ApiError
from orchestr.api.versions import served_form, stored_form
from orchestr.api.webhooks import (
    MutatingWebhook,
    MutatingWebhookConfiguration,
    RuleWithOperations,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
)
from orchestr.store.attempt import Answer, Ask, Question
from orchestr.store.jsonpatch import json_patch
from orchestr.store.request import Request
from orchestr.store.table import Table, kind_name
from orchestr.store.transaction import Tx

MUTATING, VALIDATING = kind_name(MutatingWebhookConfiguration), kind_name(ValidatingWebhookConfiguration)
EXEMPT = (MutatingWebhookConfiguration, ValidatingWebhookConfiguration)  # so that a broken one can be repaired


class Denied(ApiError):
    """A webhook's refusal, with the code and reason that it gave."""

    code, reason = 403, "Forbidden"

    def __init__(self, message: str, code: int = 403, reason: str = "") -> None:
        super().__init__(message)
        self.code, self.reason = code, reason or {403: "Forbidden", 400: "BadRequest"}.get(code, "")


class Subject:
    """A write as webhooks see it."""

    def __init__(self, tx: Tx, new: KubeObject | None, old: KubeObject | None, sub: str = "") -> None:
        self.tx, self.new, self.old, self.sub = tx, new, old, sub
        self.operation = "CREATE" if old is None else "UPDATE" if new is not None else "DELETE"
        self.any: KubeObject = new or old  # type: ignore[assignment]

    def with_(self, new: KubeObject) -> "Subject":
        return Subject(self.tx, new, self.old, self.sub)


def there(table: Table) -> bool:
    """Whether there is any webhook at all."""
    return bool(table.rows(MUTATING) or table.rows(VALIDATING))


def mutate(request: Request) -> KubeObject:
    return mutated(Subject(request.tx, request.new, request.old))


def validated(request: Request) -> KubeObject:
    review(Subject(request.tx, request.new, request.old))
    return request.new


def mutated(subject: Subject) -> KubeObject:
    """The object after every mutating webhook, in their order; those that want it see later changes once more."""
    assert subject.new is not None
    if subject.tx.attempt is None:
        return subject.new
    obj = subject.new
    seen: list[tuple[MutatingWebhook, KubeObject]] = []
    for hook, kind in _matching(subject, MUTATING):
        assert isinstance(hook, MutatingWebhook)
        obj = _changed(subject.with_(obj), hook, kind)
        seen.append((hook, obj))
    for hook, last in seen:
        if hook.reinvocation_policy == "IfNeeded" and last != obj:
            found = next((k for h, k in _matching(subject.with_(obj), MUTATING) if h is hook), None)
            obj = _changed(subject.with_(obj), hook, found) if found else obj
    return obj


def review(subject: Subject) -> None:
    """Asks every validating webhook; all at once. Raises Denied with the first refusal."""
    if subject.tx.attempt is None:
        return
    questions = [_question(subject, hook, kind) for hook, kind in _matching(subject, VALIDATING)]
    if unknown := [each for each in questions if each.key not in subject.tx.attempt.answers]:
        raise Ask(unknown)
    for each in questions:
        _permitted(each.hook, subject.tx.attempt.answers[each.key])


def _changed(subject: Subject, hook: MutatingWebhook, kind: type[KubeObject]) -> KubeObject:
    assert subject.tx.attempt is not None
    assert subject.new is not None
    question = _question(subject, hook, kind)
    answer = subject.tx.attempt.answers.get(question.key)
    if answer is None:
        raise Ask([question])
    _permitted(hook, answer)
    if answer.patch is None:
        return subject.new
    try:
        wire = json_patch(question.review["request"]["object"], answer.patch)
        changed = stored_form(scheme.read(kind, wire))
    except ApiError as error:
        raise _failed(hook, f"cannot apply its patch: {error}") from error
    if changed.key != subject.new.key:
        raise _failed(hook, "its patch changes name or namespace")
    return changed.but(metadata=changed.metadata.but(managed_fields=subject.new.metadata.managed_fields))


def _permitted(hook: ValidatingWebhook, answer: Answer) -> None:
    if answer.failure:
        if hook.failure_policy != "Ignore":
            raise _failed(hook, answer.failure)
    elif not answer.allowed:
        text = f": {answer.message}" if answer.message else " without explanation"
        raise Denied(f'admission webhook "{hook.name}" denied the request{text}', answer.code, answer.reason)


def _failed(hook: ValidatingWebhook, why: str) -> ApiError:
    return Denied(f'Internal error occurred: failed calling webhook "{hook.name}": {why}', 500, "InternalError")


def _matching(subject: Subject, config: str) -> Iterator[tuple[ValidatingWebhook, type[KubeObject]]]:
    """Webhooks to ask, with the version of the kind that each wants to see."""
    if isinstance(subject.any, EXEMPT):
        return
    for row in subject.tx.table.rows(config):
        for hook in row.object.webhooks:  # type: ignore[attr-defined]
            kind = next((kind for kind in _versions(subject.any, hook) if _ruled(subject, hook, kind)), None)
            if kind is not None and _selected(subject, hook):
                yield hook, kind


def _versions(obj: KubeObject, hook: ValidatingWebhook) -> Iterator[type[KubeObject]]:
    yield type(obj)
    if hook.match_policy != "Exact" and isinstance(obj, Custom):
        yield from (kind for kind in scheme.CUSTOM if kind.STORED is type(obj).STORED and kind is not type(obj))


def _ruled(subject: Subject, hook: ValidatingWebhook, kind: type[KubeObject]) -> bool:
    return any(_fits(rule, subject, kind) for rule in hook.rules)


def _fits(rule: RuleWithOperations, subject: Subject, kind: type[KubeObject]) -> bool:
    def has(allowed: tuple[str, ...], word: str) -> bool:
        return "*" in allowed or word in allowed

    scope = "Namespaced" if kind.NAMESPACED else "Cluster"
    if isinstance(subject.any, Namespace):
        scope = "Cluster"
    if rule.scope not in (None, "*", scope):
        return False
    if not has(rule.operations, subject.operation) or not has(rule.api_groups, kind.GROUP):
        return False
    return has(rule.api_versions, kind.VERSION) and any(_resource(each, kind, subject.sub) for each in rule.resources)


def _resource(pattern: str, kind: type[KubeObject], sub: str) -> bool:
    plural, _, part = pattern.partition("/")
    return plural in ("*", kind.PLURAL) and (part in ("*", sub) if part else not sub)


def _selected(subject: Subject, hook: ValidatingWebhook) -> bool:
    labels = [obj.metadata.labels for obj in (subject.new, subject.old) if obj is not None]
    if hook.object_selector is not None and not any(hook.object_selector.matches(each) for each in labels):
        return False
    selector = hook.namespace_selector
    if selector is None or selector.empty:
        return True
    if isinstance(subject.any, Namespace):
        return selector.matches(subject.any.metadata.labels)
    if not type(subject.any).NAMESPACED:
        return True
    row = subject.tx.get(Namespace, Key("", subject.any.metadata.namespace or ""))
    return row is not None and selector.matches(row.object.metadata.labels)


def _question(subject: Subject, hook: ValidatingWebhook, kind: type[KubeObject]) -> Question:
    group_kind = {"group": kind.GROUP, "version": kind.VERSION, "kind": kind.__name__}
    resource = {"group": kind.GROUP, "version": kind.VERSION, "resource": kind.PLURAL}
    request: dict[str, Any] = {
        "kind": group_kind,
        "resource": resource,
        "requestKind": group_kind,
        "requestResource": resource,
        "name": subject.any.metadata.name,
        "operation": subject.operation,
        "object": _shown(subject.new, kind),
        "oldObject": _shown(subject.old, kind),
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": f"{subject.operation.capitalize()}Options"},
    }
    if kind.NAMESPACED:
        request["namespace"] = subject.any.metadata.namespace
    if subject.sub:
        request["subResource"] = request["requestSubResource"] = subject.sub
    told = json.dumps([hook.name, hook.client_config.wire(), request], sort_keys=True)
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return Question(hashlib.sha256(told.encode()).hexdigest(), hook, review)


def _shown(obj: KubeObject | None, kind: type[KubeObject]) -> Mapping[str, Any] | None:
    return None if obj is None else served_form(obj, kind).wire()
