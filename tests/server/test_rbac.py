"""Who may what: rules, bindings, impersonation, and that nobody hands out more than they hold."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api.base import ObjectMeta
from orchestr.api.core import ConfigMap, Namespace
from orchestr.api.rbac import PolicyRule, Subject
from orchestr.server import bootstraproles
from orchestr.server.attributes import Attributes, attributes
from orchestr.server.rbac import EVERYTHING, allows, means, uncovered
from orchestr.server.user import User, service_account_user
from tests.server.secured import Secured, secured

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
async def ruled(tmp_path: Path) -> AsyncIterator[Secured]:
    """With the roles that are there from the start, and a namespace `shop` with an object."""
    async with secured(str(tmp_path)) as server:
        await bootstraproles.ensure(server.cluster)
        await server.cluster.create(Namespace(metadata=ObjectMeta(name="shop")))
        await server.cluster.create(ConfigMap(metadata=ObjectMeta(name="a", namespace="shop")))
        yield server


async def local(server: Secured, method: str, path: str, body: Any = None) -> Any:
    status, found = await server.local.request(method, path, body)
    assert status < 300, found
    return found


def binding(role: str, user: str, kind: str = "ClusterRole") -> dict[str, Any]:
    return {
        "metadata": {"name": f"{role}-{user}"},
        "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": user}],
    }


def role(name: str, *rules: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "rules": list(rules)}


async def bind(server: Secured, role_name: str, user: str, kind: str = "ClusterRole") -> None:
    await local(server, "POST", f"{RBAC}/namespaces/shop/rolebindings", binding(role_name, user, kind))


async def test_a_stranger_is_told_in_kubernetes_words(ruled: Secured) -> None:
    jane = ruled.client("jane")
    status, found = await ruled.call("GET", "/api/v1/namespaces/shop/pods/web/log", client=jane)
    assert status == 403
    assert found["message"] == (
        'pods "web" is forbidden: User "jane" cannot get resource "pods/log" in API group "" in the namespace "shop"'
    )
    assert found["details"] == {"name": "web", "kind": "pods"}
    status, found = await ruled.call("GET", "/apis/apps/v1/deployments", client=jane)
    assert found["message"] == (
        'deployments.apps is forbidden: User "jane" cannot list resource "deployments" in API group "apps" '
        "at the cluster scope"
    )
    status, found = await ruled.call("GET", "/orchestr.dev/v1/system", client=jane)
    assert (status, found["message"]) == (403, 'forbidden: User "jane" cannot get path "/orchestr.dev/v1/system"')
    for path in ("/api", "/apis", "/api/v1", "/version"):
        assert (await ruled.call("GET", path, client=jane))[0] == 200


async def test_a_view_of_one_namespace(ruled: Secured) -> None:
    await bind(ruled, "view", "jane")
    jane = ruled.client("jane")
    assert (await ruled.call("GET", "/api/v1/namespaces/shop/configmaps/a", client=jane))[0] == 200
    assert (await ruled.call("GET", "/api/v1/namespaces/shop", client=jane))[0] == 200
    for method, path in (
        ("GET", "/api/v1/configmaps"),
        ("GET", "/api/v1/namespaces/default/configmaps"),
        ("GET", "/api/v1/namespaces/shop/secrets"),
        ("DELETE", "/api/v1/namespaces/shop/configmaps/a"),
        ("DELETE", "/api/v1/namespaces/shop/configmaps"),
        ("POST", "/api/v1/namespaces/shop/configmaps"),
        ("GET", "/api/v1/namespaces/shop/pods/web/exec"),
    ):
        assert (await ruled.call(method, path, client=jane))[0] == 403, (method, path)


async def test_a_right_counts_at_once_and_goes_at_once(ruled: Secured) -> None:
    joe, path = ruled.client("joe"), "/api/v1/namespaces/shop/configmaps/a"
    await bind(ruled, "edit", "joe")
    assert (await ruled.call("GET", path, client=joe))[0] == 200
    await local(ruled, "DELETE", f"{RBAC}/namespaces/shop/rolebindings/edit-joe")
    assert (await ruled.call("GET", path, client=joe))[0] == 403


async def test_names_of_resources(ruled: Secured) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"], "resourceNames": ["a"]}
    await local(ruled, "POST", f"{RBAC}/namespaces/shop/roles", role("one", rule))
    await bind(ruled, "one", "joe", "Role")
    joe, base = ruled.client("joe"), "/api/v1/namespaces/shop/configmaps"
    assert (await ruled.call("GET", f"{base}/a", client=joe))[0] == 200
    assert (await ruled.call("GET", f"{base}?fieldSelector=metadata.name%3Da", client=joe))[0] == 200
    assert (await ruled.call("GET", base, client=joe))[0] == 403
    assert (await ruled.call("GET", f"{base}/b", client=joe))[0] == 403
    assert (await ruled.call("POST", base, {"metadata": {"name": "a"}}, client=joe))[0] == 403


async def test_nobody_grants_what_they_do_not_hold(ruled: Secured) -> None:
    await bind(ruled, "admin", "joe")
    joe, base = ruled.client("joe", "dev"), f"{RBAC}/namespaces/shop"
    mine = role("mine", {"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "list"]})
    assert (await ruled.call("POST", f"{base}/roles", mine, client=joe))[0] == 201
    more = role("more", {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]})
    status, found = await ruled.call("POST", f"{base}/roles", more, client=joe)
    assert (status, found["reason"]) == (403, "Forbidden")
    assert found["message"] == (
        'roles.rbac.authorization.k8s.io "more" is forbidden: user "joe" (groups=["dev", "system:authenticated"]) '
        "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}'
    )
    assert (await ruled.call("PUT", f"{base}/roles/mine", {**more, "metadata": {"name": "mine"}}, client=joe))[0] == 403
    patch = {"rules": more["rules"]}
    headers = {"content-type": "application/merge-patch+json"}
    assert (await ruled.call("PATCH", f"{base}/roles/mine", patch, client=joe, headers=headers))[0] == 403
    applied = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", **more}
    headers = {"content-type": "application/apply-patch+yaml"}
    path = f"{base}/roles/more?fieldManager=x"
    assert (await ruled.call("PATCH", path, applied, client=joe, headers=headers))[0] == 403
    assert (await ruled.call("POST", f"{base}/rolebindings", binding("cluster-admin", "joe"), client=joe))[0] == 403
    assert (await ruled.call("POST", f"{base}/rolebindings", binding("view", "ann"), client=joe))[0] == 201
    assert (await ruled.call("POST", f"{base}/rolebindings", binding("gone", "ann"), client=joe))[0] == 404


async def test_who_may_escalate_and_bind_may(ruled: Secured) -> None:
    group = "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [group], "resources": ["clusterroles"], "verbs": ["create", "escalate"]},
        {"apiGroups": [group], "resources": ["clusterrolebindings"], "verbs": ["create"]},
        {"apiGroups": [group], "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": ["strong"]},
    ]
    await local(ruled, "POST", f"{RBAC}/clusterroles", role("boss", *rules))
    await local(ruled, "POST", f"{RBAC}/clusterrolebindings", binding("boss", "joe"))
    joe = ruled.client("joe")
    strong = role("strong", {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    assert (await ruled.call("POST", f"{RBAC}/clusterroles", strong, client=joe))[0] == 201
    aggregated = {"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{}]}}
    assert (await ruled.call("POST", f"{RBAC}/clusterroles", aggregated, client=joe))[0] == 201
    bindings = f"{RBAC}/clusterrolebindings"
    assert (await ruled.call("POST", bindings, binding("cluster-admin", "joe"), client=joe))[0] == 403
    assert (await ruled.call("POST", bindings, binding("strong", "joe"), client=joe))[0] == 201


async def test_a_whole_list_is_applied_only_with_the_right_to_each(ruled: Secured) -> None:
    await bind(ruled, "edit", "joe")
    joe, path = ruled.client("joe"), "/orchestr.dev/v1/apply?manager=orch"

    def item(namespace: str, kind: str = "ConfigMap", **more: Any) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "b", "namespace": namespace}, **more}

    assert (await ruled.call("POST", path, {"items": [item("shop")]}, client=joe))[0] == 200
    status, found = await ruled.call("POST", path, {"items": [item("shop"), item("default")]}, client=joe)
    assert (status, 'cannot patch resource "configmaps"' in found["message"]) == (403, True)
    assert (await ruled.call("POST", f"{path}&prune=true", {"items": [item("shop")]}, client=joe))[0] == 403
    patcher = role("patcher", {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]})
    await local(ruled, "POST", f"{RBAC}/clusterroles", patcher)
    await bind(ruled, "patcher", "ann")
    ann = ruled.client("ann")
    assert (await ruled.call("POST", path, {"items": [item("shop", data={"x": "y"})]}, client=ann))[0] == 200
    new = {**item("shop"), "metadata": {"name": "new", "namespace": "shop"}}
    status, found = await ruled.call("POST", path, {"items": [new]}, client=ann)
    assert (status, 'cannot create resource "configmaps"' in found["message"]) == (403, True)


async def test_acting_as_somebody_else_needs_the_right(ruled: Secured) -> None:
    await bind(ruled, "view", "ann")
    path = "/api/v1/namespaces/shop/configmaps/a"
    admin, joe, as_ann = ruled.client("root", "system:masters"), ruled.client("joe"), {"impersonate-user": "ann"}
    assert (await ruled.call("GET", path, client=admin, headers=as_ann))[0] == 200
    assert (await ruled.call("DELETE", path, client=admin, headers=as_ann))[0] == 403
    status, found = await ruled.call("GET", path, client=joe, headers=as_ann)
    assert (status, found["message"]) == (
        403,
        'users "ann" is forbidden: User "joe" cannot impersonate resource "users" in API group "" at the cluster scope',
    )
    assert (await ruled.call("GET", path, headers=as_ann))[0] == 401
    assert (await ruled.call("GET", path, client=admin, headers={"impersonate-group": "dev"}))[0] == 400
    masters = {**as_ann, "impersonate-group": "system:masters"}
    await local(ruled, "POST", f"{RBAC}/clusterroles", role("only-ann", {
        "apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": ["ann"]}))  # fmt: skip
    await local(ruled, "POST", f"{RBAC}/clusterrolebindings", binding("only-ann", "joe"))
    assert (await ruled.call("GET", path, client=joe, headers=as_ann))[0] == 200
    assert (await ruled.call("DELETE", path, client=joe, headers=masters))[0] == 403


async def review(server: Secured, plural: str, spec: Any, client: Any, group: str = "authorization") -> tuple[int, Any]:
    path = f"/apis/{group}.k8s.io/v1/{plural}"
    return await server.call("POST", path, {"spec": spec} if spec is not None else {}, client=client)


async def test_questions_about_rights(ruled: Secured) -> None:
    await bind(ruled, "view", "jane")
    jane, admin = ruled.client("jane"), ruled.client("root", "system:masters")
    wanted = {"verb": "get", "resource": "pods", "namespace": "shop"}
    status, found = await review(ruled, "selfsubjectaccessreviews", {"resourceAttributes": wanted}, jane)
    assert (status, found["status"]) == (
        201,
        {
            "allowed": True,
            "reason": 'RBAC: allowed by RoleBinding "view-jane/shop" of ClusterRole "view" to User "jane"',
        },
    )
    wanted |= {"verb": "delete"}
    _, found = await review(ruled, "selfsubjectaccessreviews", {"resourceAttributes": wanted}, jane)
    assert found["status"] == {"allowed": False}
    assert (await review(ruled, "subjectaccessreviews", {"user": "x", "resourceAttributes": wanted}, jane))[0] == 403
    spec = {"user": "x", "groups": ["system:masters"], "nonResourceAttributes": {"path": "/x", "verb": "get"}}
    _, found = await review(ruled, "subjectaccessreviews", spec, admin)
    assert found["status"]["allowed"]
    _, found = await review(ruled, "selfsubjectrulesreviews", {"namespace": "shop"}, jane)
    rules = found["status"]["resourceRules"]
    assert any("pods" in rule["resources"] and rule["verbs"] == ["get", "list", "watch"] for rule in rules)
    assert found["status"]["incomplete"] is False
    _, found = await review(ruled, "selfsubjectreviews", None, jane, "authentication")
    assert found["status"]["userInfo"] == {"username": "jane", "groups": ["system:authenticated"]}
    path = "namespaces/shop/localsubjectaccessreviews"
    assert (await review(ruled, path, {"user": "x", "resourceAttributes": wanted}, admin))[0] == 201
    other = {**wanted, "namespace": "default"}
    assert (await review(ruled, path, {"user": "x", "resourceAttributes": other}, admin))[0] == 422


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ({}, 422),
        ({"resourceAttributes": {}, "nonResourceAttributes": {}}, 422),
        ({"resourceAttributes": {"verb": 1}}, 422),
        ({"resource": {}}, 422),
        (["x"], 422),
    ],
)
async def test_questions_that_are_none(ruled: Secured, spec: Any, code: int) -> None:
    admin = ruled.client("root", "system:masters")
    status, found = await review(ruled, "selfsubjectaccessreviews", spec, admin)
    assert (status, found["kind"]) == (code, "Status")
    assert (await ruled.call("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", client=admin))[0] == 405


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("roles", role("r", {"verbs": []}), "rules[0].verbs"),
        ("roles", role("r", {"verbs": ["get"], "nonResourceURLs": ["/x"]}), "rules[0].nonResourceURLs"),
        ("rolebindings", {**binding("a", "b"), "roleRef": {"kind": "Pod", "name": "x"}}, "roleRef.kind"),
        ("rolebindings", {**binding("a", "b"), "subjects": [{"kind": "Pod", "name": "x"}]}, "subjects[0].kind"),
    ],
)
async def test_roles_that_cannot_be(ruled: Secured, path: str, body: Any, field: str) -> None:
    status, found = await ruled.local.request("POST", f"{RBAC}/namespaces/shop/{path}", body)
    assert (status, field in [cause["field"] for cause in found["details"]["causes"]]) == (422, True)


async def test_a_binding_keeps_its_role(ruled: Secured) -> None:
    await bind(ruled, "view", "jane")
    changed = {**binding("view", "jane"), "roleRef": {"kind": "ClusterRole", "name": "edit"}}
    path = f"{RBAC}/namespaces/shop/rolebindings/view-jane"
    status, found = await ruled.local.request("PUT", path, changed)
    assert (status, "cannot change roleRef" in found["message"]) == (422, True)


async def test_what_is_missing_of_the_first_roles_is_put_back(ruled: Secured) -> None:
    path = f"{RBAC}/clusterroles/system:basic-user"
    before = await local(ruled, "GET", path)
    await local(ruled, "PUT", path, {**before, "rules": before["rules"][:1]})
    await local(ruled, "DELETE", f"{RBAC}/clusterrolebindings/system:discovery")
    await bootstraproles.ensure(ruled.cluster)
    assert len((await local(ruled, "GET", path))["rules"]) == len(before["rules"])
    await local(ruled, "GET", f"{RBAC}/clusterrolebindings/system:discovery")
    revision = ruled.cluster.revision
    await bootstraproles.ensure(ruled.cluster)
    assert ruled.cluster.revision == revision


# pure parts

NAMES = st.sampled_from(["a", "b", "*"])
RULES = st.builds(
    PolicyRule,
    verbs=st.lists(NAMES, min_size=1, max_size=2).map(tuple),
    api_groups=st.lists(st.sampled_from(["", "apps", "*"]), min_size=1, max_size=2).map(tuple),
    resources=st.lists(st.sampled_from(["x", "y", "x/s", "*/s", "*"]), min_size=1, max_size=2).map(tuple),
    resource_names=st.lists(st.sampled_from(["n", "m"]), max_size=2).map(tuple),
) | st.builds(
    PolicyRule,
    verbs=st.lists(NAMES, min_size=1, max_size=2).map(tuple),
    non_resource_urls=st.lists(st.sampled_from(["/p", "/p/*", "/p/q", "*"]), min_size=1, max_size=2).map(tuple),
)
WANTED = st.builds(
    Attributes,
    verb=st.sampled_from("ab"),
    group=st.sampled_from(["", "apps"]),
    resource=st.sampled_from("xy"),
    sub=st.sampled_from(["", "s"]),
    name=st.sampled_from(["", "n", "m"]),
) | st.builds(Attributes, verb=st.sampled_from("ab"), path=st.sampled_from(["/p", "/p/q", "/r"]))


@given(st.lists(RULES, max_size=3), RULES, WANTED)
def test_covered_rules_allow_nothing_more(owned: list[PolicyRule], grant: PolicyRule, wanted: Attributes) -> None:
    if not uncovered(owned, [grant]) and allows(grant, wanted):
        assert any(allows(rule, wanted) for rule in owned)


@given(st.lists(RULES, max_size=3))
def test_everything_covers_all_and_rules_cover_themselves(rules: list[PolicyRule]) -> None:
    assert uncovered(EVERYTHING, rules) == []
    assert uncovered(rules, rules) == []


def test_subjects() -> None:
    account = service_account_user("shop", "web")
    assert means(Subject(kind="ServiceAccount", name="web"), account, "shop")
    assert not means(Subject(kind="ServiceAccount", name="web"), account, "default")
    assert means(Subject(kind="ServiceAccount", name="web", namespace="shop"), account, "")
    assert means(Subject(kind="Group", name="system:serviceaccounts:shop"), account, "")
    assert not means(Subject(kind="User", name="jane"), User("joe"), "")


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/pods", {}, ("list", "", "pods", "", "", "")),
        ("GET", "/api/v1/pods", {"watch": "true"}, ("watch", "", "pods", "", "", "")),
        ("GET", "/api/v1/pods", {"watch": "false"}, ("list", "", "pods", "", "", "")),
        ("DELETE", "/api/v1/namespaces/a/pods", {}, ("deletecollection", "", "pods", "", "a", "")),
        ("POST", "/api/v1/namespaces/a/pods/p/exec", {}, ("create", "", "pods", "exec", "a", "p")),
        (
            "PUT",
            "/apis/apps/v1/namespaces/a/deployments/d/scale",
            {},
            ("update", "apps", "deployments", "scale", "a", "d"),
        ),
        ("PATCH", "/api/v1/namespaces/a", {}, ("patch", "", "namespaces", "", "a", "a")),
        ("PUT", "/api/v1/namespaces/a/finalize", {}, ("update", "", "namespaces", "finalize", "a", "a")),
    ],
)
def test_requests_as_attributes(method: str, path: str, query: dict[str, str], expected: tuple[str, ...]) -> None:
    found = attributes(method, path, query)
    assert (found.verb, found.group, found.resource, found.sub, found.namespace, found.name) == expected
    assert found.path == ""


@pytest.mark.parametrize("path", ["/api", "/apis/apps/v1", "/api/v1", "/openapi/v3", "/", "/api/v1//pods", "/healthz"])
def test_other_paths_are_their_own_attribute(path: str) -> None:
    assert attributes("GET", path, {}) == Attributes("get", path=path)
