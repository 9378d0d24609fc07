"""`orch --kubeconfig FILE` on a Kubernetes API server that has none of our own paths."""

import json
import re
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import Result, eventually
from e2e.clients.conftest import Written
from e2e.clients.foreign import Foreign
from e2e.daemon import Daemon

WEB = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: local/host
        command: [sh, -c, "echo hello from there; exec python3 -u -m http.server 8000"]
"""
STANDING = """
apiVersion: clients.example.com/v1
kind: Gadget
metadata: {name: g, namespace: NAME}
spec: {colour: COLOUR}
---
apiVersion: v1
kind: Namespace
metadata: {name: NAME}
---
"""
WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.clients.example.com}
spec:
  group: clients.example.com
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {colour: {type: string, enum: [red, green]}}}}
"""


class There:
    """`orch` with a kubeconfig of the other server."""

    def __init__(self, daemon: Daemon, file: Path) -> None:
        self.daemon, self.words = daemon, ("--kubeconfig", str(file))

    def __call__(self, *words: str, **options: Any) -> Result:
        return self.daemon.orch(*self.words, *words, **options)

    def popen(self, *words: str, **options: Any) -> "subprocess.Popen[bytes]":
        return self.daemon.popen(*self.words, *words, **options)


@pytest.fixture
def there(shared: Daemon, written: Written, token: str, space: str) -> There:
    return There(shared, written({"token": token}, namespace=space))


def asked(port: int) -> int:
    """The code of an answer at a port of the loopback; AssertionError where there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            return int(answer.status)
    except OSError as error:
        raise AssertionError(str(error)) from error


def test_a_life_on_plain_paths(there: There, shared: Daemon, space: str) -> None:
    """apply, again, get, status, logs, exec, describe, events, wait, scale, restart, delete."""
    told = there("apply", "-f", "-", input=WEB).expect()
    assert told.lines == ["service/web created", "deployment/web created"]
    assert there("apply", "-f", "-", input=WEB).expect().lines == ["service/web unchanged", "deployment/web unchanged"]
    changed = WEB.replace("port: 80,", "port: 81,")
    assert there("apply", "-f", "-", "-d", input=changed).expect().lines[0] == "service/web configured"
    assert "+  - port: 80" in there("diff", "-f", "-", input=WEB).expect(1).out
    (field,) = [each for each in shared.items("services", space) if each["metadata"]["name"] == "web"]
    assert field["spec"]["ports"][0]["port"] == 81
    assert [each["manager"] for each in field["metadata"]["managedFields"] if each["operation"] == "Apply"] == ["orch"]

    assert "deployment/web" in there("status", "-n", space).expect().out
    assert {"Deployment", "Pod", "Service"} <= {
        each["kind"] for each in there("get", "all", "-o", "json").json()["items"]
    }
    assert "hello from there" in there("logs", "web").expect().out
    assert there("exec", "-i", "web", "--", "sh", "-c", "cat; exit 3", input="through").expect(3).out == "through"
    assert "Why: all is well" in there("describe", "deploy", "web").expect().out
    assert "ScalingReplicaSet" in there("events").expect().out
    with there.popen("port-forward", "web", ":8000", stdout=subprocess.PIPE) as forwarding:
        try:
            assert forwarding.stdout is not None
            found = re.search(rb"127.0.0.1:(\d+)", forwarding.stdout.readline())
            assert found
            eventually(lambda: asked(int(found[1])) == 200)
        finally:
            forwarding.kill()
    there("scale", "web=2").expect()
    there("wait", "deployment/web", "--for", "condition=Available").expect()
    assert len(shared.pods(space, "web")) == 2
    there("restart", "web").expect()
    there("delete", "-f", "-", input=WEB).expect()
    assert shared.pods(space) == []


def test_bad_input_changes_nothing(there: There, shared: Daemon, space: str) -> None:
    """All objects are tried before the first is changed; every problem is told, at its place."""
    bad = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first}\n---\n" + WEB.replace(
        "8000", "nowhere-at-all-it-is"
    )
    done = there("apply", "-f", "-", input=bad).expect(2)
    assert "targetPort" in done.err
    assert "first" not in shared.names("configmaps", space)

    quota = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: first, namespace: not-there}\n---\n" + WEB
    done = there("apply", "-f", "-", input=quota).expect(1)
    assert "not-there" in done.err
    assert shared.names("services", space) == []
    done = there("apply", "--prune", "-f", "-", input=WEB).expect(1)
    assert "not supported" in done.err


def test_what_stands_on_the_same_list(there: There, shared: Daemon, space: str) -> None:
    """A namespace and a definition come first; with something wrong in them they go again."""
    name = f"{space}-new"
    whole = STANDING.replace("NAME", name) + WIDGETS
    done = there("apply", "-f", "-", input=whole.replace("COLOUR", "blue")).expect(2)
    assert "spec.colour" in done.err
    eventually(lambda: name not in shared.names("namespaces"))
    assert shared.request("GET", "/apis/clients.example.com/v1/gadgets")[0] == 404

    tried = there("apply", "--dry-run=server", "-f", "-", input=whole.replace("COLOUR", "red")).expect()
    assert len(tried.lines) == 3
    assert name not in shared.names("namespaces")
    there("apply", "-f", "-", input=whole.replace("COLOUR", "red")).expect()
    assert there("get", "gadgets", "-n", name, "-o", "name").expect().lines == ["gadget.clients.example.com/g"]
    there("delete", "-f", "-", input=whole.replace("COLOUR", "red")).expect()


def test_a_compose_file_is_refused(there: There) -> None:
    done = there("apply", "-f", "-", "-p", "shop", input="services: {web: {image: local/host}}").expect(1)
    assert "no kind Stack" in done.err


def test_users_of_every_sort(shared: Daemon, written: Written, token: str, space: str, tmp_path: Path) -> None:
    """By a token's file, by a program, without trust in the certificate, acting as another."""
    (tmp_path / "token").write_text(token)
    program = tmp_path / "credentials"
    program.write_text(f"""#!{sys.executable}
import json, os
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
if not os.path.exists(os.environ["WHERE"]):
    raise SystemExit(1)
assert info["spec"]["cluster"]["server"].startswith("https://"), info
with open({str(tmp_path / "runs")!r}, "a") as file:
    file.write("run\\n")
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential",
    "status": {{"token": open(os.environ["WHERE"]).read(), "expirationTimestamp": "2999-01-01T00:00:00Z"}}}}))
""")
    program.chmod(0o755)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./credentials", "provideClusterInfo": True,
              "interactiveMode": "Never", "env": [{"name": "WHERE", "value": str(tmp_path / "token")}]}  # fmt: skip
    words = ("get", "ns", space, "-o", "name")
    for user, cluster in (
        ({"tokenFile": "token"}, None),
        ({"exec": plugin}, None),
        ({"token": token}, {"insecure-skip-tls-verify": True}),
    ):
        done = shared.orch("--kubeconfig", str(written(user, cluster)), *words).expect()
        assert done.lines == [f"namespace/{space}"]
    assert (tmp_path / "runs").read_text() == "run\n"

    nobody = written({"token": token, "as": "nobody-of-note"})
    assert "nobody-of-note" in shared.orch("--kubeconfig", str(nobody), *words).expect(1).err
    failing = written({"exec": {**plugin, "env": [{"name": "WHERE", "value": "/none"}]}})
    assert "credentials ended with exit code 1" in shared.orch("--kubeconfig", str(failing), *words).expect(1).err
    distrust = written({"token": token}, {})
    assert "certificate" in shared.orch("--kubeconfig", str(distrust), *words).expect(5).err
    wrong = written({"token": "wrong"})
    assert "nauthorized" in shared.orch("--kubeconfig", str(wrong), *words).expect(1).err


