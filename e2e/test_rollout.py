"""`orch rollout` on a Deployment, whose versions are ReplicaSets, and a StatefulSet, which has ControllerRevisions."""

import json

import pytest

from e2e.project import Project


def workload(kind: str, version: str) -> str:
    return f"""
        apiVersion: apps/v1
        kind: {kind}
        metadata: {{name: web, annotations: {{kubernetes.io/change-cause: "to {version}"}}}}
        spec:
          selector: {{matchLabels: {{app: web}}}}
          template:
            metadata: {{labels: {{app: web}}}}
            spec:
              terminationGracePeriodSeconds: 0
              containers:
                - {{name: main, image: local/host, command: [sleep, infinity], env: [{{name: V, value: "{version}"}}]}}
        """


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_back_to_the_version_before(project: Project, kind: str) -> None:
    def rollout(verb: str, *more: str, code: int = 0) -> str:
        done = project.orch("rollout", verb, "-n", project.name, f"{kind.lower()}/web", *more).expect(code)
        return done.out + done.err

    def value() -> str:
        variables: list[dict[str, str]] = project.pod("web")["spec"]["containers"][0]["env"]
        return variables[0]["value"]

    project.objects(workload(kind, "1"))
    assert "no version before this one" in rollout("undo", code=1)
    project.objects(workload(kind, "2"))
    assert "to 2" in rollout("history")
    assert "rolled back to revision 1" in rollout("undo")
    assert value() == "1"
    versions = json.loads(rollout("history", "-o", "json"))
    assert [(each["revision"], each["template"]["spec"]["containers"][0]["env"][0]["value"]) for each in versions] == [
        (2, "2"),
        (3, "1"),
    ]
    assert "at revision 3 already" in rollout("undo", "--to-revision", "3")
    assert "value: '1'" in rollout("history", "--revision", "3")
    assert "there are: 2, 3" in rollout("undo", "--to-revision", "9", code=1)
    uid = project.pod("web")["metadata"]["uid"]
    assert "restarted" in rollout("restart")
    assert project.pod("web")["metadata"]["uid"] != uid
    assert "rolled out" in rollout("status", "--timeout", "20s")
    if kind == "Deployment":
        assert "paused" in rollout("pause")
        assert "it is paused" in rollout("undo", code=1)
        assert "resumed" in rollout("resume")
    else:
        assert "only deployments can be paused" in rollout("pause", code=2)


def test_a_stack_decides_over_its_own(project: Project) -> None:
    project.apply(
        "services: {web: {image: local/host, command: [sleep, infinity], restart: always, stop_grace_period: 0s}}"
    )
    told = project.orch("rollout", "undo", "web").expect(1)
    assert "makes it (change its file" in told.err
