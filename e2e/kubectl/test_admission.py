"""kubectl and what has a say in its writes: policies, pod security, what every namespace and account gets."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from e2e.checks import eventually
from e2e.daemon import Daemon
from e2e.kubectl.conftest import Kubectl

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAME}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAME}}
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
  paramKind: {apiVersion: v1, kind: ConfigMap}
  variables:
  - {name: most, expression: "int(params.data.most)"}
  validations:
  - expression: object.spec.replicas <= variables.most
    messageExpression: "'at most ' + string(variables.most) + ' replicas, not ' + string(object.spec.replicas)"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: limits}
data: {most: "2"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAME}
spec:
  policyName: NAME
  validationActions: [ACTION]
  paramRef: {name: limits, parameterNotFoundAction: Deny}
"""
SIDECAR = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: NAME}
spec:
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NAME}}
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: 'Object{data: {"by": request.userInfo.username}}'}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: NAME}
spec: {policyName: NAME}
"""


HOOK = """
import json, ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        request = review["request"]
        response = {"uid": request["uid"], "allowed": request["name"] != "bad", "warnings": ["seen by a pod"]}
        response["status"] = {"message": "no " + request["name"] + " of " + request["userInfo"]["username"]}
        answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/hook/tls.pem")
server = ThreadingHTTPServer(("", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture
def clean(kubectl: Kubectl) -> Iterator[None]:
    """Policies are not in the test's namespace."""
    yield
    kubectl("delete", "validatingwebhookconfiguration", kubectl.namespace, "--ignore-not-found")
    for kind in ("validatingadmissionpolicy", "mutatingadmissionpolicy"):
        kubectl("delete", f"{kind},{kind}binding", kubectl.namespace, "--ignore-not-found")


@pytest.mark.usefixtures("clean")
def test_a_policy_with_parameters(kubectl: Kubectl) -> None:
    text = POLICY.replace("NAME", kubectl.namespace)
    kubectl.ok("apply", "-f", "-", input=text.replace("ACTION", "Deny"))
    create = ("create", "deployment", "web", "--image=local/host")
    told = kubectl.refused(*create, "--replicas=3")
    assert f"ValidatingAdmissionPolicy '{kubectl.namespace}' with binding '{kubectl.namespace}' denied request" in told
    assert "at most 2 replicas, not 3" in told
    kubectl.ok(*create, "--replicas=2")
    assert "at most 2 replicas, not 5" in kubectl.refused("scale", "deployment", "web", "--replicas=5")
    kubectl.ok("patch", "configmap", "limits", "-p", '{"data": {"most": "3"}}')
    kubectl.ok("scale", "deployment", "web", "--replicas=3")
    kubectl.ok("apply", "-f", "-", input=text.replace("ACTION", "Warn"))
    done = kubectl("scale", "deployment", "web", "--replicas=9")
    assert (done.code, "Warning: Validation failed" in done.err) == (0, True), done
    assert "1" in kubectl.table("validatingadmissionpolicies")[0]["VALIDATIONS"]
    kubectl.ok("scale", "deployment", "web", "--replicas=0")


@pytest.mark.usefixtures("clean")
def test_policies_that_change_what_is_written(kubectl: Kubectl, shared: Daemon) -> None:
    kubectl.ok("apply", "-f", "-", input=SIDECAR.replace("NAME", kubectl.namespace))
    kubectl.ok("create", "configmap", "a")
    assert kubectl.ok("get", "configmap", "a", "-o", "jsonpath={.data.by}") == "system:admin"
    text = f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: b, namespace: {kubectl.namespace}}}}}"
    shared.orch("apply", "-f", "-", input=text).expect()
    assert kubectl.ok("get", "configmap", "b", "-o", "jsonpath={.data.by}") == "system:admin"
    assert "by" in kubectl.ok("create", "configmap", "c", "--dry-run=server", "-o", "yaml")


def test_a_wrong_policy_is_told_field_by_field(kubectl: Kubectl, shared: Daemon) -> None:
    text = POLICY.replace("NAME", kubectl.namespace).replace("ACTION", "Deny").replace("int(params", "int(parms")
    told = kubectl.refused("apply", "-f", "-", input=text)
    assert "spec.variables[0].expression" in told
    assert "undeclared reference to 'parms'" in told
    done = shared.orch("apply", "-f", "-", input=text)
    assert done.code == 2
    assert done.err.startswith("-:12:18: spec.variables[0].expression: "), done.err
    kubectl("delete", "configmap", "limits", "--ignore-not-found")
    kubectl("delete", "validatingadmissionpolicybinding", kubectl.namespace, "--ignore-not-found")


