"""kubectl on StatefulSets and DaemonSets: tables, rollout status, history, undo and restart, scale."""

import pytest

from e2e.kubectl.conftest import Kubectl

STATEFUL, DAEMON = ("StatefulSet", "replicas: 1, serviceName: db,"), ("DaemonSet", "")


def manifest(kind: str, spec: str, version: str = "1") -> str:
    container = f"name: main, image: local/host, command: [sleep, infinity], env: [{{name: V, value: '{version}'}}]"
    pod = f"terminationGracePeriodSeconds: 0, containers: [{{{container}}}]"
    template = f"metadata: {{labels: {{app: db}}}}, spec: {{{pod}}}"
    return f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: db}}
spec: {{{spec} selector: {{matchLabels: {{app: db}}}}, template: {{{template}}}}}
"""


def revisions(kubectl: Kubectl, name: str) -> list[str]:
    return [line.split()[0] for line in kubectl.ok("rollout", "history", name).splitlines()[2:] if line]


@pytest.mark.parametrize(("kind", "spec"), [STATEFUL, DAEMON])
def test_rollout(kubectl: Kubectl, kind: str, spec: str) -> None:
    name = f"{kind.lower()}/db"

    def value() -> str:
        return kubectl.ok("get", "pods", "-l", "app=db", "-o", "jsonpath={..env[0].value}")

    kubectl.ok("apply", "-f", "-", input=manifest(kind, spec))
    kubectl.ok("rollout", "status", name, "--timeout=40s")
    kubectl.ok("apply", "-f", "-", input=manifest(kind, spec, "2"))
    kubectl.ok("rollout", "status", name, "--timeout=40s")
    assert (revisions(kubectl, name), value()) == (["1", "2"], "2")
    assert "V:\t1" in kubectl.ok("rollout", "history", name, "--revision=1")
    assert kubectl.ok("rollout", "undo", name) == f"{kind.lower()}.apps/db rolled back\n"
    kubectl.ok("rollout", "status", name, "--timeout=40s")
    assert (revisions(kubectl, name), value()) == (["2", "3"], "1")
    before = kubectl.ok("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
    kubectl.ok("rollout", "restart", name)
    kubectl.ok("rollout", "status", name, "--timeout=40s")
    assert kubectl.ok("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}") != before
    assert f"Controlled By:  {kind}/db" in kubectl.ok("describe", "pod", "-l", "app=db")
    assert "SuccessfulCreate" in kubectl.ok("describe", kind, "db")


def test_stateful_sets_have_their_columns_and_scale(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", input=manifest(*STATEFUL))
    kubectl.ok("rollout", "status", "sts/db", "--timeout=40s")
    (row,) = kubectl.table("sts")
    assert (row["NAME"], row["READY"]) == ("db", "1/1")
    assert kubectl.ok("scale", "sts", "db", "--replicas=2") == "statefulset.apps/db scaled\n"
    kubectl.ok("rollout", "status", "sts/db", "--timeout=40s")
    assert [pod["NAME"] for pod in kubectl.table("pods")] == ["db-0", "db-1"]
    (revision,) = kubectl.table("controllerrevisions")
    assert (revision["CONTROLLER"], revision["REVISION"]) == ("statefulset.apps/db", "1")
    told = kubectl.refused("patch", "sts", "db", "-p", '{"spec": {"serviceName": "other"}}')
    assert "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template'" in told
    kubectl.ok("delete", "sts", "db", "--cascade=orphan")
    assert len(kubectl.table("pods")) == 2


def test_daemon_sets_have_their_columns(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", input=manifest(*DAEMON))
    kubectl.ok("rollout", "status", "ds/db", "--timeout=40s")
    (row,) = kubectl.table("ds")
    assert [row[name] for name in ("DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE")] == ["1"] * 5
    assert row["NODE SELECTOR"] == "<none>"
