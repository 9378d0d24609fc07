"""Types of expressions, against Kubernetes' own kinds and against schemas."""

from typing import Any

import pytest

from orchestr.api import scheme
from orchestr.api.cel import compiled
from orchestr.api.celtypes import Checker, of_code, of_schema
from orchestr.api.policies import ValidatingAdmissionPolicy
from orchestr.api.policytypes import warnings

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "other": {"type": "object", "additionalProperties": {"type": "string"}},
                "port": {"x-kubernetes-int-or-string": True},
                "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "since": {"type": "string", "format": "date-time"},
            },
        }
    },
}


def issues(source: str, kind: Any) -> list[str]:
    checker = Checker({"object": kind, "request": "dyn"})
    checker.type(compiled(source).tree)
    return checker.issues


DEPLOYMENT = of_code("@apps.v1.Deployment")
WIDGET = of_schema(SCHEMA, root=True)
GOOD = """
object.spec.replicas > 1 && object.metadata.name.startsWith('a')
object.spec.template.spec.containers.all(c, c.image != '' && has(c.securityContext) && !c.securityContext.privileged)
object.metadata.labels['a'] == 'b' || object.metadata.?labels['a'].orValue('') == 'b'
object.spec.template.spec.containers.map(c, c.name).exists(n, n == 'main')
object.spec.template.spec.containers.filter(c, c.ports.size() > 0).size() == 1
object.spec.strategy.rollingUpdate.maxSurge == 1 || object.spec.strategy.rollingUpdate.maxSurge == '25%'
object.spec.replicas > 1.5 && object.spec.paused == true && request.anything.goes > 'x'
cel.bind(r, object.spec.replicas, r + 1 > 2) && (object.spec.replicas > 1 ? 1 : 2) > 1
object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z') + duration('1h')
object.metadata.labels.all(k, v, k.size() > v.size()) && [1, 2].exists(x, x > object.spec.replicas)
object.metadata.labels.exists(k, k == 'a') && 'a' in object.metadata.labels
""".strip().splitlines()
BAD = [
    ("object.spec.replicas > '1'", "found no matching overload for '_>_' applied to '(int, string)'"),
    ("'got ' + object.spec.replicas", "found no matching overload for '_+_' applied to '(string, int)'"),
    ("object.spec.replcas > 1", "undefined field 'replcas'"),
    ("object.spec.replicas.x", "type 'int' does not support field selection"),
    ("object.spec.template.spec.containers.all(c, c.nme == 'a')", "undefined field 'nme'"),
    ("object.metadata.name == 1", "found no matching overload for '_==_' applied to '(string, int)'"),
    ("object.spec.paused && object.spec.replicas", "found no matching overload for '_&&_' applied to '(bool, int)'"),
    ("!object.spec.replicas", "found no matching overload for '!_' applied to '(int)'"),
    ("object.spec.template.spec.containers.all(c, c.name)", "found no matching overload for '_&&_'"),
    ("object.spec.template.spec.containers > 1", "applied to '(list(core.v1.Container), int)'"),
]


@pytest.mark.parametrize("source", GOOD)
def test_what_fits_is_let_be(source: str) -> None:
    assert issues(source, DEPLOYMENT) == []


@pytest.mark.parametrize(("source", "text"), BAD)
def test_what_does_not_fit_is_told(source: str, text: str) -> None:
    assert [issue for issue in issues(source, DEPLOYMENT) if text in issue], issues(source, DEPLOYMENT)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("object.spec.size > 1 && object.spec.tags.all(t, t != '') && object.spec.other.a == 'b'", 0),
        ("object.spec.port == 1 && object.spec.open.what.ever > 1 && object.metadata.name != ''", 0),
        ("object.spec.since > timestamp('2030-01-01T00:00:00Z')", 0),
        ("object.spec.size > '1'", 1),
        ("object.spec.nothing == 1", 1),
        ("object.spec.tags.all(t, t > 1)", 1),
    ],
)
def test_custom_resources(source: str, count: int) -> None:
    assert len(issues(source, WIDGET)) == count


def test_a_policys_warnings() -> None:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments", "x/y"]}
    validation = {"expression": "object.spec.replicas > '1'", "messageExpression": "'got ' + variables.twice"}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "variables": [{"name": "twice", "expression": "object.spec.replicas * 2"}],
        "validations": [validation, {"expression": "params.data.x == 'a' && params.other == 1"}],
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
    }
    policy = ValidatingAdmissionPolicy.model_validate({"metadata": {"name": "p"}, "spec": spec})
    found = warnings(policy, scheme.by_plural, lambda kind: scheme.BY_NAME[str(kind.api_version), str(kind.kind)])
    assert [each.field_ref for each in found] == [
        "spec.validations[0].expression",
        "spec.validations[0].messageExpression",
        "spec.validations[1].expression",
    ]
    assert found[0].warning == (
        "apps/v1, Kind=Deployment: ERROR: <input>: found no matching overload for '_>_' applied to '(int, string)'"
    )
    assert "'_+_' applied to '(string, int)'" in found[1].warning
    assert "undefined field 'other'" in found[2].warning


@pytest.mark.parametrize(
    "source",
    [
        "&&".join(["object.spec.paused"] * 250),
        "object.metadata.labels" + ".filter(k, k != '')" * 120,
        "[" * 20 + "]" * 20 + " == []",
        "object.spec.template.spec.containers.all(a, " * 8 + "true" + ")" * 8,
    ],
)
def test_long_expressions_are_looked_at_whole(source: str) -> None:
    issues(source, DEPLOYMENT)
