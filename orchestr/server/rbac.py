"""The arithmetic of rules: does a rule allow a request, do rules cover another rule. Pure.

Source: pkg/registry/rbac/validation and plugin/pkg/auth/authorizer/rbac of Kubernetes.
"""

from collections.abc import Iterable, Iterator, Sequence

from orchestr.api.rbac import PolicyRule, Subject
from orchestr.server.attributes import Attributes
from orchestr.server.user import SERVICE_ACCOUNT, User

ALL = "*"
EVERYTHING = (
    PolicyRule(verbs=(ALL,), api_groups=(ALL,), resources=(ALL,)),
    PolicyRule(verbs=(ALL,), non_resource_urls=(ALL,)),
)


def allows(rule: PolicyRule, wanted: Attributes) -> bool:
    if not _has(rule.verbs, wanted.verb):
        return False
    if wanted.path:
        return any(_url(pattern, wanted.path) for pattern in rule.non_resource_urls)
    return (
        _has(rule.api_groups, wanted.group)
        and _resource(rule.resources, wanted.part)
        and (not rule.resource_names or wanted.name in rule.resource_names)
    )


def _has(values: Sequence[str], value: str) -> bool:
    return ALL in values or value in values


def _resource(resources: Sequence[str], part: str) -> bool:
    if _has(resources, part):
        return True
    _, slash, sub = part.partition("/")
    return bool(slash) and f"{ALL}/{sub}" in resources


def _url(pattern: str, path: str) -> bool:
    return pattern in (ALL, path) or (pattern.endswith(ALL) and path.startswith(pattern[:-1]))


def uncovered(owned: Sequence[PolicyRule], given: Iterable[PolicyRule]) -> list[PolicyRule]:
    """The single grants of `given` that `owned` does not hold."""
    return [grant for rule in given for grant in _grants(rule) if not any(_covers(own, grant) for own in owned)]


def _grants(rule: PolicyRule) -> Iterator[PolicyRule]:
    """The rule taken apart: one verb, one group, one resource, one name (or URL) each."""
    for verb in rule.verbs:
        for url in rule.non_resource_urls:
            yield PolicyRule(verbs=(verb,), non_resource_urls=(url,))
        for group in rule.api_groups:
            for resource in rule.resources:
                for name in rule.resource_names or ("",):
                    yield PolicyRule(
                        verbs=(verb,),
                        api_groups=(group,),
                        resources=(resource,),
                        resource_names=(name,) if name else (),
                    )


def _covers(own: PolicyRule, grant: PolicyRule) -> bool:
    if not _has(own.verbs, grant.verbs[0]):
        return False
    if grant.non_resource_urls:
        return any(_url(pattern, grant.non_resource_urls[0]) for pattern in own.non_resource_urls)
    names = not own.resource_names or (bool(grant.resource_names) and grant.resource_names[0] in own.resource_names)
    return names and _has(own.api_groups, grant.api_groups[0]) and _resource(own.resources, grant.resources[0])


def means(subject: Subject, user: User, namespace: str) -> bool:
    """Whether a subject of a binding (in `namespace`, "" for a cluster's) is this user."""
    match subject.kind:
        case "User":
            return subject.name == user.name
        case "Group":
            return subject.name in user.groups
        case "ServiceAccount":
            return user.name == f"{SERVICE_ACCOUNT}{subject.namespace or namespace}:{subject.name}"
    return False


def shown(rule: PolicyRule) -> str:
    """As Kubernetes prints it in a refusal."""
    parts = {
        "APIGroups": rule.api_groups,
        "Resources": rule.resources,
        "ResourceNames": rule.resource_names,
        "NonResourceURLs": rule.non_resource_urls,
        "Verbs": rule.verbs,
    }
    quoted = {name: ", ".join(f'"{each}"' for each in values) for name, values in parts.items() if values}
    return "{" + ", ".join(f"{name}:[{text}]" for name, text in quoted.items()) + "}"
