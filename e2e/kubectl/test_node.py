"""kubectl on the node: cordon, drain, taint, label, top; what waits for it says why, and goes on when it may."""

from collections.abc import Iterator

import pytest

from e2e.checks import eventually
from e2e.daemon import Daemon
from e2e.kubectl.conftest import Kubectl
from e2e.kubectl.test_objects import POD, WEB

BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
"""
WAITS = "{.items[*].status.conditions[?(@.type=='PodScheduled')].message}"


@pytest.fixture
def node(kubectl: Kubectl) -> Iterator[str]:
    """The name of the node, which takes pods again after the test."""
    name = kubectl.ok("get", "nodes", "-o", "name").strip().removeprefix("node/")
    yield name
    kubectl.ok("uncordon", name)
    kubectl("taint", "node", name, "e2e-")
    kubectl.ok("label", "node", name, "e2e-")


def waiting(kubectl: Kubectl) -> str:
    return kubectl.ok("get", "pods", "-o", f"jsonpath={WAITS}")


def test_drain_keeps_the_budget_and_uncordon_brings_pods_back(kubectl: Kubectl, node: str, shared: Daemon) -> None:
    kubectl.ok("apply", "-f", "-", input=WEB + "---" + BUDGET)
    kubectl.ok("rollout", "status", "deployment/web", "--timeout=40s")
    told = kubectl.refused("drain", node, "--pod-selector=app=web", "--timeout=2s")
    assert "Cannot evict pod as it would violate the pod's disruption budget." in told
    assert kubectl.table("nodes")[0]["STATUS"] == "Ready,SchedulingDisabled"
    assert sorted(pod["STATUS"] for pod in kubectl.table("pods")) == ["Pending", "Running"]
    assert "0/1 nodes are available: 1 node(s) were unschedulable." in waiting(kubectl)
    kubectl.ok("delete", "pdb", "web")
    assert "evicted" in kubectl.ok("drain", node, "--pod-selector=app=web", "--timeout=30s")
    eventually(lambda: [pod["STATUS"] for pod in kubectl.table("pods")] == ["Pending"] * 2, what="both pods to wait")
    eventually(lambda: "FailedScheduling" in kubectl.ok("events"), what="the event")
    shared.kill_daemon()
    shared.start()
    assert [pod["STATUS"] for pod in kubectl.table("pods")] == ["Pending"] * 2
    kubectl.ok("uncordon", node)
    kubectl.ok("rollout", "status", "deployment/web", "--timeout=40s")


def test_taints(kubectl: Kubectl, node: str) -> None:
    tolerant = "tolerations: [{key: e2e, operator: Exists, effect: NoExecute}]"
    kubectl.ok("create", "-f", "-", input=POD)
    other = POD.replace("name: one", "name: two").replace("  terminationG", f"  {tolerant}\n  terminationG")
    kubectl.ok("create", "-f", "-", input=other)
    kubectl.ok("wait", "pod", "--all", "--for=condition=Ready", "--timeout=30s")
    kubectl.ok("taint", "node", node, "e2e=x:NoExecute")
    kubectl.ok("wait", "pod/one", "--for=delete", "--timeout=30s")
    kubectl.ok("create", "-f", "-", input=POD)
    assert "untolerated taint {e2e: x}" in waiting(kubectl)
    assert {pod["NAME"]: pod["STATUS"] for pod in kubectl.table("pods")} == {"one": "Pending", "two": "Running"}
    assert "e2e=x:NoExecute" in kubectl.ok("describe", "node", node)
    assert kubectl.ok("taint", "node", node, "e2e-") == f"node/{node} untainted\n"
    kubectl.ok("wait", "pod/one", "--for=condition=Ready", "--timeout=30s")


def test_a_node_that_is_not_selected(kubectl: Kubectl, node: str) -> None:
    kubectl.ok("create", "-f", "-", input=POD.replace("spec:", "spec:\n  nodeSelector: {e2e: here}"))
    assert "1 node(s) didn't match Pod's node affinity/selector." in waiting(kubectl)
    eventually(lambda: "FailedScheduling" in kubectl.ok("describe", "pod", "one"), what="the event")
    kubectl.ok("label", "node", node, "e2e=here")
    kubectl.ok("wait", "pod/one", "--for=condition=Ready", "--timeout=30s")


def test_looking_at_the_node(kubectl: Kubectl, node: str) -> None:
    assert kubectl.table("nodes")[0]["STATUS"] == "Ready"
    head, row = kubectl.ok("top", "nodes").splitlines()
    assert (head.split()[0], row.split()[0]) == ("NAME", node)
    assert "System Info:" in kubectl.ok("describe", "node", node)
