"""ValidatingAdmissionPolicies: what their bindings make of a write. No I/O.

Source: staging/src/k8s.io/apiserver/pkg/admission/plugin/policy of Kubernetes.
"""

import json
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

from orchestr.api import scheme
from orchestr.api.base import Key, KubeObject
from orchestr.api.cel import CelError
from orchestr.api.errors import ApiError, Cause
from orchestr.api.policies import (
    BindingSpec,
    MatchResources,
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    ParamRef,
    Policy,
    PolicySpec,
    TypeChecking,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    Validation,
)
from orchestr.api.policytypes import warnings
from orchestr.store.definitions import kind_in
from orchestr.store.expressions import Facts, meets
from orchestr.store.matching import Subject, ruled, selected
from orchestr.store.refusals import forbidden
from orchestr.store.request import Request
from orchestr.store.table import Table, kind_name
from orchestr.store.transaction import Tx

log = logging.getLogger(__name__)

BINDINGS = kind_name(ValidatingAdmissionPolicyBinding)
EXEMPT = (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
)  # so that a broken one can be repaired
CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}
MESSAGE, ANNOTATION = 5 * 1024, 10 * 1024  # most characters of what an expression makes


class Fault(Exception):
    """The policy or its binding cannot be used."""


class Bound(NamedTuple):
    """A policy for a write, by one of its bindings and one of its parameters."""

    policy: Any
    binding: Any
    facts: Facts | None  # None when it cannot be used, for the reason in
    fault: str = ""


class Finding(NamedTuple):
    message: str
    reason: str = "Invalid"
    position: int = 0  # of the validation


def there(table: Table) -> bool:
    """Whether any policy is bound."""
    return table.has(BINDINGS)


def review(subject: Subject) -> None:
    """Raises an ApiError with the first finding that denies; the others are causes. Warns and logs as bindings say."""
    if not there(subject.tx.table):
        return
    denied: list[tuple[Bound, Finding]] = []
    for bound in matching(subject, BINDINGS, ValidatingAdmissionPolicy):
        spec = bound.policy.spec
        if bound.facts is None:
            if spec.failure_policy != "Ignore":
                denied.append((bound, Finding(bound.fault)))
            continue
        for finding in _findings(bound.facts, spec):
            _act(subject.tx, bound, finding, denied)
        _annotate(bound.facts, bound, denied)
    if denied:
        raise _refusal(subject, denied)


def matching(subject: Subject, bindings: str, kind: type[Policy]) -> Iterator[Bound]:
    """Every policy, binding and parameter for this write."""
    if isinstance(subject.any, EXEMPT):
        return
    rows = subject.tx.table.rows(bindings)
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.object.spec.policy_name, []).append(row.object)  # type: ignore[attr-defined]
    for name in sorted(found):
        row_ = subject.tx.get(kind, Key("", name))
        if row_ is not None:
            yield from _bound(subject, row_.object, found[name])


def _bound(subject: Subject, policy: Any, bindings: list[Any]) -> Iterator[Bound]:
    shown = _matched(subject, policy.spec.match_constraints)
    if shown is None:
        return
    for binding in bindings:
        match = binding.spec.match_resources
        if match is not None and not _within(subject, match):
            continue
        try:
            params = _params(subject, policy.spec, binding.spec)
        except Fault as fault:
            yield Bound(policy, binding, None, f"failed to configure binding: {fault}")
            continue
        for param in params:
            facts = Facts(subject, shown, param, policy.spec.variables)
            try:
                if meets(facts, policy.spec.match_conditions):
                    yield Bound(policy, binding, facts)
            except CelError as error:
                yield Bound(policy, binding, None, str(error))


def _matched(subject: Subject, match: MatchResources) -> type[KubeObject] | None:
    kind = ruled(subject, match.resource_rules, match.exclude_resource_rules, match.match_policy)
    fits = kind is not None and selected(subject, match.object_selector, match.namespace_selector)
    return kind if fits else None


def _within(subject: Subject, match: MatchResources) -> bool:
    """Whether a binding's own restriction holds; without rules it is for all that its policy is for."""
    if match.resource_rules:
        return _matched(subject, match) is not None
    if match.exclude_resource_rules and ruled(subject, match.exclude_resource_rules, (), match.match_policy):
        return False
    return selected(subject, match.object_selector, match.namespace_selector)


