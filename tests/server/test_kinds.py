"""Kinds without a controller: stored, defaulted, validated, kept from change, as Kubernetes does."""

from typing import Any

import pytest

from tests.api import objects
from tests.server.daemon import Daemon

MERGE = {"content-type": "application/merge-patch+json"}
APIS = {
    "Lease": ("coordination.k8s.io/v1", "namespaces/default/leases"),
    "ControllerRevision": ("apps/v1", "namespaces/default/controllerrevisions"),
    "PodTemplate": ("v1", "namespaces/default/podtemplates"),
    "PriorityClass": ("scheduling.k8s.io/v1", "priorityclasses"),
    "StorageClass": ("storage.k8s.io/v1", "storageclasses"),
    "Endpoints": ("v1", "namespaces/default/endpoints"),
    "IngressClass": ("networking.k8s.io/v1", "ingressclasses"),
    "RuntimeClass": ("node.k8s.io/v1", "runtimeclasses"),
    "LimitRange": ("v1", "namespaces/default/limitranges"),
    "ReplicationController": ("v1", "namespaces/default/replicationcontrollers"),
    "Pod": ("v1", "namespaces/default/pods"),
}


def path(kind: str) -> str:
    version, rest = APIS[kind]
    return f"/{'apis' if '/' in version else 'api'}/{version}/{rest}"


async def create(served: Daemon, kind: str, name: str = "a", **fields: Any) -> tuple[int, Any]:
    body = {"apiVersion": APIS[kind][0], "kind": kind, "metadata": {"name": name}, **fields}
    return await served.request("POST", path(kind), body)


