"""Rolling updates of a Deployment under load: no request is lost, and what cannot be rolled out is held and told."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from e2e.checks import eventually
from e2e.load import COMMAND, Load, free_port, get
from e2e.project import Project


def deployment(version: str, port: int, *, replicas: int = 2, strategy: str = "", more: str = "") -> str:
    return f"""
        apiVersion: apps/v1
        kind: Deployment
        metadata: {{name: web}}
        spec:
          replicas: {replicas}
          selector: {{matchLabels: {{app: web}}}}
          strategy: {strategy or "{rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}"}
          {more}
          template:
            metadata: {{labels: {{app: web}}}}
            spec:
              terminationGracePeriodSeconds: 6
              containers:
                - name: main
                  image: local/host
                  command: {COMMAND}
                  env: [{{name: VERSION, value: "{version}"}}]
                  ports: [{{containerPort: 8080}}]
                  readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1, timeoutSeconds: 3}}
        ---
        apiVersion: v1
        kind: Service
        metadata:
          name: web
          annotations: {{orchestr.dev/publish: '[{{"hostIP": "127.0.0.1", "hostPort": {port}, "port": 80}}]'}}
        spec:
          selector: {{app: web}}
          ports: [{{port: 80, targetPort: 8080}}]
        """


def status(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = project.get("deployment", "web")["status"]
    return found


def condition(project: Project, kind: str) -> dict[str, Any]:
    return next((c for c in status(project).get("conditions", []) if c["type"] == kind), {})


def revisions(project: Project) -> list[int]:
    sets = project.daemon.items("replicasets", project.name)
    return sorted(int(rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"]) for rs in sets)


@pytest.mark.parametrize(
    "strategy",
    ["{rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}", "{rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}"],
)
def test_three_updates_lose_no_request(project: Project, strategy: str) -> None:
    """New and kept connections alike: not one request fails while the pods are replaced three times."""
    port = free_port()
    project.objects(deployment("1", port, strategy=strategy))
    with Load(port) as load:
        for version in "234":
            project.objects(deployment(version, port, strategy=strategy))
            eventually(lambda: load.answers.get(version, 0) > 20 or load.failed)  # noqa: B023
    assert not load.failed
    assert set(load.answers) == set("1234")
    assert {get(port) for _ in range(20)} == {"4"}
    assert revisions(project) == [1, 2, 3, 4]


def test_the_pods_stay_within_surge_and_availability(project: Project) -> None:
    """At every moment that the API shows: replicas + maxSurge pods at most, and enough of them ready."""
    port = free_port()
    project.objects(deployment("1", port, replicas=3))
    project.objects(deployment("2", port, replicas=3), "--detach")
    seen: list[tuple[int, int]] = []

    def rolled() -> bool:
        pods = project.pods()
        ready = sum(
            any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", [])) for p in pods
        )
        seen.append((len(pods), ready))
        return status(project).get("updatedReplicas") == 3 and status(project)["replicas"] == 3 and len(pods) == 3

    eventually(rolled, within=40)
    assert max(total for total, _ in seen) == 4
    assert min(ready for _, ready in seen) == 3


def test_recreate_ends_the_old_before_the_new(project: Project) -> None:
    """With Recreate no two versions ever run together; the published port refuses in between and then serves."""
    port = free_port()
    project.objects(deployment("1", port, strategy="{type: Recreate}"))
    old = {pod["metadata"]["uid"] for pod in project.pods()}
    project.objects(deployment("2", port, strategy="{type: Recreate}"), "--detach")

    def mixed() -> bool:
        pods = {pod["metadata"]["uid"] for pod in project.daemon.items("pods", project.name)}
        assert not (pods & old and pods - old), "old and new pods at the same time"
        return len(pods - old) == 2

    def watched() -> bool:
        try:
            return mixed()
        except AssertionError as error:
            raise RuntimeError(error) from error  # at once, not later

    eventually(watched, within=30)
    eventually(lambda: get(port) == "2")


def test_an_update_that_never_gets_ready_keeps_the_old_pods(project: Project) -> None:
    """progressDeadlineSeconds passes: apply exits 1 with the reason, and the old version still answers everything."""
    port = free_port()
    project.objects(deployment("1", port))
    bad = deployment("2", port, more="progressDeadlineSeconds: 3").replace("path: /, port: 8080", "path: /, port: 9")
    with Load(port) as load:
        done = project.objects(bad, code=1)
    assert "timed out progressing" in done.err + done.out
    assert "refused" in done.err + done.out, "why the new pod is not ready"
    assert not load.failed
    assert set(load.answers) == {"1"}
    assert condition(project, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    project.objects(deployment("1", port))
    assert get(port) == "1"


def test_scaling_up_and_down(project: Project) -> None:
    port = free_port()
    project.objects(deployment("1", port, replicas=1))
    (first,) = project.pods()
    born = datetime.fromisoformat(first["metadata"]["creationTimestamp"])
    eventually(lambda: datetime.now(UTC) - born > timedelta(seconds=1))  # ages are compared in whole seconds
    project.orch("scale", "deployment/web", "--replicas", "3", "-n", project.name).expect()
    eventually(lambda: status(project).get("availableReplicas") == 3)
    with Load(port) as load:
        project.orch("scale", "deployment/web", "--replicas", "1", "-n", project.name).expect()
        eventually(lambda: len(project.daemon.items("pods", project.name)) == 1)
    assert not load.failed
    assert first["metadata"]["uid"] == project.pod()["metadata"]["uid"], "the eldest stays"
    project.orch("scale", "deployment/web", "--replicas", "0", "-n", project.name).expect()
    eventually(lambda: not project.daemon.items("pods", project.name))
    with pytest.raises(AssertionError, match=r"refused|reset"):
        get(port)


def test_a_paused_deployment_does_not_roll(project: Project) -> None:
    port = free_port()
    project.objects(deployment("1", port, replicas=1))
    project.objects(deployment("2", port, replicas=1, more="paused: true"), "--detach")
    eventually(lambda: condition(project, "Progressing")["reason"] == "DeploymentPaused")
    assert get(port) == "1"
    project.objects(deployment("2", port, replicas=1))
    assert eventually(lambda: get(port) == "2")


def test_min_ready_seconds_holds_the_next_step(project: Project) -> None:
    """A pod counts as available two seconds after it got ready, and only then the old one goes."""
    port = free_port()
    project.objects(deployment("1", port, replicas=1))
    project.objects(deployment("2", port, replicas=1, more="minReadySeconds: 2"), "--detach")
    eventually(lambda: status(project).get("readyReplicas") == 2)
    assert status(project)["availableReplicas"] == 1
    eventually(lambda: len(project.daemon.items("pods", project.name)) == 1)
    assert get(port) == "2"


def test_the_history_is_kept_as_long_as_asked(project: Project) -> None:
    port = free_port()
    for version in "123":
        project.objects(deployment(version, port, replicas=1, more="revisionHistoryLimit: 1"))
    eventually(lambda: revisions(project) == [2, 3])
    project.objects(deployment("2", port, replicas=1, more="revisionHistoryLimit: 1"))
    eventually(lambda: revisions(project) == [3, 4])
    assert get(port) == "2"


def test_a_compose_service_rolls_without_loss(project: Project) -> None:
    """update_config order start-first: a changed service is replaced while its port goes on answering."""
    port = free_port()
    stack = f"""
        services:
          web:
            image: local/host
            command: {COMMAND}
            restart: always
            stop_grace_period: 6s
            environment: {{VERSION: "1"}}
            ports: ["127.0.0.1:{port}:8080"]
            deploy: {{update_config: {{order: start-first}}}}
            healthcheck:
              test: [CMD, python3, -c, {json.dumps("import socket; socket.create_connection(('::1', 8080))")}]
              interval: 1s
        """
    project.apply(stack)
    with Load(port) as load:
        project.apply(stack.replace('VERSION: "1"', 'VERSION: "2"'))
        eventually(lambda: load.answers.get("2", 0) > 20 or load.failed)
    assert not load.failed
