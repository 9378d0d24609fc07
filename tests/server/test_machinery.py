"""What Kubernetes' own tests ask beside the verbs: names, namespaces, reviews, bindings, APIServices."""

from typing import Any

import pytest

from orchestr.api.core import Node
from tests.server.daemon import Daemon, config_map
from tests.server.widgets import DEFINITIONS, WIDGETS, definition, widget

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
MERGE = {"content-type": "application/merge-patch+json"}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "local/host"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers, **spec}}


async def test_a_generated_name_that_is_taken_is_not_the_last_try(served: Daemon, monkeypatch: Any) -> None:
    from orchestr.store import lifecycle

    monkeypatch.setattr(lifecycle, "ALPHABET", "ab")  # 32 names
    unnamed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "cm-"}}
    names = set()
    for _ in range(16):
        status, made = await served.request("POST", MAPS, unnamed)
        assert status == 201
        names.add(made["metadata"]["name"])
    assert len(names) == 16


async def test_finalizers_of_a_namespace_are_written_apart(served: Daemon) -> None:
    _, made = await served.request("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}})
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    path, more = "/api/v1/namespaces/n", {"finalizers": ["kubernetes", "e2e.example.com/mine"]}
    status, done = await served.request("PUT", f"{path}/finalize", {**made, "spec": more})
    assert (status, done["spec"]) == (200, more)
    patch = {"spec": {"finalizers": None}, "metadata": {"labels": {"a": "b"}}}
    _, done = await served.request("PATCH", f"{path}?fieldManager=x", patch, MERGE)
    assert (done["spec"], done["metadata"]["labels"]["a"]) == (more, "b")
    _, done = await served.request("PUT", f"{path}/finalize", {**done, "spec": {}})
    assert done["spec"] == {"finalizers": ["kubernetes"]}
    await served.request("DELETE", path)
    _, done = await served.request("GET", path)
    assert done["status"]["phase"] == "Terminating"
    assert (await served.request("PUT", f"{path}/finalize", {**done, "spec": {}}))[0] == 200
    assert (await served.request("GET", path))[0] == 404


async def test_a_review_is_no_table(served: Daemon) -> None:
    body = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    status, error = await served.request("POST", REVIEWS, body, {"accept": TABLE})
    assert (status, error["reason"]) == (406, "NotAcceptable")
    assert (await served.request("POST", REVIEWS, body))[0] == 201


async def test_a_binding_names_its_pod_in_the_body(served: Daemon) -> None:
    cordoned = {"metadata": {"name": served.cluster._site.node}, "spec": {"unschedulable": True}}
    await served.cluster.create(Node.model_validate(cordoned))
    await served.request("POST", PODS, pod("p"))
    target = {"kind": "Node", "name": served.cluster._site.node}
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": target}
    status, told = await served.request("POST", "/api/v1/namespaces/default/bindings", binding)
    assert status == 201, told
    _, bound = await served.request("GET", f"{PODS}/p")
    assert bound["spec"]["nodeName"] == target["name"]
    assert [c["status"] for c in bound["status"]["conditions"] if c["type"] == "PodScheduled"] == ["True"]
    status, error = await served.request("POST", "/api/v1/namespaces/default/bindings", binding)
    assert (status, error["reason"]) == (409, "Conflict")
    other = {**binding, "metadata": {"name": "q"}}
    assert (await served.request("POST", "/api/v1/namespaces/default/bindings", other))[0] == 404


async def test_api_services_are_shown_and_not_made(served: Daemon) -> None:
    path = "/apis/apiregistration.k8s.io/v1/apiservices"
    _, found = await served.request("GET", path)
    names = [item["metadata"]["name"] for item in found["items"]]
    assert {"v1.", "v1.apps", "v1.apiregistration.k8s.io"} <= set(names)
    _, one = await served.request("GET", f"{path}/v1.apps")
    assert (one["kind"], one["spec"]["group"], one["status"]["conditions"][0]["status"]) == (
        "APIService",
        "apps",
        "True",
    )
    _, table = await served.request("GET", path, headers={"accept": TABLE})
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Service", "Available", "Age"]
    assert table["rows"][0]["cells"][1:3] == ["Local", "True"]
    assert (await served.request("GET", f"{path}/v1.none"))[0] == 404
    status, error = await served.request("POST", path, {"metadata": {"name": "v1.x"}})
    assert (status, "not supported" in error["message"]) == (405, True)


async def test_a_custom_resource_is_replaced_with_its_version_only(served: Daemon) -> None:
    await served.request("POST", DEFINITIONS, definition())
    _, made = await served.request("POST", WIDGETS, widget("a", size=1))
    status, error = await served.request("PUT", f"{WIDGETS}/a", widget("a", size=2))
    assert (status, error["details"]["causes"][0]["field"]) == (422, "metadata.resourceVersion")
    assert (await served.request("PUT", f"{WIDGETS}/a", made))[0] == 200
    assert (await served.request("PUT", f"{WIDGETS}/b", widget("b", size=2)))[0] == 404


@pytest.mark.parametrize(
    "options", [{"propagationPolicy": "Never"}, {"propagationPolicy": "Orphan", "orphanDependents": True}]
)
async def test_delete_options_that_make_no_sense(served: Daemon, options: dict[str, Any]) -> None:
    await served.request("POST", MAPS, config_map("a"))
    status, error = await served.request("DELETE", f"{MAPS}/a", options)
    assert (status, error["details"]["kind"]) == (422, "DeleteOptions")
    assert (await served.request("DELETE", MAPS, options))[0] == 422
    assert (await served.request("GET", f"{MAPS}/a"))[0] == 200


async def test_deleting_a_collection_keeps_to_its_options(served: Daemon) -> None:
    for name in "ab":
        await served.request("POST", MAPS, config_map(name))
    _, found = await served.request("DELETE", f"{MAPS}?dryRun=All&labelSelector=app%3Da")
    assert [item["metadata"]["name"] for item in found["items"]] == ["a"]
    status, error = await served.request("DELETE", MAPS, {"preconditions": {"uid": "other"}})
    assert (status, error["reason"]) == (409, "Conflict")
    assert len((await served.request("GET", MAPS))[1]["items"]) == 2


async def test_the_status_of_a_quota_is_what_was_written_until_it_is_counted(served: Daemon) -> None:
    path = "/api/v1/namespaces/default/resourcequotas"
    await served.request("POST", path, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "5"}}})
    patch = {"status": {"hard": {"pods": "7"}}}
    _, done = await served.request("PATCH", f"{path}/q/status", patch, MERGE)
    assert done["status"]["hard"] == {"pods": "7"}