def _params(subject: Subject, policy: PolicySpec, binding: BindingSpec) -> list[KubeObject | None]:
    """The parameter objects, one evaluation for each. Raises Fault."""
    wanted, ref = policy.param_kind, binding.param_ref
    if wanted is None or ref is None:
        return [None]
    try:
        kind = kind_in(subject.tx, wanted.api_version or "", wanted.kind or "")
    except scheme.UnknownKind:
        where = f"{wanted.api_version}, Kind={wanted.kind}"
        raise Fault(f"failed to find resource referenced by paramKind: '{where}'") from None
    found = _found(subject, kind, ref)
    if not found and ref.parameter_not_found_action != "Allow":
        raise Fault("no params found for policy binding with `Deny` parameterNotFoundAction")
    return list(found)


def _found(subject: Subject, kind: type[KubeObject], ref: ParamRef) -> list[KubeObject]:
    space = ""
    if kind.NAMESPACED:
        space = ref.namespace or subject.any.metadata.namespace or ""
        if not space:
            raise Fault("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    elif ref.namespace:
        raise Fault("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    if ref.name:
        row = subject.tx.get(kind, Key(space, ref.name))
        return [row.object] if row else []
    assert ref.selector is not None
    rows = subject.tx.table.rows(kind_name(kind), space)
    return [row.object for row in rows if ref.selector.matches(row.object.metadata.labels)]


def _findings(facts: Facts, spec: Any) -> Iterator[Finding]:
    for index, validation in enumerate(spec.validations):
        try:
            good = facts.value(validation.expression)
        except CelError as error:
            if spec.failure_policy != "Ignore":
                text = f"expression '{validation.expression.strip()}' resulted in error: {error}"
                yield Finding(text, "Invalid", index)
            continue
        if good is not True:
            yield Finding(_message(facts, validation), validation.reason or "Invalid", index)


def _message(facts: Facts, validation: Validation) -> str:
    made: Any = ""
    if validation.message_expression:
        try:
            made = facts.value(validation.message_expression)
        except CelError:
            made = ""  # the plain message stands in
    text = made.strip() if isinstance(made, str) else ""
    if text and len(text) <= MESSAGE and "\n" not in text:
        return text
    return (validation.message or "").strip() or f"failed expression: {validation.expression.strip()}"


def _act(tx: Tx, bound: Bound, finding: Finding, denied: list[tuple[Bound, Finding]]) -> None:
    policy, binding = bound.policy.metadata.name, bound.binding.metadata.name
    actions = bound.binding.spec.validation_actions
    if "Deny" in actions:
        denied.append((bound, finding))
    if "Warn" in actions and tx.caller is not None:
        text = f"Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}'"
        tx.caller.warn(f"{text}: {finding.message}")
    if "Audit" in actions:
        told = {"message": finding.message, "policy": policy, "binding": binding, "expressionIndex": finding.position}
        _audit("validation.policy.admission.k8s.io/validation_failure", [{**told, "validationActions": list(actions)}])


def _annotate(facts: Facts, bound: Bound, denied: list[tuple[Bound, Finding]]) -> None:
    """Audit annotations go to the log: there is no other record of requests."""
    for annotation in bound.policy.spec.audit_annotations:
        try:
            value = facts.value(annotation.value_expression)
            if value is not None and not isinstance(value, str):
                raise CelError(f"valueExpression '{annotation.value_expression}' is neither a string nor null")
        except CelError as error:
            if bound.policy.spec.failure_policy != "Ignore":
                denied.append((bound, Finding(str(error))))
            continue
        if value and value.strip():
            _audit(f"{bound.policy.metadata.name}/{annotation.key}", value.strip()[:ANNOTATION])


def _audit(key: str, value: Any) -> None:
    log.info("audit annotation %s: %s", key, json.dumps(value))


def _refusal(subject: Subject, denied: list[tuple[Bound, Finding]]) -> ApiError:
    texts = [
        f"ValidatingAdmissionPolicy '{bound.policy.metadata.name}' with binding '{bound.binding.metadata.name}' "
        f"denied request: {finding.message}"
        for bound, finding in denied
    ]
    error = forbidden(type(subject.any), subject.any.metadata.name, texts[0], [Cause("", text, "") for text in texts])
    error.code, error.reason = CODES[denied[0][1].reason], denied[0][1].reason
    return error


def observed(request: Request) -> KubeObject:
    """A policy with the status that says what of it was looked at, and what its expressions get wrong."""
    new, old = request.new, request.old
    if not isinstance(new, ValidatingAdmissionPolicy):
        return new
    same = isinstance(old, ValidatingAdmissionPolicy) and old.spec == new.spec
    generation = (old.metadata.generation or 0) + (not same) if old else 1
    found = warnings(new, scheme.by_plural, lambda kind: scheme.BY_NAME.get((str(kind.api_version), str(kind.kind))))
    status = new.status.but(observed_generation=generation, type_checking=TypeChecking(expression_warnings=found))
    return new.but(status=status)
