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


ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NS}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
- {apiGroups: [""], resources: [configmaps], resourceNames: [one], verbs: [get, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: jane}
"""


def test_roles_are_made_and_reconciled(admin: KC, kubeconfig: Callable[..., KC], space: str) -> None:
    """auth reconcile adds what is missing, and takes away only when told to."""
    mine, role = ("-n", space), ROLE.replace("NS", space)  # kubectl does not fill the namespace in here
    made = admin(*mine, "auth", "reconcile", "-f", "-", input=role).expect().out
    assert "role.rbac.authorization.k8s.io/reader reconciled" in made
    assert "rolebinding.rbac.authorization.k8s.io/reader reconciled" in made
    other = role.replace("resources: [pods], verbs: [get]", "resources: [pods], verbs: [list]").replace("jane", "joe")
    admin(*mine, "auth", "reconcile", "-f", "-", input=other).expect()
    jane = kubeconfig("--user", "jane", *mine)
    listed = jane("auth", "can-i", "--list").expect().out
    assert any(line.split()[0] == "pods" and "get" in line and "list" in line for line in listed.splitlines()), listed
    assert any("configmaps" in line and "[one]" in line for line in listed.splitlines()), listed
    assert "selfsubjectreviews" in listed
    for question, answer in (
        (("get", "pods"), "yes"),
        (("update", "configmaps/one"), "yes"),
        (("update", "configmaps/two"), "no"),
        (("get", "pods", "--subresource=log"), "no"),
        (("get", "/version"), "yes"),
        (("get", "/metrics"), "no"),
    ):
        assert jane("auth", "can-i", *question).out.strip().splitlines()[-1] == answer, question
    remove = ("--remove-extra-permissions", "--remove-extra-subjects")
    admin(*mine, "auth", "reconcile", "-f", "-", *remove, input=role.replace("jane", "joe")).expect()
    assert jane("auth", "can-i", "get", "pods").out.strip() == "no"


def test_everything_kubectl_creates_for_rights(admin: KC, space: str) -> None:
    mine, rbac = ("-n", space), "rbac.authorization.k8s.io"
    try:
        for words, told in (
            (("role", "r", "--verb=get,list", "--resource=pods,pods/log,deployments.apps"), f"role.{rbac}/r"),
            (("role", "named", "--verb=get", "--resource=secrets", "--resource-name=s"), f"role.{rbac}/named"),
            (("rolebinding", "b", "--role=r", "--serviceaccount=" + space + ":default", "--user=u"), "rolebinding"),
            (("clusterrole", f"{space}-c", "--verb=get", "--resource=nodes"), f"clusterrole.{rbac}"),
            (("clusterrole", f"{space}-u", "--verb=get", "--non-resource-url=/logs/*"), f"clusterrole.{rbac}"),
            (("clusterrole", f"{space}-a", f"--aggregation-rule={space}/to=a"), f"clusterrole.{rbac}"),
            (
                ("clusterrolebinding", f"{space}-b", f"--clusterrole={space}-c", "--group=g"),
                f"clusterrolebinding.{rbac}",
            ),
            (("serviceaccount", "robot"), "serviceaccount/robot"),
        ):
            assert told in admin(*mine, "create", *words).expect().out, words
        admin(*mine, "set", "subject", "rolebinding", "b", "--group=more").expect()
        assert "more" in admin(*mine, "get", "rolebinding", "b", "-o", "jsonpath={.subjects[*].name}").expect().out
        assert admin("auth", "can-i", "get", "nodes", "--as=x", "--as-group=g").out.strip() == "yes"
        admin("label", "clusterrole", f"{space}-c", f"{space}/to=a").expect()
        rules = ("get", "clusterrole", f"{space}-a", "-o", "jsonpath={.rules[*].resources[*]}")
        eventually(lambda: "nodes" in admin(*rules).out)
        described = admin(*mine, "describe", "role", "r").expect().out
        assert "deployments.apps" in described
        token = admin(*mine, "create", "token", "robot", "--audience=vault", "-o", "json").expect().out
        assert '"vault"' in token
        admin(*mine, "create", "configmap", "c").expect()
        bad = admin(*mine, "create", "token", "robot", "--bound-object-kind=Pod", "--bound-object-name=none")
        assert 'pods "none" not found' in bad.err
        assert "10 minutes" in admin(*mine, "create", "token", "robot", "--duration=1m").err
    finally:
        admin("delete", "clusterrole", f"{space}-c", f"{space}-u", f"{space}-a", "--ignore-not-found").expect()
        admin("delete", "clusterrolebinding", f"{space}-b", "--ignore-not-found").expect()


def test_certificates_are_taken_back(kubeconfig: Callable[..., KC], shared: Daemon) -> None:
    jane, short = kubeconfig("--user", "jane"), kubeconfig("--user", "joe", "--expires", "10m")
    assert "jane" in jane("auth", "whoami").expect().out
    assert "certificates of jane" in shared.orch("kubeconfig", "--user", "jane", "--revoke").expect().out
    done = jane("auth", "whoami")
    assert done.code != 0
    assert "Unauthorized" in done.err or "logged in" in done.err
    assert "joe" in short("auth", "whoami").expect().out
    assert "jane" in kubeconfig("--user", "jane")("auth", "whoami").expect().out
    assert shared.orch("kubeconfig", "--revoke", "--group", "dev").code == 2