async def test_the_classes_of_the_system_are_there(served: Daemon) -> None:
    _, classes = await served.request("GET", path("PriorityClass"))
    assert {item["metadata"]["name"]: item["value"] for item in classes["items"]} == {
        "system-cluster-critical": 2_000_000_000,
        "system-node-critical": 2_000_001_000,
    }
    _, storage = await served.request("GET", path("StorageClass") + "/local")
    assert storage["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert (storage["reclaimPolicy"], storage["volumeBindingMode"]) == ("Delete", "Immediate")


GOOD: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "Lease",
        {"spec": {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.000001Z"}},
        {"spec": {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.000001Z"}},
    ),
    ("ControllerRevision", {"revision": 1, "data": {"a": 1}}, {"revision": 1, "data": {"a": 1}}),
    ("PriorityClass", {"value": 7}, {"preemptionPolicy": "PreemptLowerPriority"}),
    ("StorageClass", {"provisioner": "x.org/y"}, {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"}),
    (
        "Endpoints",
        {"subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80}]}]},
        {"subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"protocol": "TCP", "port": 80}]}]},
    ),
    ("IngressClass", {"spec": {"controller": "x.org/y"}}, {"spec": {"controller": "x.org/y"}}),
    ("RuntimeClass", {"handler": "runc"}, {"handler": "runc"}),
]


@pytest.mark.parametrize(("kind", "fields", "stored"), GOOD, ids=[kind for kind, _, _ in GOOD])
async def test_kept_with_defaults(served: Daemon, kind: str, fields: dict[str, Any], stored: dict[str, Any]) -> None:
    status, made = await create(served, kind, **fields)
    assert (status, {name: made[name] for name in stored}) == (201, stored)
    status, found = await served.request("GET", path(kind) + "/a")
    assert (status, found) == (200, made)


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("Lease", {"spec": {"leaseDurationSeconds": 0}}, "spec.leaseDurationSeconds"),
    ("ControllerRevision", {"revision": -1, "data": {}}, "revision"),
    ("PriorityClass", {"value": 1_000_000_001}, "value"),
    ("StorageClass", {"provisioner": "x", "reclaimPolicy": "Recycle"}, "reclaimPolicy"),
    ("Endpoints", {"subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]}, "subsets[0].addresses[0].ip"),
    ("Endpoints", {"subsets": [{"ports": [{"port": 1}]}]}, "subsets[0]"),
    ("IngressClass", {"spec": {"parameters": {"kind": "X", "name": "x", "scope": "Namespace"}}}, "spec.parameters"),
    ("RuntimeClass", {"handler": "Not a label"}, "handler"),
    ("LimitRange", {"spec": {"limits": [{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}}, "spec"),
    ("ReplicationController", {"spec": {"selector": {"a": "b"}}}, "spec.template"),
]


@pytest.mark.parametrize(("kind", "fields", "where"), BAD, ids=[f"{kind}-{where}" for kind, _, where in BAD])
async def test_refused(served: Daemon, kind: str, fields: dict[str, Any], where: str) -> None:
    status, answer = await create(served, kind, **fields)
    assert status == 422
    assert any(cause["field"].startswith(where) for cause in answer["details"]["causes"]), answer


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("ControllerRevision", {"revision": 1, "data": {"a": 1}}, {"data": {"a": 2}}),
    ("PriorityClass", {"value": 7}, {"value": 8}),
    ("StorageClass", {"provisioner": "x"}, {"provisioner": "y"}),
    ("IngressClass", {"spec": {"controller": "x.org/y"}}, {"spec": {"controller": "x.org/z"}}),
    ("RuntimeClass", {"handler": "a"}, {"handler": "b"}),
]


@pytest.mark.parametrize(("kind", "fields", "patch"), CHANGES, ids=[kind for kind, _, _ in CHANGES])
async def test_stays_as_it_was_made(served: Daemon, kind: str, fields: dict[str, Any], patch: dict[str, Any]) -> None:
    await create(served, kind, **fields)
    status, answer = await served.request("PATCH", path(kind) + "/a", patch, MERGE)
    assert status == 422, answer
    assert "cannot be changed" in answer["message"]


async def test_a_pod_gets_the_priority_of_its_class(served: Daemon) -> None:
    await create(served, "PriorityClass", "high", value=1000)
    status, pod = await create(served, "Pod", "a", spec=objects.pod_spec(priorityClassName="high"))
    assert (status, pod["spec"]["priority"], pod["spec"]["preemptionPolicy"]) == (201, 1000, "PreemptLowerPriority")
    status, answer = await create(served, "Pod", "b", spec=objects.pod_spec(priorityClassName="none"))
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert "no PriorityClass with name none was found" in answer["message"]
    status, answer = await create(served, "Pod", "c", spec=objects.pod_spec(priorityClassName="high", priority=3))
    assert status == 403
    await create(served, "PriorityClass", "usual", value=5, globalDefault=True)
    _, pod = await create(served, "Pod", "d", spec=objects.pod_spec())
    assert (pod["spec"]["priority"], pod["spec"]["priorityClassName"]) == (5, "usual")
    status, answer = await create(served, "PriorityClass", "other", value=6, globalDefault=True)
    assert status == 403


async def test_a_limit_range_fills_in_and_refuses(served: Daemon) -> None:
    item = {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "100m"}, "default": {"cpu": "500m"}}
    status, made = await create(served, "LimitRange", spec={"limits": [item]})
    assert (status, made["spec"]["limits"][0]["defaultRequest"]) == (201, {"cpu": "500m"})
    _, pod = await create(served, "Pod", "a", spec=objects.pod_spec())
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}
    big = {"containers": [{"name": "web", "image": "local/host", "resources": {"limits": {"cpu": "3"}}}]}
    status, answer = await create(served, "Pod", "b", spec=big)
    assert status == 403
    assert "maximum cpu usage per Container is 2, but limit is 3" in answer["message"]


async def test_a_replication_controller_takes_selector_and_labels_from_its_template(served: Daemon) -> None:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": objects.pod_spec()}
    status, made = await create(served, "ReplicationController", spec={"template": template, "replicas": 2})
    assert (status, made["spec"]["selector"], made["metadata"]["labels"]) == (201, {"app": "web"}, {"app": "web"})
    status, scale = await served.request("GET", path("ReplicationController") + "/a/scale")
    assert (scale["spec"]["replicas"], scale["status"]["selector"]) == (2, "app=web")


@pytest.mark.parametrize("plural", ["storage.k8s.io/v1/csidrivers", "storage.k8s.io/v1/volumeattachments"])
async def test_kinds_without_behaviour_are_refused_by_name(served: Daemon, plural: str) -> None:
    status, answer = await served.request("POST", f"/apis/{plural}", {})
    assert (status, answer["reason"], "is not supported" in answer["message"]) == (404, "NotFound", True), answer


async def test_a_namespace_in_an_object_outside_of_namespaces_is_let_go(served: Daemon) -> None:
    body = {"apiVersion": "v1", "kind": "PriorityClass", "metadata": {"name": "p", "namespace": "x"}, "value": 1}
    body["apiVersion"] = "scheduling.k8s.io/v1"
    status, made = await served.request("POST", path("PriorityClass"), body)
    assert (status, "namespace" in made["metadata"]) == (201, False), made
