"""MutatingAdmissionPolicies: expressions change what is written."""

from typing import Any

import pytest

from tests.server.daemon import Daemon, config_map
from tests.server.policies import binding, path, policy, rule

MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def applied(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patched(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def mutating(*mutations: dict[str, Any], name: str = "p", **spec: Any) -> dict[str, Any]:
    spec = {"reinvocationPolicy": "Never", "mutations": list(mutations), **spec}
    return policy(kind="Mutating", name=name, **spec)


async def make(served: Daemon, *objects: dict[str, Any]) -> None:
    for obj in objects:
        status, made = await served.request("POST", path(obj["kind"]), obj)
        assert status == 201, made


def deployment() -> dict[str, Any]:
    pod = {"containers": [{"name": "main", "image": "local/host"}]}
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod}
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": template}
    return {"metadata": {"name": "a"}, "spec": spec}


async def test_apply_configurations_merge_by_keys(served: Daemon) -> None:
    expression = """
    Object{
      metadata: Object.metadata{labels: {"team/name": "x"}},
      spec: Object.spec{
        replicas: variables.replicas,
        template: Object.spec.template{spec: Object.spec.template.spec{
          initContainers: [Object.spec.template.spec.initContainers{name: "first", image: "local/host"}],
          containers: [Object.spec.template.spec.containers{name: "main", workingDir: "/tmp"}]
        }}
      }
    }"""
    rules = [rule("deployments", "apps")]
    variables = [{"name": "replicas", "expression": "object.spec.?replicas.orValue(1) + 1"}]
    await make(served, mutating(applied(expression), rules=rules, variables=variables), binding(kind="Mutating"))
    status, made = await served.request("POST", DEPLOYMENTS, deployment())
    assert status == 201, made
    pod = made["spec"]["template"]["spec"]
    assert (made["spec"]["replicas"], made["metadata"]["labels"]) == (2, {"team/name": "x"})
    assert [each["name"] for each in pod["initContainers"]] == ["first"]
    assert [(each["image"], each["workingDir"]) for each in pod["containers"]] == [("local/host", "/tmp")]


async def test_json_patches_and_mutations_in_turn(served: Daemon) -> None:
    first = patched("[JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('a~b'), value: 'x'}]")
    second = patched(
        "has(object.data.a__b) ? [] : [JSONPatch{op: 'add', path: '/data/size', value: string(object.data.size())}]"
    )
    await make(served, mutating(first, second), binding(kind="Mutating"))
    status, made = await served.request("POST", MAPS, config_map("a", k="1"))
    assert status == 422, made  # a~b is no key of a ConfigMap
    await served.request("DELETE", f"{path('MutatingAdmissionPolicy')}/p")
    first = patched(
        "[JSONPatch{op: 'test', path: '/data/k', value: '1'}, JSONPatch{op: 'add', path: '/data/j', value: 'x'}]"
    )
    await make(served, mutating(first, second))
    status, made = await served.request("POST", MAPS, config_map("a", k="1"))
    assert (status, made["data"]) == (201, {"k": "1", "j": "x", "size": "2"})


async def test_validating_policies_see_what_mutating_ones_did(served: Daemon) -> None:
    change = applied("Object{data: {'by': request.userInfo.username}}")
    await make(served, mutating(change), binding(kind="Mutating"))
    await make(served, policy("object.data.by == 'system:admin'", name="q"), binding(name="c", of="q"))
    status, made = await served.request("POST", MAPS, config_map("a"))
    assert status == 201, made
    kept = await served.request("POST", "/orchestr.dev/v1/apply?manager=orch", {"items": [config_map("b")]})
    assert kept[1]["items"][0]["object"]["data"] == {"by": "system:admin"}


@pytest.mark.parametrize(("failure", "code"), [("Fail", 422), ("Ignore", 201)])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (applied("object.none"), "no such key: none"),
        (applied("1"), "must be an Object"),
        (applied("Object{metadata: Object.metadata{name: 'b'}}"), "may not set metadata.name"),
        (applied("Object{nothing: 1}"), "unknown field"),
        (patched("[JSONPatch{op: 'remove', path: '/data/none'}]"), "cannot use what expression"),
        (patched("[1]"), "must be a list"),
    ],
)
async def test_failures(served: Daemon, change: dict[str, Any], why: str, failure: str, code: int) -> None:
    await make(served, mutating(change, failurePolicy=failure), binding(kind="Mutating"))
    status, answer = await served.request("POST", MAPS, config_map("a"))
    assert status == code, answer
    if failure == "Fail":
        assert "policy 'p' with binding 'b' denied request" in answer["message"]
        assert why in answer["message"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"mutations": []}, "spec.mutations"),
        ({"reinvocationPolicy": None}, "spec.reinvocationPolicy"),
        ({"mutations": [{"patchType": "Odd"}]}, "spec.mutations[0].patchType"),
        ({"mutations": [{"patchType": "JSONPatch"}]}, "spec.mutations[0].jsonPatch"),
        ({"mutations": [applied("Object{")]}, "spec.mutations[0].applyConfiguration.expression"),
        ({"mutations": [applied("Thing{}")]}, "spec.mutations[0].applyConfiguration.expression"),
    ],
)
async def test_a_wrong_policy_is_refused(served: Daemon, spec: dict[str, Any], field: str) -> None:
    body = mutating(applied("Object{}"))
    body["spec"] |= spec
    status, answer = await served.request("POST", path("MutatingAdmissionPolicy"), body)
    assert status == 422, answer
    assert field in [cause["field"] for cause in answer["details"]["causes"]], answer
