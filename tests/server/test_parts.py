"""Sub-resources of pods, patches, selectors by kind, compression, metrics of the machine."""

import gzip
import json
from typing import Any

import pytest

from tests.server.daemon import Daemon, config_map

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
JSON_PATCH = {"content-type": "application/json-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "local/host"}
    return {"metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [container], **spec}}


async def test_eviction_deletes_and_dry_run_does_not(served: Daemon) -> None:
    await served.request("POST", PODS, pod("p"))
    body = {"kind": "Eviction", "apiVersion": "policy/v1", "metadata": {"name": "p"}}
    status, answer = await served.request("POST", f"{PODS}/p/eviction?dryRun=All", body)
    assert (status, answer["status"]) == (201, "Success")
    assert "deletionTimestamp" not in (await served.request("GET", f"{PODS}/p"))[1]["metadata"]
    assert (await served.request("POST", f"{PODS}/p/eviction", body))[0] == 201
    assert "deletionTimestamp" in (await served.request("GET", f"{PODS}/p"))[1]["metadata"]
    assert (await served.request("POST", f"{PODS}/x/eviction", {**body, "metadata": {"name": "x"}}))[0] == 404
    assert (await served.request("POST", f"{PODS}/p/eviction", {**body, "metadata": {"name": "x"}}))[0] == 400


async def test_binding_of_what_is_bound_or_gated(served: Daemon) -> None:
    await served.request("POST", PODS, pod("p"))
    await served.request("POST", PODS, pod("g", schedulingGates=[{"name": "x.org/y"}]))
    for name in ("p", "g"):
        body = {"kind": "Binding", "apiVersion": "v1", "metadata": {"name": name}, "target": {"name": "here"}}
        status, error = await served.request("POST", f"{PODS}/{name}/binding", body)
        assert (status, error["reason"]) == (409, "Conflict")
    status, _ = await served.request("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}})
    assert status == 422


LOOK = {"name": "look", "image": "local/host"}


async def test_ephemeral_containers_are_added_and_stay(served: Daemon) -> None:
    status, error = await served.request("POST", PODS, pod("q", ephemeralContainers=[LOOK]))
    assert (status, "already" in error["message"] or "only be added" in error["message"]) == (422, True)
    await served.request("POST", PODS, pod("p"))
    where = f"{PODS}/p/ephemeralcontainers"
    status, after = await served.request("PATCH", where, {"spec": {"ephemeralContainers": [LOOK]}}, STRATEGIC)
    assert (status, after["spec"]["ephemeralContainers"][0]["name"]) == (200, "look")
    more = {"spec": {"ephemeralContainers": [{"name": "more", "image": "x", "targetContainerName": "c"}]}}
    status, after = await served.request("PATCH", where, more, STRATEGIC)
    assert (status, len(after["spec"]["ephemeralContainers"])) == (200, 2)
    after["spec"]["ephemeralContainers"].pop()
    after["spec"]["hostname"] = "not-taken"
    status, error = await served.request("PUT", where, after)
    assert (status, "may not be removed" in error["message"]) == (422, True)
    bad = {"name": "bad", "image": "x", "targetContainerName": "nobody", "ports": [{"containerPort": 1}]}
    status, error = await served.request("PATCH", where, {"spec": {"ephemeralContainers": [bad]}}, STRATEGIC)
    assert status == 422
    fields = [cause["field"] for cause in error["details"]["causes"]]
    assert fields == [f"spec.ephemeralContainers[2].{name}" for name in ("ports", "targetContainerName")]
    status, error = await served.request("PATCH", f"{PODS}/p", {"spec": {"ephemeralContainers": [bad]}}, STRATEGIC)
    assert status == 422
    status, now = await served.request("GET", where)
    assert (status, len(now["spec"]["ephemeralContainers"]), "hostname" in now["spec"]) == (200, 2, False)


async def test_resize_changes_cpu_and_memory_alone(served: Daemon) -> None:
    sizes = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    body = pod("p", containers=[{"name": "c", "image": "local/host", "resources": sizes}])
    await served.request("POST", PODS, body)

    async def resize(resources: Any, name: str = "c", **more: Any) -> tuple[int, Any]:
        patch = {"spec": {"containers": [{"name": name, "resources": resources, **more}]}}
        return await served.request("PATCH", f"{PODS}/p/resize", patch, STRATEGIC)

    status, after = await resize({"limits": {"cpu": "3"}}, image="other")
    container = after["spec"]["containers"][0]
    assert (status, container["resources"]["limits"], container["image"]) == (
        200,
        {"cpu": "3", "memory": "1Gi"},
        "local/host",
    )
    assert after["metadata"]["generation"] == 2
    for resources, text in (
        ({"limits": {"cpu": None}}, "resource limits cannot be removed"),
        ({"limits": {"ephemeral-storage": "1Gi"}}, "only cpu and memory resources are mutable"),
        ({"requests": {"cpu": "3"}}, "QOS Class may not change"),
        ({"requests": {"cpu": "9"}}, "must not exceed the limit"),
    ):
        status, error = await resize(resources)
        assert (status, text in error["message"]) == (422, True), error["message"]
    status, error = await resize({}, name="other")
    assert (status, "only resources of containers may change" in error["message"]) == (422, True)
    patch = {"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}]}}
    assert (await served.request("PATCH", f"{PODS}/p", patch, STRATEGIC))[0] == 422, "not by the pod itself"


async def test_patches_of_three_types(served: Daemon) -> None:
    where = "/apis/apps/v1/namespaces/default/deployments"
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod("web")["spec"]}
    web = {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    await served.request("POST", where, web)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "1"}]}]}}}}
    status, after = await served.request("PATCH", f"{where}/web", patch, STRATEGIC)
    (container,) = after["spec"]["template"]["spec"]["containers"]
    assert (status, container["image"], container["env"]) == (200, "local/host", [{"name": "A", "value": "1"}])
    steps = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 4},
    ]
    status, after = await served.request("PATCH", f"{where}/web", steps, JSON_PATCH)
    assert (status, after["spec"]["replicas"]) == (200, 4)
    status, error = await served.request("PATCH", f"{where}/web", steps, JSON_PATCH)
    assert (status, error["reason"]) == (422, "Invalid")
    status, scale = await served.request("PATCH", f"{where}/web/scale", steps[1:], JSON_PATCH)
    assert (status, scale["spec"]) == (200, {"replicas": 4})
    status, _ = await served.request("PATCH", f"{where}/web?fieldValidation=Strict", {"spec": {"colour": 1}}, STRATEGIC)
    assert status == 400