def test_pod_security(kubectl: Kubectl) -> None:
    kubectl.ok("run", "before", "--image=local/host", "--privileged", "--command", "--", "sleep", "60")
    label = ("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    done = kubectl(*label)
    assert (done.code, "Warning: before: privileged" in done.err) == (0, True), done
    told = kubectl.refused("run", "after", "--image=local/host")
    assert 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false' in told
    good = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    containers = [{"name": "good", "image": "local/host", "command": ["true"], "securityContext": good}]
    spec = json.dumps({"spec": {"restartPolicy": "Never", "containers": containers}})
    kubectl.ok("run", "good", "--image=local/host", "--restart=Never", f"--overrides={spec}")
    kubectl.ok("wait", "pod/good", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
    assert "strict" in kubectl.refused(*label[:-1], "pod-security.kubernetes.io/warn=strict")
    kubectl.ok("delete", "pod", "before", "good", "--grace-period=0", "--force")


def test_what_every_namespace_and_account_gets(kubectl: Kubectl, shared: Daemon) -> None:
    root = eventually(lambda: kubectl.ok("get", "configmap", "kube-root-ca.crt", "-o", r"jsonpath={.data.ca\.crt}"))
    kubectl.ok("delete", "configmap", "kube-root-ca.crt")
    eventually(lambda: kubectl("get", "configmap", "kube-root-ca.crt").code == 0)
    kubectl.ok("create", "serviceaccount", "robot")
    notes = {"kubernetes.io/service-account.name": "robot"}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "old", "annotations": notes}}
    kubectl.ok("apply", "-f", "-", input=json.dumps({**body, "type": "kubernetes.io/service-account-token"}))
    text = eventually(lambda: kubectl.ok("get", "secret", "old", "-o", "jsonpath={.data.token}"))
    secret = json.loads(kubectl.ok("get", "secret", "old", "-o", "json"))["data"]
    assert base64.b64decode(secret["ca.crt"]).decode() == root
    token = base64.b64decode(text).decode()
    bare = ("--server", shared.status()["https"][0], "--insecure-skip-tls-verify", "--token", token)
    who = f"system:serviceaccount:{kubectl.namespace}:robot"
    assert who in kubectl.ok(*bare, "auth", "whoami")
    kubectl.ok("delete", "serviceaccount", "robot")
    assert kubectl(*bare, "auth", "whoami").code != 0
    eventually(lambda: kubectl("get", "secret", "old").code != 0)


def certificate(name: str) -> tuple[bytes, bytes]:
    """(certificate, key) in PEM of a server that signs itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), secret


@pytest.mark.usefixtures("clean")
def test_a_webhook_in_a_pod(kubectl: Kubectl) -> None:
    """Called by its Service; its certificate is for NAME.NAMESPACE.svc."""
    name = kubectl.namespace
    pem, key = certificate(f"hook.{name}.svc")
    files = {"hook.py": HOOK, "tls.pem": (pem + key).decode()}
    container = {
        "name": "hook",
        "image": "local/host",
        "command": ["python3", "-u", "/hook/hook.py"],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        "volumeMounts": [{"name": "hook", "mountPath": "/hook"}],
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "hook", "secret": {"secretName": "hook"}}],
    }
    meta = {"name": "hook", "labels": {"app": "hook"}}
    items: list[dict[str, object]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}, "stringData": files},
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": "hook"}, "ports": [{"port": 443, "targetPort": 8443}]},
        },
    ]
    kubectl.ok("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    kubectl.ok("wait", "pod/hook", "--for=condition=Ready", "--timeout=60s")
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    service = {"namespace": name, "name": "hook", "path": "/check"}
    hook = {
        "name": "hook.example.org",
        "clientConfig": {"service": service, "caBundle": base64.b64encode(pem).decode()},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "matchConditions": [{"name": "named", "expression": "object.metadata.name != 'exempt'"}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    group = "admissionregistration.k8s.io/v1"
    body = {"apiVersion": group, "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name}}
    kubectl.ok("apply", "-f", "-", input=json.dumps({**body, "webhooks": [hook]}))
    told = kubectl.refused("create", "configmap", "bad")
    assert 'admission webhook "hook.example.org" denied the request: no bad of system:admin' in told
    done = kubectl("create", "configmap", "good")
    assert (done.code, "Warning: seen by a pod" in done.err) == (0, True), done
    kubectl.ok("delete", "pod", "hook", "--grace-period=0", "--force")
    assert 'failed calling webhook "hook.example.org"' in kubectl.refused("create", "configmap", "later")
    kubectl.ok("create", "configmap", "exempt")
