"""ResourceQuota: checked at admission, exact under concurrent creates, told where it refuses."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from e2e.checks import eventually
from e2e.project import Project


def pod(name: str, cpu: str = "100m", memory: str = "16Mi") -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "local/host",
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}},
    }
    return {"metadata": {"name": name}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}


def quota(project: Project, **hard: str) -> None:
    amounts = json.dumps({name.replace("_", "."): value for name, value in hard.items()})
    project.objects(
        f"        {{apiVersion: v1, kind: ResourceQuota, metadata: {{name: q}}, spec: {{hard: {amounts}}}}}"
    )
    eventually(lambda: used(project))


def used(project: Project) -> dict[str, str]:
    found: dict[str, str] = project.get("resourcequota", "q")["status"].get("used", {})
    return found


def create(project: Project, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    status, answer = project.daemon.request("POST", f"/api/v1/namespaces/{project.name}/pods", body)
    return status, json.loads(answer)


def test_fifty_concurrent_creates_against_ten(project: Project) -> None:
    """Exactly ten of fifty simultaneous creates pass; the others get 403 with the amounts; status.used is exact."""
    quota(project, pods="10")
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda number: create(project, pod(f"p{number}", "1m", "1Mi")), range(50)))
    assert sorted(status for status, _ in answers) == [201] * 10 + [403] * 40
    refusal = next(body for status, body in answers if status == 403)
    assert refusal["reason"] == "Forbidden"
    assert "exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10" in refusal["message"]
    assert used(project) == {"pods": "10"}


def test_cpu_and_memory_are_counted_exactly(project: Project) -> None:
    quota(project, requests_cpu="500m", requests_memory="64Mi", limits_memory="64Mi", pods="10")
    assert create(project, pod("a", "300m", "16Mi"))[0] == 201
    assert used(project) == {"requests.cpu": "300m", "requests.memory": "16Mi", "limits.memory": "16Mi", "pods": "1"}
    status, refused = create(project, pod("b", "300m", "16Mi"))
    assert (
        status,
        "requested: requests.cpu=300m, used: requests.cpu=300m, limited: requests.cpu=500m" in refused["message"],
    ) == (403, True)
    assert create(project, pod("c", "100m", "64Mi"))[0] == 403
    assert create(project, pod("d", "200m", "48Mi"))[0] == 201
    assert used(project)["requests.cpu"] == "500m"
    project.orch("delete", "pod", "a", "-n", project.name).expect()
    eventually(lambda: used(project)["requests.cpu"] == "200m")
    assert create(project, pod("e", "300m", "16Mi"))[0] == 201


def test_a_limited_resource_must_be_named(project: Project) -> None:
    quota(project, requests_cpu="1")
    bare = {"metadata": {"name": "bare"}, "spec": {"containers": [{"name": "main", "image": "local/host"}]}}
    status, refused = create(project, bare)
    assert status == 403
    assert "must specify requests.cpu" in refused["message"]


def test_objects_are_counted(project: Project) -> None:
    quota(project, **{"count/configmaps": "3"})
    eventually(lambda: project.get("configmap", "kube-root-ca.crt"))  # every namespace has it, and it counts
    project.objects("        {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}")
    project.objects("        {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}")
    refused = project.objects("        {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}", code=1)
    assert "exceeded quota: q" in refused.err
    assert project.daemon.names("configmaps", project.name) == ["a", "b"]
    project.orch("delete", "configmap", "a", "-n", project.name).expect()
    project.objects("        {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}")


def test_a_replica_set_says_so_and_goes_on_when_there_is_room(project: Project) -> None:
    quota(project, pods="2")
    deployment = """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: web}
        spec:
          replicas: 4
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec:
              terminationGracePeriodSeconds: 0
              containers: [{name: main, image: local/host, command: [sleep, infinity]}]
        """
    refused = project.objects(deployment, code=1)
    assert "exceeded quota: q" in refused.err + refused.out
    eventually(lambda: len(project.pods()) == 2)
    (replicas,) = project.daemon.items("replicasets", project.name)
    (failure,) = [c for c in replicas["status"]["conditions"] if c["type"] == "ReplicaFailure"]
    assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")
    assert "exceeded quota: q" in project.orch("status", "-n", project.name).out
    quota(project, pods="4")
    eventually(lambda: project.get("deployment", "web")["status"].get("availableReplicas") == 4, within=40)
    eventually(
        lambda: not any(c["type"] == "ReplicaFailure" for c in project.get("deployment", "web")["status"]["conditions"])
    )