async def test_health_in_words(served: Daemon) -> None:
    status, _, text = await served.whole("GET", "/livez?verbose")
    assert (status, text.decode().splitlines()) == (200, ["[+]ping ok", "[+]store ok", "livez check passed"])


async def test_every_verb_can_be_tried(served: Daemon) -> None:
    """dryRun=All on each, and the store is what it was."""
    await served.request("POST", PODS, pod("p"))
    await served.request("POST", MAPS, config_map("a"))
    before, revision = served.cluster.revision, served.cluster.revision
    apply = {"content-type": "application/apply-patch+yaml"}
    for method, path, body, headers in (
        ("POST", MAPS, config_map("b"), {}),
        ("PUT", f"{MAPS}/a", config_map("a", k="2"), {}),
        ("PATCH", f"{MAPS}/a", {"data": {"x": "y"}}, MERGE),
        ("PATCH", f"{MAPS}/a", config_map("a", z="z"), apply),
        ("PATCH", f"{PODS}/p/status", {"status": {"phase": "Failed"}}, MERGE),
        ("POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}}, {}),
        ("DELETE", f"{MAPS}/a", None, {}),
        ("DELETE", MAPS, None, {}),
    ):
        status, answer = await served.request(method, f"{path}?dryRun=All&fieldManager=m", body, headers)
        assert status < 300, (method, path, answer)
    assert before == served.cluster.revision == revision
