"""kubectl on objects: get, describe, create, apply, diff, edit, patch, label, replace, delete, explain, discovery."""

import json

import pytest

from e2e.kubectl.conftest import Kubectl

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: local/host
        command: [sh, -c, "echo started; exec sleep infinity"]
        ports: [{containerPort: 8000}]
"""
IDLE = WEB.replace("replicas: 2", "replicas: 0")
POD = """
apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: one}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: local/host, command: [sh, -c, "echo hello; exec sleep infinity"]}]
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {set: x}}\ndata: {k: v}\n"


def test_discovery(kubectl: Kubectl) -> None:
    words = kubectl.ok("api-resources", "--no-headers").splitlines()
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in [line.split() for line in words]
    assert {"v1", "apps/v1", "orchestr.dev/v1"} <= set(kubectl.ok("api-versions").split())
    assert "pods" in kubectl.ok("api-resources", "--categories=all", "-o", "name")
    assert "Server Version: v1." in kubectl.ok("version")
    assert kubectl.ok("get", "--raw", "/readyz") == "ok"


def test_explain(kubectl: Kubectl) -> None:
    text = kubectl.ok("explain", "deployment.spec.strategy")
    assert "FIELD: strategy <DeploymentStrategy>" in text
    assert "rollingUpdate\t<RollingUpdateDeployment>" in text
    assert "services\t<map[string]Service>" in kubectl.ok("explain", "stack.spec")
    assert "Not supported on this machine" in kubectl.ok("explain", "pod.spec.readinessGates")
    assert 'field "colour" does not exist' in kubectl.refused("explain", "pod.spec.colour")


