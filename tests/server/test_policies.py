"""ValidatingAdmissionPolicies: expressions decide about writes, of whoever and by whatever way."""

from typing import Any

import pytest

from tests.server.daemon import Daemon, config_map
from tests.server.policies import binding, path, policy, rule
from tests.server.secured import Secured

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}


async def make(served: Daemon, *objects: dict[str, Any]) -> None:
    for obj in objects:
        status, made = await served.request("POST", path(obj["kind"]), obj)
        assert status == 201, made


async def create(served: Daemon, name: str = "a", **data: str) -> tuple[int, Any]:
    return await served.request("POST", MAPS, config_map(name, **data))


async def test_a_write_that_breaks_a_policy_is_refused(served: Daemon) -> None:
    await make(served, policy("object.data.size() <= 1"), binding())
    assert (await create(served, a="1"))[0] == 201
    status, answer = await create(served, "b", a="1", b="2")
    assert (status, answer["reason"]) == (422, "Invalid")
    told = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression: object.data.size() <= 1"
    assert answer["message"] == f'configmaps "b" is forbidden: {told}'
    assert answer["details"]["causes"][0]["message"] == told
    assert (await served.request("GET", f"{MAPS}/b"))[0] == 404
    assert (await served.request("PATCH", f"{MAPS}/a", {"data": {"z": "1"}}, MERGE))[0] == 422
    assert (await served.request("DELETE", f"{MAPS}/a"))[0] == 200


async def test_a_policy_without_a_binding_does_nothing(served: Daemon) -> None:
    await make(served, policy("false"))
    assert (await create(served))[0] == 201
    await make(served, binding(of="another"))
    assert (await create(served, "b"))[0] == 201


@pytest.mark.parametrize(
    ("validation", "code", "reason", "message"),
    [
        ({"message": "not so"}, 422, "Invalid", "not so"),
        ({"messageExpression": "'got ' + object.metadata.name", "message": "no"}, 422, "Invalid", "got a"),
        ({"messageExpression": "object.none", "message": "no"}, 422, "Invalid", "no"),
        ({"messageExpression": "1", "message": "no"}, 422, "Invalid", "no"),
        ({"reason": "Forbidden"}, 403, "Forbidden", "failed expression: false"),
        ({"reason": "RequestEntityTooLarge"}, 413, "RequestEntityTooLarge", "failed expression: false"),
        ({"reason": "Unauthorized"}, 401, "Unauthorized", "failed expression: false"),
    ],
)
async def test_messages_and_reasons(
    served: Daemon, validation: dict[str, Any], code: int, reason: str, message: str
) -> None:
    await make(served, policy({"expression": "false", **validation}), binding())
    status, answer = await create(served)
    assert (status, answer["reason"]) == (code, reason)
    assert answer["message"].endswith(f"denied request: {message}")


EXPRESSIONS = [
    ("request.operation == 'CREATE' && oldObject == null && !request.dryRun", 201),
    ("request.userInfo.username == 'system:admin' && 'system:masters' in request.userInfo.groups", 201),
    ("request.resource.resource == 'configmaps' && request.namespace == 'default' && request.name == 'a'", 201),
    ("namespaceObject.metadata.name == 'default'", 201),
    ("variables.both && variables.size == 2", 201),
    ("has(object.data.none) && variables.broken > 1", 422),
    ("!has(object.data.none) || variables.broken > 1", 201),
    ("variables.broken > 1", 422),
    ("object.data.?none.orValue('x') == 'x'", 201),
    ("authorizer.group('').resource('pods').namespace('default').check('create').allowed()", 201),
    ("authorizer.serviceAccount('default', 'x').group('').resource('pods').check('create').allowed()", 422),
    ("authorizer.requestResource.check('delete').reason() == 'the group system:masters'", 201),
    ("authorizer.path('/healthz').check('get').allowed()", 201),
]


@pytest.mark.parametrize(("source", "code"), EXPRESSIONS)
async def test_what_expressions_see(served: Daemon, source: str, code: int) -> None:
    variables = [
        {"name": "size", "expression": "object.data.size()"},
        {"name": "both", "expression": "variables.size == 2 && object.data.k == '1'"},
        {"name": "broken", "expression": "object.data.none.size()"},
    ]
    await make(served, policy(source, variables=variables), binding())
    status, answer = await create(served, k="1", j="2")
    assert status == code, answer
    if source == "variables.broken > 1":
        assert 'composited variable "broken" fails to evaluate: no such key: none' in answer["message"]


