"""kubectl with the printed kubeconfig: who one is, what one may, tokens, and the API seen from inside of a pod."""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.checks import Result, eventually
from e2e.daemon import Daemon

KC = Callable[..., Result]
PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
INSIDE = f"""
apiVersion: v1
kind: Pod
metadata: {{name: inside}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: local/host
    command: [sh, -c, 'cd {PLACE} && curl -sS --fail-with-body --cacert ca.crt -H "Authorization: Bearer $(cat token)"
      "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$(cat namespace)/pods?limit=1"
      "https://kubernetes.default.svc/version"']
"""


@pytest.fixture
def kubeconfig(shared: Daemon, binary: str, tmp_path: Path) -> Callable[..., KC]:
    """Makes a kubeconfig with the options of `orch kubeconfig`; calls kubectl with it."""

    def make(*options: str) -> KC:
        file = tmp_path / uuid.uuid4().hex
        file.write_text(shared.orch("kubeconfig", *options).expect().out)
        env = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(file)}

        def call(*args: str, input: str = "") -> Result:
            done = subprocess.run([binary, *args], input=input.encode(), env=env, capture_output=True, timeout=60)
            return Result(args, done.returncode, done.stdout.decode(), done.stderr.decode())

        return call

    return make


@pytest.fixture
def admin(kubeconfig: Callable[..., KC]) -> KC:
    return kubeconfig()


@pytest.fixture
def space(admin: KC) -> Iterator[str]:
    name = f"a{uuid.uuid4().hex[:6]}"
    admin("create", "namespace", name).expect()
    yield name
    admin("delete", "namespace", name, "--grace-period=0").expect()


def test_the_administrator(admin: KC) -> None:
    assert "system:masters" in admin("auth", "whoami").expect().out
    assert admin("auth", "can-i", "*", "*", "--all-namespaces").expect().out.strip() == "yes"
    assert "Server Version" in admin("version").expect().out


def test_a_user_has_what_a_binding_grants(kubeconfig: Callable[..., KC], admin: KC, space: str) -> None:
    jane = kubeconfig("--user", "jane", "--group", "dev", "-n", space)
    told = jane("get", "pods").err
    assert f'User "jane" cannot list resource "pods" in API group "" in the namespace "{space}"' in told
    admin("-n", space, "create", "rolebinding", "devs", "--clusterrole=view", "--group=dev").expect()
    assert "No resources found" in jane("get", "pods").expect().err
    assert "Forbidden" in jane("get", "secrets").err
    assert jane("auth", "can-i", "delete", "pods").out.strip() == "no"
    assert "pods/log" in jane("auth", "can-i", "--list").expect().out
    assert "jane" in jane("auth", "whoami").expect().out
    assert admin("-n", space, "auth", "can-i", "get", "pods", "--as=joe", "--as-group=dev").out.strip() == "yes"
    assert "cannot impersonate" in jane("get", "pods", "--as=root").err
    granted = jane("create", "rolebinding", "mine", "--clusterrole=cluster-admin", "--user=jane")
    assert "is forbidden" in granted.err


def test_nobody_grants_more_than_they_hold(kubeconfig: Callable[..., KC], admin: KC, space: str) -> None:
    admin("-n", space, "create", "rolebinding", "joe", "--clusterrole=admin", "--user=joe").expect()
    joe = kubeconfig("--user", "joe", "-n", space)
    joe("create", "role", "mine", "--verb=get", "--resource=pods,secrets").expect()
    told = joe("create", "role", "more", "--verb=get", "--resource=nodes").err
    assert "is attempting to grant RBAC permissions not currently held" in told


def test_a_token_of_an_account(admin: KC, space: str, shared: Daemon) -> None:
    admin("-n", space, "create", "serviceaccount", "robot").expect()
    token = admin("-n", space, "create", "token", "robot", "--duration=10m").expect().out.strip()
    server = shared.status()["https"][0]
    bare = ("--kubeconfig=/dev/null", "--server", server, "--insecure-skip-tls-verify")
    assert f"system:serviceaccount:{space}:robot" in admin(*bare, "--token", token, "auth", "whoami").expect().out
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    for bad in (forged, "nonsense"):
        done = admin(*bare, "--token", bad, "get", "pods")
        assert done.code != 0
        assert "Unauthorized" in done.err or "logged in" in done.err
    admin("-n", space, "delete", "serviceaccount", "robot").expect()
    assert admin(*bare, "--token", token, "auth", "whoami").code != 0


def test_the_api_from_inside_of_a_pod(admin: KC, space: str) -> None:
    eventually(lambda: admin("-n", space, "get", "serviceaccount", "default").code == 0, within=10)
    admin("-n", space, "create", "rolebinding", "v", "--clusterrole=view", f"--serviceaccount={space}:default").expect()
    admin("-n", space, "apply", "-f", "-", input=INSIDE).expect()
    admin("-n", space, "wait", "pod/inside", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=40s").expect()
    printed = admin("-n", space, "logs", "inside").expect().out
    assert '"kind":"PodList"' in printed
    assert '"gitVersion"' in printed
    assert "kubernetes" in admin("-n", "default", "get", "service,endpointslices").expect().out


def test_the_command_line_by_a_kubeconfig(shared: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(shared.orch("kubeconfig", "-n", "kube-system").expect().out)
    done = shared.orch("--kubeconfig", str(file), "get", "serviceaccounts").expect()
    assert "default" in done.out
    bad = shared.orch("--kubeconfig", str(tmp_path / "none"), "get", "pods")
    assert (bad.code, "cannot read" in bad.err) == (2, True)
