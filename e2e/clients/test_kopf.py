"""An operator written with kopf (operator_widgets.py), run on our API: handlers, finalizer, status, events, peering."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import eventually
from e2e.daemon import Daemon

pytest.importorskip("kopf", reason="no kopf (pip install kopf)")
pytest.importorskip("kubernetes", reason="no kubernetes (pip install kubernetes)")

ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
COLOURING = {
    "type": "object",
    "properties": {"spec": {"type": "object", "properties": {"colour": {"type": "string"}}}, "status": ANYTHING},
}
PEERING = {"type": "object", "properties": {"status": ANYTHING}}


def definition(
    group: str, kind: str, plural: str, schema: Any, scope: str = "Namespaced", **more: Any
) -> dict[str, Any]:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **more}
    names = {"kind": kind, "plural": plural, "singular": kind.lower()}
    spec = {"group": group, "scope": scope, "names": names, "versions": [version]}
    return {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}


@pytest.fixture(scope="module")
def kinds(shared: Daemon) -> None:
    for each in (
        definition("clients.example.com", "Colouring", "colourings", COLOURING, subresources={"status": {}}),
        definition("kopf.dev", "KopfPeering", "kopfpeerings", PEERING),
        definition("kopf.dev", "ClusterKopfPeering", "clusterkopfpeerings", PEERING, "Cluster"),
    ):
        status, answer = shared.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", each)
        assert status == 201, answer
    for path in ("/apis/clients.example.com/v1/colourings", "/apis/kopf.dev/v1/kopfpeerings"):
        eventually(lambda path=path: shared.request("GET", path)[0] == 200)


@pytest.fixture
def operator(shared: Daemon, kinds: None, config: Path, space: str, tmp_path: Path) -> Iterator[Path]:
    """Its log; it ends as a pod would, by SIGTERM."""
    peering = {"apiVersion": "kopf.dev/v1", "kind": "KopfPeering", "metadata": {"name": "colourings"}}
    assert shared.request("POST", f"/apis/kopf.dev/v1/namespaces/{space}/kopfpeerings", peering)[0] == 201
    script, log = Path(__file__).parent / "operator_widgets.py", tmp_path / "log"
    with log.open("wb") as out:
        words = [sys.executable, "-m", "kopf", "run", "--verbose", "-n", space, str(script)]
        env = {**os.environ, "KUBECONFIG": str(config)}
        process = subprocess.Popen(words, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()


def test_the_life_of_a_custom_resource(shared: Daemon, operator: Path, space: str) -> None:
    there = f"/apis/clients.example.com/v1/namespaces/{space}/colourings"

    def status(name: str = "sky") -> dict[str, Any]:
        found: dict[str, Any] = shared.get(f"{there}/{name}").get("status") or {}
        return found

    def config(name: str) -> Any:
        code, answer = shared.request("GET", f"/api/v1/namespaces/{space}/configmaps/{name}")
        return json.loads(answer) if code == 200 else None

    body = {"apiVersion": "clients.example.com/v1", "kind": "Colouring", "metadata": {"name": "sky"},
            "spec": {"colour": "blue"}}  # fmt: skip
    assert shared.request("POST", there, body)[0] == 201
    eventually(lambda: status().get("colour") == "blue" and status().get("known") == 1, within=60)
    sky = shared.get(f"{there}/sky")
    assert sky["metadata"]["finalizers"] == ["clients.example.com/finished"]
    assert sky["status"]["made"] == {"config": "sky"}
    assert config("sky")["metadata"]["ownerReferences"][0]["uid"] == sky["metadata"]["uid"]
    painted = [each for each in shared.items("events", space) if each["reason"] == "Painted"]
    assert painted[0]["message"] == "painted blue"
    (peer,) = shared.get(f"/apis/kopf.dev/v1/namespaces/{space}/kopfpeerings/colourings")["status"].values()
    assert peer["priority"] == 0

    assert shared.request("PUT", f"{there}/sky", {**sky, "spec": {"colour": "grey"}})[0] in (200, 409)
    patched = shared.get(f"{there}/sky")
    if patched["spec"]["colour"] != "grey":  # the operator's timer was between
        eventually(
            lambda: (
                shared.request("PUT", f"{there}/sky", {**shared.get(f"{there}/sky"), "spec": {"colour": "grey"}})[0]
                == 200
            )
        )
    eventually(lambda: status().get("colour") == "grey", within=60)
    assert config("sky")["data"] == {"colour": "grey"}

    assert shared.request("DELETE", f"{there}/sky")[0] == 200
    eventually(lambda: shared.request("GET", f"{there}/sky")[0] == 404)
    assert config("sky-was-here") is not None
    eventually(lambda: config("sky") is None)  # by its owner
    assert "Traceback" not in operator.read_text()