async def test_warnings(served: Daemon) -> None:
    await make(served, policy("object.data.size() <= 1"), binding("Warn", "Audit"))
    body = b'{"metadata":{"name":"a"},"data":{"a":"1","b":"2"}}'
    head = f"POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\ncontent-type: application/json\r\n\r\n"
    status, headers, _ = await served.raw(head.encode() + body)
    assert status == 201
    assert "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b'" in headers["warning"]


@pytest.mark.parametrize(("policy_", "code"), [("Fail", 422), ("Ignore", 201)])
@pytest.mark.parametrize(
    "spec",
    [
        {"validations": [{"expression": "object.none == 1"}]},
        {"matchConditions": [{"name": "c", "expression": "object.none == 1"}], "validations": [{"expression": "true"}]},
        {"auditAnnotations": [{"key": "k", "valueExpression": "object.none"}]},
    ],
)
async def test_failures_follow_the_failure_policy(
    served: Daemon, policy_: str, code: int, spec: dict[str, Any]
) -> None:
    await make(served, policy(failurePolicy=policy_, **spec), binding())
    status, answer = await create(served)
    assert status == code, answer


async def test_match_conditions(served: Daemon) -> None:
    conditions = [
        {"name": "fails", "expression": "object.none == 1"},
        {"name": "no", "expression": "object.metadata.name == 'b'"},
    ]
    await make(served, policy("false", matchConditions=conditions[1:]), binding())
    assert (await create(served, "a"))[0] == 201
    assert (await create(served, "b"))[0] == 422
    await make(served, policy("false", name="q", matchConditions=conditions), binding(name="c", of="q"))
    assert (await create(served, "c"))[0] == 201  # false counts more than a failure


MATCHES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({}, {}, True),
    ({"resourceRules": [rule("secrets")]}, {}, False),
    ({"resourceRules": [rule("*")]}, {}, True),
    ({"resourceRules": [{**rule(), "resourceNames": ["b"]}]}, {}, False),
    ({"resourceRules": [{**rule(), "operations": ["UPDATE"]}]}, {}, False),
    ({"resourceRules": [{**rule(), "scope": "Cluster"}]}, {}, False),
    ({"excludeResourceRules": [rule()]}, {}, False),
    ({"objectSelector": {"matchLabels": {"app": "a"}}}, {}, True),
    ({"objectSelector": {"matchLabels": {"app": "b"}}}, {}, False),
    ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "x"}}}, {}, False),
    ({}, {"resourceRules": [rule("secrets")]}, False),
    ({}, {"objectSelector": {"matchLabels": {"app": "b"}}}, False),
    ({}, {"excludeResourceRules": [rule()]}, False),
]


@pytest.mark.parametrize(("constraints", "resources", "asked"), MATCHES)
async def test_what_a_policy_is_for(
    served: Daemon, constraints: dict[str, Any], resources: dict[str, Any], asked: bool
) -> None:
    made = policy("false")
    made["spec"]["matchConstraints"] |= constraints
    await make(served, made, binding(matchResources=resources))
    assert (await create(served))[0] == (422 if asked else 201)


CONFIG = {"apiVersion": "v1", "kind": "ConfigMap"}


@pytest.mark.parametrize(
    ("ref", "code", "why"),
    [
        ({"name": "limits", "parameterNotFoundAction": "Deny"}, 422, "at most 1"),
        ({"name": "limits", "namespace": "kube-system", "parameterNotFoundAction": "Deny"}, 422, "no params found"),
        ({"name": "none", "parameterNotFoundAction": "Deny"}, 422, "no params found"),
        ({"name": "none", "parameterNotFoundAction": "Allow"}, 201, ""),
        ({"selector": {"matchLabels": {"app": "limits"}}, "parameterNotFoundAction": "Deny"}, 422, "at most 1"),
        ({"selector": {"matchLabels": {"app": "x"}}, "parameterNotFoundAction": "Allow"}, 201, ""),
    ],
)
async def test_parameters(served: Daemon, ref: dict[str, Any], code: int, why: str) -> None:
    assert (await create(served, "limits", most="1"))[0] == 201
    validation = {
        "expression": "object.data.size() <= int(params.data.most)",
        "messageExpression": "'at most ' + params.data.most",
    }
    await make(served, policy(validation, paramKind=CONFIG), binding(paramRef=ref))
    status, answer = await create(served, k="1", j="2")
    assert status == code, answer
    assert why in answer.get("message", "")


