"""Admission webhooks: which are to be asked about a write, and what their answers do to it. No I/O here.

Source: staging/src/k8s.io/apiserver/pkg/admission/plugin/webhook of Kubernetes.
"""

import hashlib
import json
from collections.abc import Iterator

from orchestr.api import scheme
from orchestr.api.base import KubeObject
from orchestr.api.cel import CelError
from orchestr.api.errors import ApiError
from orchestr.api.versions import stored_form
from orchestr.api.webhooks import (
    MutatingWebhook,
    MutatingWebhookConfiguration,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
)
from orchestr.store.attempt import Answer, Ask, Question
from orchestr.store.expressions import Facts, meets
from orchestr.store.jsonpatch import json_patch
from orchestr.store.matching import Subject, attributes, ruled, selected, shown
from orchestr.store.table import Table, kind_name

MUTATING, VALIDATING = kind_name(MutatingWebhookConfiguration), kind_name(ValidatingWebhookConfiguration)
EXEMPT = (MutatingWebhookConfiguration, ValidatingWebhookConfiguration)  # so that a broken one can be repaired


class Denied(ApiError):
    """A webhook's refusal, with the code and reason that it gave."""

    code, reason = 403, "Forbidden"


def there(table: Table) -> bool:
    """Whether there is any webhook at all."""
    return table.has(MUTATING) or table.has(VALIDATING)


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
        reason = answer.reason or {403: "Forbidden", 400: "BadRequest"}.get(answer.code, "")
        raise Denied(f'admission webhook "{hook.name}" denied the request{text}', code=answer.code, reason=reason)


def _failed(hook: ValidatingWebhook, why: str) -> ApiError:
    message = f'Internal error occurred: failed calling webhook "{hook.name}": {why}'
    return Denied(message, code=500, reason="InternalError")


def _matching(subject: Subject, config: str) -> Iterator[tuple[ValidatingWebhook, type[KubeObject]]]:
    """Webhooks to ask, with the version of the kind that each wants to see."""
    if isinstance(subject.any, EXEMPT):
        return
    for row in subject.tx.table.rows(config):
        for hook in row.object.webhooks:  # type: ignore[attr-defined]
            kind = ruled(subject, hook.rules, (), hook.match_policy)
            if kind is None or not selected(subject, hook.object_selector, hook.namespace_selector):
                continue
            if not hook.match_conditions or _meets(subject, hook, kind):
                yield hook, kind


def _meets(subject: Subject, hook: ValidatingWebhook, kind: type[KubeObject]) -> bool:
    """Whether the match conditions hold. A failure of theirs is the webhook's."""
    try:
        return meets(Facts(subject, kind), hook.match_conditions)
    except CelError as error:
        if hook.failure_policy == "Ignore":
            return False
        raise Denied(f'admission webhook "{hook.name}" denied the request: {error}') from error


def _question(subject: Subject, hook: ValidatingWebhook, kind: type[KubeObject]) -> Question:
    request = {
        **attributes(subject, kind),
        "object": subject.shown(kind),
        "oldObject": shown(subject.old, kind),
    }
    told = json.dumps([hook.name, hook.client_config.wire(), request], sort_keys=True)
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return Question(hashlib.sha256(told.encode()).hexdigest(), hook, review)
