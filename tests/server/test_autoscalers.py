"""HorizontalPodAutoscaler: two versions of the same objects, defaults, rules, and columns."""

import json
from typing import Any

import pytest

from tests.server.daemon import Daemon

V1, V2 = (f"/apis/autoscaling/{v}/namespaces/default/horizontalpodautoscalers" for v in ("v1", "v2"))
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
REF = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
MEMORY = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "100Mi"}}


def hpa(version: str = "v2", name: str = "web", **spec: Any) -> dict[str, Any]:
    wire = {"apiVersion": f"autoscaling/{version}", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}}
    return {**wire, "spec": {"scaleTargetRef": REF, "maxReplicas": 5, **spec}}


def cpu(percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


async def test_what_v1_says_v2_shows(served: Daemon) -> None:
    status, made = await served.request("POST", V1, hpa("v1", targetCPUUtilizationPercentage=50))
    assert (status, made["spec"]["minReplicas"], made["spec"]["targetCPUUtilizationPercentage"]) == (201, 1, 50)
    _, found = await served.request("GET", f"{V2}/web")
    assert (found["apiVersion"], found["spec"]["metrics"]) == ("autoscaling/v2", [cpu(50)])
    _, made = await served.request("POST", V2, hpa(name="b"))
    assert made["spec"]["metrics"] == [cpu(80)]


async def test_what_v1_has_no_field_for_goes_by_annotations_and_back(served: Daemon) -> None:
    metrics = [cpu(70), {"type": "Resource", "resource": MEMORY}]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    await served.request("POST", V2, hpa(metrics=metrics, behavior=behavior))
    _, old = await served.request("GET", f"{V1}/web")
    assert old["spec"]["targetCPUUtilizationPercentage"] == 70
    notes = old["metadata"]["annotations"]
    assert json.loads(notes["autoscaling.alpha.kubernetes.io/metrics"]) == [metrics[1]]
    old["spec"]["maxReplicas"] = 7
    status, _ = await served.request("PUT", f"{V1}/web", old)
    _, new = await served.request("GET", f"{V2}/web")
    assert (status, new["spec"]["maxReplicas"], new["spec"]["metrics"]) == (200, 7, metrics)
    assert new["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 0
    assert new["spec"]["behavior"]["scaleUp"]["policies"][0] == {"type": "Pods", "value": 4, "periodSeconds": 15}
    assert "annotations" not in new["metadata"]


async def test_what_the_status_says_is_in_the_table(served: Daemon) -> None:
    inside = {"name": "cpu", "container": "main", "target": {"type": "Utilization", "averageUtilization": 50}}
    metrics = [{"type": "Resource", "resource": MEMORY}, {"type": "ContainerResource", "containerResource": inside}]
    _, made = await served.request("POST", V2, hpa(metrics=metrics, minReplicas=2))
    current = {"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "64Mi"}}}
    told = {"currentReplicas": 3, "desiredReplicas": 3, "currentMetrics": [current]}
    status, _ = await served.request("PUT", f"{V2}/web/status", {**made, "status": told})
    assert status == 200
    for path in (V1, V2):
        _, table = await served.request("GET", path, headers=TABLE)
        cells = table["rows"][0]["cells"][:6]
        if path is V2:
            assert cells == ["web", "Deployment/web", "memory: 64Mi/100Mi, cpu: <unknown>/50%", "2", 5, 3]
        assert cells[0] == "web"


T = "spec.metrics[0].resource.target"
WRONG = [
    (hpa(minReplicas=0), "spec.minReplicas", "at least 1"),
    (hpa(minReplicas=6), "spec.maxReplicas", "minReplicas"),
    (hpa(maxReplicas=0), "spec.maxReplicas", "greater than 0"),
    (hpa(scaleTargetRef={"kind": "", "name": "x"}), "spec.scaleTargetRef.kind", "required"),
    (hpa(metrics=[cpu(0)]), f"{T}.averageUtilization", "at least 1"),
    (hpa(metrics=[{"type": "Resource"}]), "spec.metrics[0].resource", "must populate"),
    (hpa(metrics=[{"type": "Pods", "pods": {"metric": {"name": "x"}, "target": {"type": "Value"}}}]), "", "not supp"),
    (hpa(metrics=[{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Value"}}}]), T, "either"),
    (hpa(behavior={"scaleUp": {"selectPolicy": "Best"}}), "spec.behavior.scaleUp.selectPolicy", "Max, Min"),
    (hpa(behavior={"scaleDown": {"stabilizationWindowSeconds": 3601}}), "spec.behavior.scaleDown.stab", "at most"),
    (
        hpa(behavior={"scaleDown": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 1801}]}}),
        "spec.behavior.scaleDown.policies[0].value",
        "at least 1",
    ),
]


@pytest.mark.parametrize(("body", "where", "words"), WRONG, ids=[f"{i}-{w}" for i, (_, w, _) in enumerate(WRONG)])
async def test_refused(served: Daemon, body: dict[str, Any], where: str, words: str) -> None:
    status, answer = await served.request("POST", V2, body)
    assert status == 422
    causes = [each for each in answer["details"]["causes"] if each["field"].startswith(where)]
    assert any(words in each["message"] for each in causes), answer