async def test_parameters_of_an_unknown_kind_and_without_a_reference(served: Daemon) -> None:
    unknown = {"apiVersion": "example.org/v1", "kind": "Limit"}
    ref = {"name": "x", "parameterNotFoundAction": "Deny"}
    await make(served, policy("true", paramKind=unknown), binding(paramRef=ref))
    status, answer = await create(served)
    assert status == 422
    assert "failed to find resource referenced by paramKind: 'example.org/v1, Kind=Limit'" in answer["message"]
    await served.request("DELETE", f"{path('ValidatingAdmissionPolicy')}/p")
    await served.request("DELETE", f"{path('ValidatingAdmissionPolicyBinding')}/b")
    await make(served, policy("params == null", paramKind=CONFIG), binding())
    assert (await create(served))[0] == 201


async def test_status_deletion_and_dry_runs_are_looked_at(served: Daemon) -> None:
    rules = [rule("replicasets/status", "apps"), rule("configmaps", "", "DELETE")]
    await make(served, policy("object == null ? oldObject.data.keep != 'yes' : false", rules=rules), binding())
    assert (await create(served, keep="yes"))[0] == 201
    assert (await served.request("DELETE", f"{MAPS}/a"))[0] == 422
    assert (await create(served, "b", keep="no"))[0] == 201
    assert (await served.request("DELETE", f"{MAPS}/b"))[0] == 200
    await make(served, policy("request.dryRun", name="q"), binding(of="q", name="c"))
    assert (await served.request("POST", f"{MAPS}?dryRun=All", config_map("z")))[0] == 201
    assert (await create(served, "z"))[0] == 422


async def test_whole_files_are_looked_at_with_their_sender(served: Daemon) -> None:
    source = "request.userInfo.username == 'system:admin' && object.data.k != 'bad'"
    await make(served, policy(source), binding())
    good, bad = config_map("a", k="good"), config_map("b", k="bad")
    url = "/orchestr.dev/v1/apply?manager=orch"
    assert (await served.request("POST", url, {"kind": "List", "items": [good]}))[0] == 200
    status, answer = await served.request("POST", url, {"kind": "List", "items": [config_map("c", k="1"), bad]})
    assert status == 422
    assert "denied request" in answer["message"]
    assert (await served.request("GET", f"{MAPS}/c"))[0] == 404


async def test_a_broken_policy_can_be_repaired(served: Daemon) -> None:
    every = [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}]
    await make(served, policy("false", rules=every), binding())
    assert (await create(served))[0] == 422
    assert (await served.request("DELETE", f"{path('ValidatingAdmissionPolicyBinding')}/b"))[0] == 200
    assert (await create(served))[0] == 201


async def test_a_users_own_rights_are_asked(https: Secured) -> None:
    served, user = https.local, https.client("jane")
    await make(served, policy("authorizer.requestResource.check('delete').allowed()"), binding())
    group = "/apis/rbac.authorization.k8s.io/v1/clusterrole"
    role = {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]}
    assert (await served.request("POST", f"{group}s", role))[0] == 201
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "r"}
    subjects = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}]
    body = {"metadata": {"name": "r"}, "roleRef": ref, "subjects": subjects}
    assert (await served.request("POST", f"{group}bindings", body))[0] == 201
    assert (await https.call("POST", MAPS, config_map("a"), client=user))[0] == 422
    role["rules"][0]["verbs"].append("delete")  # type: ignore[index]
    assert (await served.request("PUT", f"{group}s/r", role))[0] == 200
    assert (await https.call("POST", MAPS, config_map("a"), client=user))[0] == 201


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"validations": [{"expression": "object.("}]}, "spec.validations[0].expression", "compilation failed"),
    ({"validations": [{"expression": ""}]}, "spec.validations[0].expression", "must not be empty"),
    ({"validations": [{"expression": "nothing"}]}, "spec.validations[0].expression", "undeclared reference"),
    ({"validations": [{"expression": "params == 1"}]}, "spec.validations[0].expression", "undeclared reference"),
    ({"validations": [{"expression": "variables.x"}]}, "spec.validations[0].expression", "undefined field 'x'"),
    ({"validations": [{"expression": "object.f()"}]}, "spec.validations[0].expression", "function f is not supported"),
    ({"validations": [{"expression": "true", "reason": "Odd"}]}, "spec.validations[0].reason", "is not one of"),
    ({"validations": [{"expression": "true", "message": "a\nb"}]}, "spec.validations[0].message", "line breaks"),
    (
        {"validations": [{"expression": "true", "messageExpression": "authorizer.path('/').check('get')"}]},
        "spec.validations[0].messageExpression",
        "compilation failed",
    ),
    ({"validations": []}, "spec.validations", "at least one"),
    ({"matchConstraints": None}, "spec.matchConstraints", "required"),
    ({"matchConstraints": {}}, "spec.matchConstraints.resourceRules", "required"),
    ({"failurePolicy": "Maybe"}, "spec.failurePolicy", "is not one of"),
    ({"matchConditions": [{"name": "a b", "expression": "true"}]}, "spec.matchConditions[0].name", ""),
    ({"variables": [{"name": "a-b", "expression": "true"}]}, "spec.variables[0].name", "identifier"),
    ({"variables": [{"name": "a", "expression": "variables.b"}]}, "spec.variables[0].expression", "undefined field"),
    ({"auditAnnotations": [{"key": "a b", "valueExpression": "''"}]}, "spec.auditAnnotations[0].key", ""),
    ({"paramKind": {"kind": "ConfigMap"}}, "spec.paramKind.apiVersion", "GROUP/VERSION"),
]