async def test_a_custom_kind_has_no_strategic_merge(served: Daemon) -> None:
    path = "/apis/orchestr.dev/v1/namespaces/default/stacks"
    await served.request("POST", path, {"metadata": {"name": "s"}})
    assert (await served.request("PATCH", f"{path}/s", {}, STRATEGIC))[0] == 415


async def test_a_dry_run_keeps_the_version(served: Daemon) -> None:
    _, made = await served.request("POST", f"{MAPS}?dryRun=All", config_map("a"))
    assert "resourceVersion" not in made["metadata"]
    _, stored = await served.request("POST", MAPS, config_map("a"))
    _, dry = await served.request("PUT", f"{MAPS}/a?dryRun=All", config_map("a", k="v"))
    assert dry["metadata"]["resourceVersion"] == stored["metadata"]["resourceVersion"]


async def test_a_part_is_applied_again(served: Daemon) -> None:
    """kubectl does it when it takes over from client-side apply: no spec, and nothing else is touched."""
    where = "/apis/apps/v1/namespaces/default/deployments/web"
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod("web")["spec"]}
    web = {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    apply = {"content-type": "application/apply-patch+yaml"}
    assert (await served.request("PATCH", f"{where}?fieldManager=a", web, apply))[0] == 201
    part = {"metadata": {"name": "web", "annotations": {"x": "y"}}}
    status, after = await served.request("PATCH", f"{where}?fieldManager=b", part, apply)
    assert (status, after["metadata"]["annotations"], after["spec"]["replicas"]) == (200, {"x": "y"}, 1)


@pytest.mark.parametrize(
    ("path", "query", "names"),
    [
        (PODS, "status.phase!=Failed", ["a", "b"]),
        (PODS, "spec.nodeName=here", ["a"]),
        (PODS, "spec.hostNetwork=false", ["a", "b"]),
        (PODS, "spec.restartPolicy=Always,metadata.name!=b", ["a"]),
        ("/api/v1/namespaces", "status.phase=Active,metadata.name=default", ["default"]),
    ],
)
async def test_field_selectors_by_kind(served: Daemon, path: str, query: str, names: list[str]) -> None:
    await served.request("POST", PODS, pod("a"))
    await served.request("POST", PODS, pod("b", schedulingGates=[{"name": "x.org/y"}]))
    status, found = await served.request("GET", f"{path}?fieldSelector={query}")
    assert (status, [item["metadata"]["name"] for item in found["items"]]) == (200, names)
    status, error = await served.request("GET", f"{MAPS}?fieldSelector={query}")
    assert (status, "not supported" in error["message"]) == (400, True)


async def test_large_answers_are_packed(served: Daemon) -> None:
    for number in range(3):
        await served.request("POST", MAPS, config_map(f"m{number}", text="x" * 60_000))
    head = f"GET {MAPS} HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n"
    status, headers, body = await served.raw(head.encode())
    assert (status, headers["content-encoding"], len(body) < 10_000) == (200, "gzip", True)
    assert len(json.loads(gzip.decompress(body))["items"]) == 3
    _, headers, _ = await served.raw(head.replace("gzip", "gzip;q=0").encode())
    assert "content-encoding" not in headers


async def test_metrics_of_the_machine(served: Daemon) -> None:
    await served.request("POST", "/api/v1/nodes", {"metadata": {"name": "here"}})
    _, found = await served.request("GET", "/apis/metrics.k8s.io/v1beta1/nodes")
    assert [item["metadata"]["name"] for item in found["items"]] == ["here"]
    _, node = await served.request("GET", "/apis/metrics.k8s.io/v1beta1/nodes/here")
    assert node["usage"]["memory"].endswith("Ki")
    assert (await served.request("GET", "/apis/metrics.k8s.io/v1beta1/nodes/there"))[0] == 404


async def test_managed_fields_can_be_corrected(served: Daemon) -> None:
    """As kubectl does when it takes over from client-side apply, and to begin anew."""
    await served.request("POST", f"{MAPS}?fieldManager=old", config_map("a", k="1"))
    _, stored = await served.request("GET", f"{MAPS}/a")
    (entry,) = stored["metadata"]["managedFields"]
    renamed = [{**entry, "manager": "new", "operation": "Apply"}]
    steps = [{"op": "replace", "path": "/metadata/managedFields", "value": renamed}]
    status, after = await served.request("PATCH", f"{MAPS}/a?fieldManager=x", steps, JSON_PATCH)
    assert (status, [each["manager"] for each in after["metadata"]["managedFields"]]) == (200, ["new"])
    steps = [{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]
    status, after = await served.request("PATCH", f"{MAPS}/a?fieldManager=x", steps, JSON_PATCH)
    assert (status, after["metadata"].get("managedFields")) == (200, None)


async def test_each_eviction_of_a_burst_takes_from_the_budget(served: Daemon) -> None:
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}
    budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    assert (await served.request("POST", budgets, budget))[0] == 201
    status, answer = await served.request(
        "PATCH",
        f"{budgets}/b/status",
        {"status": {"disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}},
        {"content-type": "application/merge-patch+json"},
    )
    assert status == 200, answer
    codes = []
    for name in ("a", "b"):
        spec = {"containers": [{"name": "web", "image": "local/host"}]}
        body = {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec}
        assert (await served.request("POST", "/api/v1/namespaces/default/pods", body))[0] == 201
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
        codes.append((await served.request("POST", f"/api/v1/namespaces/default/pods/{name}/eviction", eviction))[0])
    assert codes == [201, 429]
    _, found = await served.request("GET", f"{budgets}/b")
    assert (set(found["status"]["disruptedPods"]), found["status"].get("disruptionsAllowed", 0)) == ({"a"}, 0)
