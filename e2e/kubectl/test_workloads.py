"""kubectl on what runs: rollouts, scale, set, expose, run, wait, logs, exec, events."""

from e2e.checks import eventually
from e2e.kubectl.conftest import Kubectl
from e2e.kubectl.test_objects import POD, WEB


def test_rollout(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", input=WEB)
    done = kubectl.ok("rollout", "status", "deployment/web", "--timeout=40s")
    assert done.endswith('deployment "web" successfully rolled out\n')
    kubectl.ok("set", "env", "deployment/web", "A=1")
    kubectl.ok("rollout", "status", "deployment/web", "--timeout=40s")
    assert kubectl.ok("rollout", "history", "deployment/web").split()[:5] == [
        "deployment.apps/web",
        "REVISION",
        "CHANGE-CAUSE",
        "1",
        "<none>",
    ]
    assert "A:\t1" in kubectl.ok("rollout", "history", "deployment/web", "--revision=2")
    assert kubectl.ok("rollout", "undo", "deployment/web") == "deployment.apps/web rolled back\n"
    kubectl.ok("rollout", "status", "deployment/web", "--timeout=40s")
    assert kubectl.ok("get", "deployment", "web", "-o", "jsonpath={..containers[0].env}") == ""
    revisions = [
        line.split()[0] for line in kubectl.ok("rollout", "history", "deployment/web").splitlines()[2:] if line
    ]
    assert revisions == ["2", "3"]
    kubectl.ok("rollout", "pause", "deployment/web")
    kubectl.ok("set", "image", "deployment/web", "main=local/host:latest")
    assert "paused" in kubectl.ok("describe", "deployment", "web").lower()
    kubectl.ok("rollout", "resume", "deployment/web")
    kubectl.ok("rollout", "restart", "deployment/web")
    kubectl.ok("set", "resources", "deployment/web", "--limits=memory=64Mi", "--requests=memory=32Mi")
    kubectl.ok("scale", "deployment/web", "--replicas=1")
    kubectl.ok("rollout", "status", "deployment/web", "--timeout=40s")
    (row,) = kubectl.table("deployment")
    assert (row["READY"], row["UP-TO-DATE"], row["AVAILABLE"]) == ("1/1", "1", "1")


def test_service_and_pods(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", input=WEB)
    kubectl.ok("rollout", "status", "deployment/web", "--timeout=40s")
    assert kubectl.ok("expose", "deployment", "web", "--port=80", "--target-port=8000") == "service/web exposed\n"
    pods = kubectl.table("pods", "-l", "app=web", "-o", "wide")
    assert [(pod["READY"], pod["STATUS"], pod["RESTARTS"]) for pod in pods] == [("1/1", "Running", "0")] * 2
    assert list(pods[0])[5:] == ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    text = kubectl.ok("describe", "service", "web")
    assert f"{pods[0]['IP']}:8000" in text
    assert kubectl.ok("logs", "-l", "app=web", "--prefix").count("/main] started") == 2
    assert "started" in kubectl.ok("logs", "deployment/web", "-c", "main")
    assert "Scaled up replica set" in kubectl.ok("describe", "deployment", "web")
    assert "ScalingReplicaSet" in kubectl.ok("events", "--for", "deployment/web")
    assert "ScalingReplicaSet" in kubectl.ok("get", "events", "--field-selector=involvedObject.kind=Deployment")


def test_run_wait_exec(kubectl: Kubectl) -> None:
    kubectl.ok("run", "once", "--image=local/host", "--restart=Never", "--command", "--", "sh", "-c", "echo run")
    kubectl.ok("wait", "pod/once", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    assert kubectl.ok("logs", "once") == "run\n"
    (row,) = kubectl.table("pod", "once")
    assert (row["READY"], row["STATUS"]) == ("0/1", "Completed")
    kubectl.ok("create", "-f", "-", input=POD)
    kubectl.ok("wait", "pod/one", "--for=condition=Ready", "--timeout=30s")
    assert kubectl.ok("exec", "one", "--", "echo", "hi") == "hi\n"
    assert kubectl("exec", "one", "--", "sh", "-c", "exit 7").code == 7
    assert "Container ID:" in kubectl.ok("describe", "pod", "one")
    kubectl.ok("delete", "pod", "one", "--wait=false")
    kubectl.ok("wait", "pod/one", "--for=delete", "--timeout=30s")


def test_autoscale(kubectl: Kubectl) -> None:
    kubectl.ok("create", "deployment", "web", "--image=local/host", "--replicas=0")
    done = kubectl.ok("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu-percent=50")
    assert done == "horizontalpodautoscaler.autoscaling/web autoscaled\n"
    row = kubectl.table("hpa")[0]
    limits = row["REFERENCE"], row["TARGETS"], row["MINPODS"], row["MAXPODS"]
    assert limits == ("Deployment/web", "cpu: <unknown>/50%", "2", "5")
    eventually(lambda: "ScalingDisabled" in kubectl.ok("describe", "hpa", "web"))  # nobody wakes what is at 0
    percent = "jsonpath={.spec.targetCPUUtilizationPercentage}"
    assert kubectl.ok("get", "horizontalpodautoscalers.v1.autoscaling", "web", "-o", percent) == "50"
