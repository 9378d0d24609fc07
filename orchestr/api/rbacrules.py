"""Kubernetes' defaults and rules for roles, bindings and service accounts.

Source: pkg/apis/rbac/v1/defaults.go and pkg/apis/rbac/validation of Kubernetes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orchestr.api import names
from orchestr.api.base import KubeObject
from orchestr.api.errors import Cause
from orchestr.api.metarules import check_selector
from orchestr.api.rbac import GROUP, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject
from orchestr.api.rules import one_of, required, wrong

Binding = RoleBinding | ClusterRoleBinding


def path_segment(text: str) -> str:
    """What a role may be called: anything that is one piece of a path."""
    if text in (".", "..") or "/" in text or "%" in text:
        return f"{text!r} is no name: not '.' or '..', and without '/' and '%'"
    return ""


def default_binding(binding: Any) -> Any:
    subjects = tuple(_subject(subject) for subject in binding.subjects)
    return binding if subjects == binding.subjects else binding.but(subjects=subjects)


def _subject(subject: Subject) -> Subject:
    if subject.api_group is None and subject.kind in ("User", "Group"):
        return subject.but(api_group=GROUP)
    return subject


def _role(role: Role) -> Iterator[Cause]:
    yield from _rules(role.rules, in_namespace=True)


def _cluster_role(role: ClusterRole) -> Iterator[Cause]:
    yield from _rules(role.rules, in_namespace=False)
    if role.aggregation_rule is None:
        return
    at = "aggregationRule.clusterRoleSelectors"
    if not role.aggregation_rule.cluster_role_selectors:
        yield required(at, "at least one clusterRoleSelector is required")
    for index, selector in enumerate(role.aggregation_rule.cluster_role_selectors):
        yield from check_selector(selector, f"{at}[{index}]")


def _rules(rules: Sequence[PolicyRule], *, in_namespace: bool) -> Iterator[Cause]:
    for index, rule in enumerate(rules):
        yield from _rule(rule, f"rules[{index}]", in_namespace=in_namespace)


def _rule(rule: PolicyRule, at: str, *, in_namespace: bool) -> Iterator[Cause]:
    if not rule.verbs:
        yield required(f"{at}.verbs", "verbs must contain at least one value")
    if rule.non_resource_urls:
        if in_namespace:
            yield Cause(f"{at}.nonResourceURLs", "namespaced rules cannot apply to non-resource URLs")
        if rule.api_groups or rule.resources or rule.resource_names:
            message = "rules cannot apply to both regular resources and non-resource URLs"
            yield Cause(f"{at}.nonResourceURLs", message)
        return
    if not rule.api_groups:
        yield required(f"{at}.apiGroups", "resource rules must supply at least one api group")
    if not rule.resources:
        yield required(f"{at}.resources", "resource rules must supply at least one resource")


def _binding(binding: Binding) -> Iterator[Cause]:
    ref = binding.role_ref
    kinds = ("Role", "ClusterRole") if isinstance(binding, RoleBinding) else ("ClusterRole",)
    yield from one_of("roleRef.apiGroup", ref.api_group, (GROUP,))
    yield from one_of("roleRef.kind", ref.kind, kinds)
    yield from wrong("roleRef.name", path_segment(ref.name)) if ref.name else [required("roleRef.name")]
    for index, subject in enumerate(binding.subjects):
        yield from _subject_rules(subject, f"subjects[{index}]", in_namespace=isinstance(binding, RoleBinding))


def _subject_rules(subject: Subject, at: str, *, in_namespace: bool) -> Iterator[Cause]:
    yield from one_of(f"{at}.kind", subject.kind, ("ServiceAccount", "User", "Group"))
    if not subject.name:
        yield required(f"{at}.name")
    if subject.kind == "ServiceAccount":
        yield from one_of(f"{at}.apiGroup", subject.api_group, ("",))
        yield from wrong(f"{at}.name", names.dns_subdomain(subject.name)) if subject.name else ()
        if not subject.namespace and not in_namespace:
            yield required(f"{at}.namespace")
    elif subject.api_group is not None:
        yield from one_of(f"{at}.apiGroup", subject.api_group, (GROUP,))


def same_role(old: Binding, new: Binding) -> Iterator[Cause]:
    if old.role_ref != new.role_ref:
        yield Cause(
            "roleRef", f"Invalid value: {_told(new.role_ref)}: cannot change roleRef (it is {_told(old.role_ref)})"
        )


def _told(ref: RoleRef) -> str:
    return f"{ref.kind}/{ref.name}"


RULES: dict[type[KubeObject], Callable[[Any], Iterator[Cause]]] = {
    Role: _role,
    ClusterRole: _cluster_role,
    RoleBinding: _binding,
    ClusterRoleBinding: _binding,
}
