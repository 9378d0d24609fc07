"""Rules for admission policies and match conditions.

Source: pkg/apis/admissionregistration/validation of Kubernetes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from orchestr.api import names
from orchestr.api.base import KubeObject
from orchestr.api.cel import AUTHORIZER, CelError, undeclared
from orchestr.api.errors import Cause
from orchestr.api.metarules import check_selector
from orchestr.api.policies import (
    Binding,
    MatchResources,
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    Mutation,
    ParamRef,
    PolicySpec,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)
from orchestr.api.rbacrules import path_segment
from orchestr.api.rules import duplicates, one_of, required, wrong
from orchestr.api.webhooks import MatchCondition, RuleWithOperations

OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT", "*")
REASONS = ("Unauthorized", "Forbidden", "Invalid", "RequestEntityTooLarge")
REQUEST = ("object", "oldObject", "request")
CONDITIONS = 64  # match conditions of one policy or webhook
IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")


def expression(
    at: str, source: str | None, known: Iterable[str], variables: Iterable[str] = (), *, rights: bool = True
) -> Iterator[Cause]:
    """What is wrong with an expression over these names; `variables` are the fields of `variables`."""
    if source is None or not source.strip():
        yield required(at, "must not be empty")
        return
    names_ = {*known, *(("authorizer",) if rights else ())}
    try:
        message = undeclared(source, names_, variables, AUTHORIZER if rights else frozenset())
    except CelError as error:
        message = str(error)
    if message:
        yield Cause(at, f"Invalid value: {source!r}: compilation failed: {message}")


def match_conditions(conditions: Sequence[MatchCondition], at: str, known: Iterable[str] = REQUEST) -> Iterator[Cause]:
    if len(conditions) > CONDITIONS:
        yield Cause(at, f"must have at most {CONDITIONS} items", "FieldValueTooMany")
    for index, condition in enumerate(conditions):
        yield from expression(f"{at}[{index}].expression", condition.expression, known)
        yield from wrong(f"{at}[{index}].name", names.label_key(condition.name))
    yield from duplicates(((f"{at}[{i}].name", each.name) for i, each in enumerate(conditions)), "condition")


def check_rule(rule: RuleWithOperations, at: str) -> Iterator[Cause]:
    for field, values in (
        ("operations", rule.operations),
        ("apiGroups", rule.api_groups),
        ("apiVersions", rule.api_versions),
        ("resources", rule.resources),
    ):
        if not values:
            yield required(f"{at}.{field}")
        elif "*" in values and len(values) > 1 and field != "resources":
            yield Cause(f"{at}.{field}", "if '*' is present, must not specify others")
    for index, operation in enumerate(rule.operations):
        yield from one_of(f"{at}.operations[{index}]", operation, OPERATIONS)
    yield from one_of(f"{at}.scope", rule.scope, ("Cluster", "Namespaced", "*"))


def _match(match: MatchResources, at: str, *, needs_rules: bool) -> Iterator[Cause]:
    yield from one_of(f"{at}.matchPolicy", match.match_policy, ("Exact", "Equivalent"))
    for field, selector in (("namespaceSelector", match.namespace_selector), ("objectSelector", match.object_selector)):
        if selector is not None:
            yield from check_selector(selector, f"{at}.{field}")
    for field, rules in (
        ("resourceRules", match.resource_rules),
        ("excludeResourceRules", match.exclude_resource_rules),
    ):
        for index, rule in enumerate(rules):
            yield from check_rule(rule, f"{at}.{field}[{index}]")
    if needs_rules and not match.resource_rules:
        yield required(f"{at}.resourceRules")


def _spec(spec: PolicySpec) -> Iterator[Cause]:
    yield from one_of("spec.failurePolicy", spec.failure_policy, ("Fail", "Ignore"))
    if spec.param_kind is not None:
        kind = spec.param_kind
        if not kind.api_version or len(kind.api_version.split("/")) > 2:
            yield Cause("spec.paramKind.apiVersion", f"must be GROUP/VERSION, not {kind.api_version!r}")
        if not kind.kind:
            yield required("spec.paramKind.kind")
    if spec.match_constraints is None:
        yield required("spec.matchConstraints")
    else:
        yield from _match(spec.match_constraints, "spec.matchConstraints", needs_rules=True)
    known = _known(spec)
    yield from match_conditions(spec.match_conditions, "spec.matchConditions", known)
    before: list[str] = []
    for index, variable in enumerate(spec.variables):
        at = f"spec.variables[{index}]"
        if not IDENTIFIER.fullmatch(variable.name):
            yield Cause(f"{at}.name", f"must be an identifier of the expression language, not {variable.name!r}")
        yield from expression(f"{at}.expression", variable.expression, known, before)
        before.append(variable.name)
    yield from duplicates(((f"spec.variables[{i}].name", v.name) for i, v in enumerate(spec.variables)), "variable")


def _known(spec: PolicySpec) -> tuple[str, ...]:
    return (*REQUEST, "namespaceObject", "variables", *(("params",) if spec.param_kind else ()))


def _validating(policy: ValidatingAdmissionPolicy) -> Iterator[Cause]:
    spec = policy.spec
    yield from _spec(spec)
    known, variables = _known(spec), [variable.name for variable in spec.variables]
    if not spec.validations and not spec.audit_annotations:
        yield required("spec.validations", "validations or auditAnnotations must contain at least one item")
    for index, validation in enumerate(spec.validations):
        at = f"spec.validations[{index}]"
        yield from expression(f"{at}.expression", validation.expression, known, variables)
        if validation.message_expression is not None:
            where, source = f"{at}.messageExpression", validation.message_expression
            yield from expression(where, source, known, variables, rights=False)
        if validation.message is not None and not validation.message.strip():
            yield Cause(f"{at}.message", "message must be non-empty if specified")
        if validation.message and "\n" in validation.message.strip():
            yield Cause(f"{at}.message", "message must not contain line breaks")
        yield from one_of(f"{at}.reason", validation.reason, REASONS)
    for index, annotation in enumerate(spec.audit_annotations):
        at = f"spec.auditAnnotations[{index}]"
        yield from wrong(f"{at}.key", names.label_key(f"{policy.metadata.name or 'x'}/{annotation.key}"))
        yield from expression(f"{at}.valueExpression", annotation.value_expression, known, variables, rights=False)
    keys = ((f"spec.auditAnnotations[{i}].key", each.key) for i, each in enumerate(spec.audit_annotations))
    yield from duplicates(keys, "annotation")


def _mutating(policy: MutatingAdmissionPolicy) -> Iterator[Cause]:
    spec = policy.spec
    yield from _spec(spec)
    if not spec.mutations:
        yield required("spec.mutations", "must contain at least one item")
    if spec.reinvocation_policy is None:
        yield required("spec.reinvocationPolicy")
    yield from one_of("spec.reinvocationPolicy", spec.reinvocation_policy, ("Never", "IfNeeded"))
    known, variables = _known(spec), [variable.name for variable in spec.variables]
    for index, mutation in enumerate(spec.mutations):
        yield from _mutation(mutation, f"spec.mutations[{index}]", known, variables)


def _mutation(mutation: Mutation, at: str, known: Iterable[str], variables: Iterable[str]) -> Iterator[Cause]:
    yield from one_of(f"{at}.patchType", mutation.patch_type, ("ApplyConfiguration", "JSONPatch"))
    forms = {
        "ApplyConfiguration": ("applyConfiguration", mutation.apply_configuration),
        "JSONPatch": ("jsonPatch", mutation.json_patch),
    }
    for type_, (field, given) in forms.items():
        if type_ != mutation.patch_type:
            if given is not None:
                yield Cause(
                    f"{at}.{field}", f"must not be set with patchType {mutation.patch_type}", "FieldValueForbidden"
                )
        elif given is None:
            yield required(f"{at}.{field}", f"is required with patchType {type_}")
        else:
            yield from expression(f"{at}.{field}.expression", given.expression, known, variables)


def _binding(binding: Binding) -> Iterator[Cause]:
    spec = binding.spec
    if not spec.policy_name:
        yield required("spec.policyName")
    else:
        yield from wrong("spec.policyName", names.dns_subdomain(spec.policy_name))
    if spec.param_ref is not None:
        yield from _param_ref(spec.param_ref, "spec.paramRef")
    if spec.match_resources is not None:
        yield from _match(spec.match_resources, "spec.matchResources", needs_rules=False)


def _param_ref(ref: ParamRef, at: str) -> Iterator[Cause]:
    if ref.name and ref.selector is not None:
        yield Cause(f"{at}.name", "name and selector are mutually exclusive", "FieldValueForbidden")
    if not ref.name and ref.selector is None:
        yield required(at, "one of name or selector must be specified")
    if ref.name:
        yield from wrong(f"{at}.name", path_segment(ref.name))
    if ref.selector is not None:
        yield from check_selector(ref.selector, f"{at}.selector")
    if ref.parameter_not_found_action is None:
        yield required(f"{at}.parameterNotFoundAction")
    yield from one_of(f"{at}.parameterNotFoundAction", ref.parameter_not_found_action, ("Allow", "Deny"))


def _validating_binding(binding: ValidatingAdmissionPolicyBinding) -> Iterator[Cause]:
    yield from _binding(binding)
    actions, at = binding.spec.validation_actions, "spec.validationActions"
    if not actions:
        yield required(at, "must contain at least one of Deny, Warn, Audit")
    for index, action in enumerate(actions):
        yield from one_of(f"{at}[{index}]", action, ("Deny", "Warn", "Audit"))
    yield from duplicates(((f"{at}[{i}]", action) for i, action in enumerate(actions)), "action")
    if {"Deny", "Warn"} <= set(actions):
        yield Cause(at, "must not contain both Deny and Warn (repeating the same validation failure information)")


RULES: dict[type[KubeObject], Callable[[Any], Iterator[Cause]]] = {
    MutatingAdmissionPolicy: _mutating,
    MutatingAdmissionPolicyBinding: _binding,
    ValidatingAdmissionPolicy: _validating,
    ValidatingAdmissionPolicyBinding: _validating_binding,
}