def test_contexts_of_several_files(
    shared: Daemon, config: Path, written: Written, token: str, space: str, elsewhere: Foreign
) -> None:
    """--context looks where kubectl looks; $KUBECONFIG alone leads nowhere, for orch has a daemon of its own."""
    file = written({"token": token}, namespace=space)
    shared.request("POST", f"/api/v1/namespaces/{space}/configmaps", {"metadata": {"name": "here"}})
    several = {"KUBECONFIG": f"/none/there:{config}:{file}"}
    done = shared.orch("--context", "there", "get", "configmaps", "-o", "json", env=several)
    assert "here" in [each["metadata"]["name"] for each in done.json()["items"]]
    assert "no context called 'x'" in shared.orch("--context", "x", "get", "pods", env=several).expect(2).err
    shared.orch("get", "ns", space, env={"KUBECONFIG": "/none"}).expect()
    dead = file.with_name("dead.yaml")
    dead.write_text(file.read_text().replace(elsewhere.server, "https://127.0.0.1:1"))
    assert (
        "cannot reach the server" in shared.orch("--kubeconfig", str(dead), "apply", "-f", "-", input=WEB).expect(5).err
    )


def test_following_over_it(there: There, shared: Daemon, space: str, written: Written, token: str) -> None:
    """`logs -f` and `wait` are told of changes by the same paths."""
    there("apply", "-d", "-f", "-", input=WEB).expect()
    done: list[Result] = []
    waiting = threading.Thread(target=lambda: done.append(there("wait", "pods", "-l", "app=web", "--for", "deleted")))
    there("wait", "deployment/web").expect()
    waiting.start()
    there("delete", "deployment", "web").expect()
    waiting.join()
    assert done[0].code == 0, done[0].err
    assert json.loads(there("get", "pods", "-o", "json").expect().out)["items"] == []
