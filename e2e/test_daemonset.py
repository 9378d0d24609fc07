"""DaemonSets on the one machine: chosen by its labels, replaced one way or the other when the template changes."""

from e2e.checks import eventually
from e2e.project import Project


def logger(version: str = "1", rolling: str = "{maxUnavailable: 1}", more: str = "") -> str:
    return f"""
        apiVersion: apps/v1
        kind: DaemonSet
        metadata: {{name: log}}
        spec:
          selector: {{matchLabels: {{app: log}}}}
          updateStrategy: {{rollingUpdate: {rolling}}}
          template:
            metadata: {{labels: {{app: log}}}}
            spec:
              terminationGracePeriodSeconds: 0
              {more}
              containers:
                - {{name: main, image: local/host, command: [sh, -c, "echo version {version}; exec sleep infinity"]}}
        """


def test_it_follows_the_label_of_the_machine(project: Project) -> None:
    """No pod without the label, one with it, on a cordoned machine too, none when the label goes."""
    label = f"orch-test/{project.name}"
    project.objects(logger(more=f'nodeSelector: {{{label}: "yes"}}'))
    assert project.pods() == []
    node = project.daemon.items("nodes")[0]["metadata"]["name"]

    def patch(body: object) -> None:
        headers = "application/merge-patch+json"
        assert project.daemon.request("PATCH", f"/api/v1/nodes/{node}", body, content_type=headers)[0] == 200

    patch({"metadata": {"labels": {label: "yes"}}, "spec": {"unschedulable": True}})
    try:
        eventually(lambda: project.daemon.items("daemonsets", project.name)[0]["status"].get("numberReady") == 1)
        assert len(project.pods()) == 1
    finally:
        patch({"metadata": {"labels": {label: None}}, "spec": {"unschedulable": None}})
    eventually(lambda: not project.daemon.items("pods", project.name))


def test_a_new_template_replaces_the_pod(project: Project) -> None:
    """With maxSurge the new pod runs before the old one goes; with maxUnavailable there are never two."""
    project.objects(logger())
    [first] = project.pods()
    project.objects(logger("2", "{maxSurge: 1, maxUnavailable: 0}"))
    [second] = eventually(lambda: project.pods() if len(project.daemon.items("pods", project.name)) == 1 else [])
    assert first["metadata"]["uid"] != second["metadata"]["uid"]
    assert "version 2" in project.orch("logs", "-n", project.name, "daemonset/log").expect().out
    assert len(project.daemon.names("controllerrevisions", project.name)) == 2
    project.orch("restart", "-n", project.name, "daemonset/log").expect()
    assert "daemonset/log" in project.orch("status", "-n", project.name).expect().out
    assert "1         1         1" in project.orch("get", "-n", project.name, "ds").expect().out