def test_client_side_apply(kubectl: Kubectl) -> None:
    assert kubectl.ok("apply", "-f", "-", input=IDLE) == "deployment.apps/web created\n"
    assert kubectl.ok("apply", "-f", "-", input=IDLE) == "deployment.apps/web unchanged\n"
    more = IDLE.replace("app: web}}\n    spec", "app: web, tier: front}}\n    spec")
    done = kubectl("diff", "-f", "-", input=more)
    changes = [line for line in done.out.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert (done.code, changes) == (1, ["-  generation: 1", "+  generation: 2", "+        tier: front"])
    assert kubectl.ok("apply", "-f", "-", input=more) == "deployment.apps/web configured\n"
    assert kubectl("diff", "-f", "-", input=more).code == 0
    assert kubectl.ok("apply", "-f", "-", input=IDLE) == "deployment.apps/web configured\n"  # and the label goes
    assert "tier" not in kubectl.ok("get", "deployment", "web", "-o", "jsonpath={.spec.template.metadata.labels}")


def test_server_side_apply(kubectl: Kubectl) -> None:
    assert kubectl.ok("apply", "--server-side", "-f", "-", input=IDLE) == "deployment.apps/web serverside-applied\n"
    kubectl.ok("scale", "deployment", "web", "--replicas=1")
    told = kubectl.refused("apply", "--server-side", "-f", "-", input=IDLE)
    assert "Apply failed with 1 conflict" in told
    assert ".spec.replicas" in told
    kubectl.ok("apply", "--server-side", "--force-conflicts", "-f", "-", input=IDLE)
    assert kubectl.ok("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "0"
    managers = kubectl.ok("get", "deployment", "web", "--show-managed-fields", "-o", "json")
    assert "kubectl" in [entry["manager"] for entry in json.loads(managers)["metadata"]["managedFields"]]


def test_taking_over_from_client_side_apply(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", input=IDLE)
    done = kubectl("apply", "--server-side", "-f", "-", input=IDLE)
    assert (done.code, done.err) == (0, "")
    shorter = IDLE.replace(", labels: {app: web}", "", 1)
    kubectl.ok("apply", "--server-side", "-f", "-", input=shorter)
    assert kubectl.ok("get", "deployment", "web", "-o", "jsonpath={.metadata.labels}") == ""


def test_unknown_fields(kubectl: Kubectl) -> None:
    wrong = MAP % "a" + "dta: {x: y}\n"
    assert 'strict decoding error: unknown field "dta"' in kubectl.refused("apply", "-f", "-", input=wrong)
    done = kubectl("apply", "--validate=warn", "-f", "-", input=wrong)
    assert (done.code, done.err.strip()) == (0, 'Warning: unknown field "dta"')
    assert kubectl("apply", "--validate=ignore", "-f", "-", input=wrong).err == ""


@pytest.mark.parametrize(
    ("kind", "patch", "field", "value"),
    [
        ("strategic", '{"spec":{"template":{"spec":{"containers":[{"name":"main","tty":true}]}}}}', "tty", "true"),
        ("merge", '{"spec":{"minReadySeconds":3}}', "minReadySeconds", "3"),
        ("json", '[{"op":"replace","path":"/spec/minReadySeconds","value":4}]', "minReadySeconds", "4"),
    ],
)
def test_patch(kubectl: Kubectl, kind: str, patch: str, field: str, value: str) -> None:
    kubectl.ok("create", "-f", "-", input=IDLE)
    assert kubectl.ok("patch", "deployment", "web", f"--type={kind}", "-p", patch) == "deployment.apps/web patched\n"
    path = "{.spec.template.spec.containers[0].tty}" if field == "tty" else f"{{.spec.{field}}}"
    assert kubectl.ok("get", "deployment", "web", "-o", f"jsonpath={path}") == value
    assert kubectl.ok("get", "deployment", "web", "-o", "jsonpath={..containers[0].image}") == "local/host"
    assert "(no change)" in kubectl.ok("patch", "deployment", "web", f"--type={kind}", "-p", patch)


def test_edit_label_annotate(kubectl: Kubectl) -> None:
    kubectl.ok("create", "-f", "-", input=MAP % "a")
    edited = kubectl.ok("edit", "configmap", "a", env={"EDITOR": "sed -i s/k:.v/k:\\ w/"})
    assert edited == "configmap/a edited\n"
    assert kubectl.ok("get", "configmap", "a", "-o", "jsonpath={.data.k}") == "w"
    assert kubectl.ok("label", "configmap", "a", "tier=front") == "configmap/a labeled\n"
    assert "--overwrite is false" in kubectl.refused("label", "configmap", "a", "tier=back")
    assert kubectl.ok("annotate", "configmap", "a", "note=x") == "configmap/a annotated\n"
    assert kubectl.ok("label", "configmap", "a", "tier-") == "configmap/a unlabeled\n"
    assert "set=x" in kubectl.ok("get", "configmap", "a", "--show-labels")


def test_replace_and_delete(kubectl: Kubectl) -> None:
    kubectl.ok("create", "-f", "-", input=MAP % "a")
    assert kubectl.ok("replace", "-f", "-", input=(MAP % "a").replace("k: v", "k: w")) == "configmap/a replaced\n"
    assert "AlreadyExists" in kubectl.refused("create", "-f", "-", input=MAP % "a")
    assert kubectl.ok("replace", "--force", "-f", "-", input=MAP % "a").endswith("configmap/a replaced\n")
    kubectl.ok("delete", "configmap", "-l", "set=x")
    assert "NotFound" in kubectl.refused("get", "configmap", "a")
    assert kubectl.ok("delete", "configmap", "a", "--ignore-not-found") == ""


def test_prune(kubectl: Kubectl) -> None:
    both = MAP % "a" + "---\n" + MAP % "b"
    words = ("apply", "--prune", "-l", "set=x", "--prune-allowlist=core/v1/ConfigMap", "-f", "-")
    kubectl.ok(*words, input=both)
    assert "configmap/b pruned" in kubectl.ok(*words, input=MAP % "a")


def test_kustomize(kubectl: Kubectl) -> None:
    (kubectl.home / "web.yaml").write_text(IDLE)
    (kubectl.home / "kustomization.yaml").write_text(
        "namePrefix: k-\nresources: [web.yaml]\nconfigMapGenerator: [{name: cfg, literals: [a=b]}]\n"
    )
    assert "deployment.apps/k-web created" in kubectl.ok("apply", "-k", ".")
    assert "k-web" in kubectl.ok("delete", "-k", ".")


def test_generators(kubectl: Kubectl) -> None:
    """These come as protobuf."""
    for words in (
        "configmap c --from-literal=a=b",
        "secret generic s --from-literal=a=b",
        "quota q --hard=pods=10",
        "deployment d --image=local/host --replicas=0 -- sleep infinity",
        "service clusterip v --tcp=80:80",
        "service nodeport n --tcp=80:80",
        "job j --image=local/host -- true",
    ):
        assert " created" in kubectl.ok("create", *words.split())
    assert kubectl.ok("get", "secret", "s", "-o", "jsonpath={.data.a}") == "Yg=="
    assert kubectl.ok("get", "deployment", "d", "-o", "jsonpath={..containers[0].command[0]}") == "sleep"
    kubectl.ok("wait", "job/j", "--for=condition=Complete", "--timeout=30s")
    dry = kubectl.ok("create", "configmap", "dry", "--from-literal=a=b", "--dry-run=server", "-o", "yaml")
    assert "resourceVersion" not in dry
    assert "NotFound" in kubectl.refused("get", "configmap", "dry")


def test_tables(kubectl: Kubectl) -> None:
    kubectl.ok("create", "-f", "-", input=IDLE)
    kubectl.ok("create", "service", "clusterip", "web", "--tcp=80:8000")
    (row,) = kubectl.table("deployment", "-o", "wide")
    age = row.pop("AGE")
    assert age[-1] == "s"
    assert row == {
        "NAME": "web",
        "READY": "0/0",
        "UP-TO-DATE": "0",
        "AVAILABLE": "0",
        "CONTAINERS": "main",
        "IMAGES": "local/host",
        "SELECTOR": "app=web",
    }
    (service,) = kubectl.table("service")
    assert list(service) == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert (service["TYPE"], service["EXTERNAL-IP"], service["PORT(S)"]) == ("ClusterIP", "<none>", "80/TCP")
    assert "service/web" in kubectl.ok("get", "all")
    assert kubectl.ok("get", "deployment", "-o", "custom-columns=N:.metadata.name").split() == ["N", "web"]
    assert "not supported" in kubectl.refused("get", "configmap", "--field-selector=spec.x=y")


def test_volumes_and_claims(kubectl: Kubectl) -> None:
    name = f"disk-{kubectl.namespace}"
    common = f"accessModes: [ReadWriteOnce], storageClassName: {name}"
    text = f"""
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec: {{{common}, capacity: {{storage: 5Gi}}, hostPath: {{path: /srv}}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: c}}
spec: {{{common}, resources: {{requests: {{storage: 1Gi}}}}}}
"""
    kubectl.ok("apply", "-f", "-", input=text)
    kubectl.ok("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/c", "--timeout=60s")
    (row,) = kubectl.table("pvc")
    assert (row["STATUS"], row["VOLUME"], row["CAPACITY"], row["STORAGECLASS"]) == ("Bound", name, "5Gi", name)
    row = kubectl.ok("get", "pv", name, "--no-headers").split()
    assert row[:7] == [name, "5Gi", "RWO", "Retain", "Bound", f"{kubectl.namespace}/c", name]
    assert "kubernetes.io/pv-protection" in kubectl.ok("describe", "pv", name)
    kubectl.ok("delete", "pvc", "c")
    kubectl.ok("wait", "--for=jsonpath={.status.phase}=Released", f"pv/{name}", "--timeout=60s")
    kubectl.ok("delete", "pv", name)