@pytest.mark.parametrize(("spec", "field", "why"), BAD)
async def test_a_wrong_policy_is_refused(served: Daemon, spec: dict[str, Any], field: str, why: str) -> None:
    status, answer = await served.request("POST", path("ValidatingAdmissionPolicy"), policy("true", **spec))
    assert status == 422, answer
    causes = {cause["field"]: cause["message"] for cause in answer["details"]["causes"]}
    assert field in causes, answer
    assert why in causes[field]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"validationActions": []}, "spec.validationActions"),
        ({"validationActions": ["Deny", "Warn"]}, "spec.validationActions"),
        ({"validationActions": ["Deny", "Deny"]}, "spec.validationActions[1]"),
        ({"validationActions": ["No"]}, "spec.validationActions[0]"),
        ({"policyName": ""}, "spec.policyName"),
        ({"paramRef": {"name": "a"}}, "spec.paramRef.parameterNotFoundAction"),
        ({"paramRef": {"parameterNotFoundAction": "Deny"}}, "spec.paramRef"),
    ],
)
async def test_a_wrong_binding_is_refused(served: Daemon, spec: dict[str, Any], field: str) -> None:
    status, answer = await served.request("POST", path("ValidatingAdmissionPolicyBinding"), binding(**spec))
    assert status == 422, answer
    assert field in [cause["field"] for cause in answer["details"]["causes"]], answer


async def test_a_policys_status_tells_what_was_checked(served: Daemon) -> None:
    where = path("ValidatingAdmissionPolicy")
    await make(served, policy("object.data.size() > 0"))
    _, found = await served.request("GET", f"{where}/p")
    assert found["status"] == {"observedGeneration": 1, "typeChecking": {}}
    spec = {"spec": {"validations": [{"expression": "object.data.size() > 'x'"}]}}
    _, found = await served.request("PATCH", f"{where}/p", spec, MERGE)
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 2
    assert found["status"]["typeChecking"]["expressionWarnings"][0]["fieldRef"] == "spec.validations[0].expression"
    conditions = [{"type": "Seen", "status": "True", "reason": "R", "message": "", "lastTransitionTime": None}]
    status, found = await served.request("PATCH", f"{where}/p/status", {"status": {"conditions": conditions}}, MERGE)
    assert (status, found["status"]["conditions"][0]["type"]) == (200, "Seen")
    assert (await served.request("DELETE", where))[0] == 200


EXEC = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-protocol": "v5.channel.k8s.io",
}


@pytest.mark.parametrize(("command", "code"), [("true", 101), ("rm", 422)])
async def test_streams_are_asked_about(served: Daemon, command: str, code: int) -> None:
    spec = {"containers": [{"name": "main", "image": "local/host"}]}
    status, _ = await served.request(
        "POST", "/api/v1/namespaces/default/pods", {"metadata": {"name": "web"}, "spec": spec}
    )
    assert status == 201
    source = (
        "object.kind == 'PodExecOptions' && object.command[0] != 'rm' && request.operation == 'CONNECT' "
        "&& request.subResource == 'exec' && request.name == 'web' "
        "&& object.stdout && !object.tty && !object.stdin && oldObject == null"
    )
    await make(served, policy(source, rules=[rule("pods/exec", "", "CONNECT")]), binding())
    lines = "".join(f"{key}: {value}\r\n" for key, value in EXEC.items())
    path_ = f"/api/v1/namespaces/default/pods/web/exec?command={command}&stdout=true&tty=false"
    status, _, body = await served.raw(f"GET {path_} HTTP/1.1\r\nhost: x\r\n{lines}\r\n".encode())
    assert status == code, body
    if code == 422:
        assert b"ValidatingAdmissionPolicy 'p' with binding 'b' denied request" in body
