"""Warnings about a policy's expressions: typos and types, checked against the kinds that it is for.

Source: staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating/typechecking.go of Kubernetes.
"""

from collections.abc import Callable, Iterator

from orchestr.api import schema
from orchestr.api.base import KubeObject
from orchestr.api.cel import AUTHORIZER, CelError, compiled
from orchestr.api.celtypes import DYN, Checker, ObjectType, Type, of_code, of_schema
from orchestr.api.custom import Custom
from orchestr.api.policies import ExpressionWarning, ParamKind, ValidatingAdmissionPolicy
from orchestr.api.webhooks import RuleWithOperations

MOST = 10  # kinds that are looked at
ByPlural = Callable[[str, str, str], type[KubeObject] | None]
ByName = Callable[[ParamKind], type[KubeObject] | None]


def warnings(policy: ValidatingAdmissionPolicy, by_plural: ByPlural, by_name: ByName) -> tuple[ExpressionWarning, ...]:
    """One for each expression that does not fit the kinds, with a line for each kind."""
    spec = policy.spec
    rules = spec.match_constraints.resource_rules if spec.match_constraints else ()
    kinds = [kind for rule in rules for each in _named(rule) if (kind := by_plural(*each)) is not None]
    kinds = sorted(dict.fromkeys(kinds), key=lambda kind: (kind.GROUP, kind.VERSION, kind.__name__))[:MOST]
    params = by_name(spec.param_kind) if spec.param_kind else None
    environments = {kind: _environment(policy, type_of(kind), type_of(params) if params else DYN) for kind in kinds}
    found = []
    for field, source in _expressions(policy):
        texts = [text for kind, known in environments.items() for text in _issues(kind, source, known)]
        if texts:
            found.append(ExpressionWarning(field_ref=field, warning="\n".join(texts)))
    return tuple(found)


def _named(rule: RuleWithOperations) -> Iterator[tuple[str, str, str]]:
    """(group, version, plural) of each resource that the rule names without a wildcard."""
    if "*" in (*rule.api_groups, *rule.api_versions):
        return
    plurals = sorted(each for each in rule.resources if "*" not in each and "/" not in each)
    for group in sorted(rule.api_groups):
        for version in sorted(rule.api_versions):
            yield from ((group, version, plural) for plural in plurals)


def _expressions(policy: ValidatingAdmissionPolicy) -> Iterator[tuple[str, str]]:
    for index, validation in enumerate(policy.spec.validations):
        yield f"spec.validations[{index}].expression", validation.expression
        if validation.message_expression:
            yield f"spec.validations[{index}].messageExpression", validation.message_expression


def type_of(kind: type[KubeObject]) -> Type:
    if issubclass(kind, Custom):
        return of_schema(kind.SCHEMA, root=True)
    version = f"{kind.GROUP}/{kind.VERSION}" if kind.GROUP else kind.VERSION
    name = schema.tables().kinds.get(f"{version} {kind.__name__}")
    return of_code("@" + name) if name else DYN


def _environment(policy: ValidatingAdmissionPolicy, obj: Type, params: Type) -> dict[str, Type]:
    known: dict[str, Type] = {"object": obj, "oldObject": obj, "params": params}
    known |= dict.fromkeys(("request", "namespaceObject", "authorizer"), DYN)
    made: dict[str, Type] = {}
    for variable in policy.spec.variables:
        fields = {name: (lambda each=each: each) for name, each in made.items()}
        known["variables"] = ObjectType("variables", fields)
        made[variable.name] = Checker(known).type(compiled(variable.expression, AUTHORIZER).tree)
    fields = {name: (lambda each=each: each) for name, each in made.items()}
    return {**known, "variables": ObjectType("variables", fields)}


def _issues(kind: type[KubeObject], source: str, known: dict[str, Type]) -> list[str]:
    try:
        checker = Checker(known)
        checker.type(compiled(source, AUTHORIZER).tree)
    except CelError:
        return []  # it was refused
    version = f"{kind.GROUP}/{kind.VERSION}" if kind.GROUP else kind.VERSION
    return [f"{version}, Kind={kind.__name__}: ERROR: <input>: {text}" for text in dict.fromkeys(checker.issues)]
