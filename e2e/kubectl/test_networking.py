"""kubectl on ingresses and network policies: create, get, describe."""

from e2e.checks import eventually
from e2e.kubectl.conftest import Kubectl


def test_an_ingress(kubectl: Kubectl) -> None:
    done = kubectl(
        *("create", "ingress", "shop", "--class=public", "--rule=shop.example.org/cart*=cart:8080,tls=cert"),
        "--default-backend=web:80",
    )
    assert (done.code, done.out) == (0, "ingress.networking.k8s.io/shop created\n")
    assert "no controller routes ingress shop: no IngressClass public names a controller" in done.err
    (row,) = kubectl.table("ingress")
    assert (row["NAME"], row["CLASS"], row["HOSTS"], row["PORTS"]) == ("shop", "public", "shop.example.org", "80, 443")
    text = kubectl.ok("describe", "ing", "shop")
    assert "cert terminates shop.example.org" in text
    assert "/cart" in text
    assert "default/backend" not in text


PODS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: local/host
    command: [python3, -u, -m, http.server, "8000"]
    ports: [{name: http, containerPort: 8000}]
    readinessProbe: {httpGet: {port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: local/host, command: [sleep, infinity]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
"""
ALLOW = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}], ports: [{port: http}]}]
"""
ASK = "import urllib.request as r; print(r.urlopen('http://%s', timeout=1).status)"


def test_policies_hold_for_pods_from_their_start_and_follow_labels(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", input=PODS)
    kubectl.ok("wait", "--for=condition=Ready", "pod/web", "pod/client", "--timeout=60s")  # the probe came through
    address = kubectl.ok("get", "pod", "web", "-o", "jsonpath={.status.podIP}")

    def answers(where: str) -> bool:
        return kubectl("exec", "client", "--", "python3", "-c", ASK % where).code == 0

    assert not answers(f"{address}:8000")
    assert kubectl.ok("apply", "-f", "-", input=ALLOW) == "networkpolicy.networking.k8s.io/allow created\n"
    kubectl.ok("label", "pod", "client", "role=friend")
    eventually(lambda: answers("web"), what="the friend to reach the service")
    eventually(lambda: answers(f"{address}:8000"))
    kubectl.ok("label", "pod", "client", "role-")
    eventually(lambda: not answers("web"), what="the client to be refused again")
    rows = {row["NAME"]: row["POD-SELECTOR"] for row in kubectl.table("netpol")}
    assert rows == {"allow": "app=web", "deny": "<none>"}
    text = kubectl.ok("describe", "netpol", "allow")
    assert "To Port: http/TCP" in text
    assert "PodSelector: role=friend" in text
    assert "Allowing the specific traffic to all pods in this namespace" in kubectl.ok("describe", "netpol", "deny")
    kubectl.ok("delete", "netpol", "--all")
    eventually(lambda: answers("web"), what="everybody to reach the service")
