"""helm and kubectl over https, with the kubeconfig that `orch kubeconfig` prints, in a namespace of the test's own.

Skipped where there is no helm and none can be fetched (see e2e/kubectl/binary.py).
"""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import Result
from e2e.conftest import evidence, failed
from e2e.daemon import Daemon
from e2e.kubectl.binary import program

CHARTS = Path(__file__).parent / "charts"
SHOP = str(CHARTS / "shop")
PATIENCE = "--timeout=120s"


class Helm:
    """`helm` and `kubectl` as a pipeline calls them; both in one namespace."""

    def __init__(self, helm: str, kubectl: str, home: Path, namespace: str) -> None:
        self.namespace, self.home = namespace, home
        self._helm, self._kubectl = helm, kubectl
        self.env = {**os.environ, "HOME": str(home), "KUBECONFIG": str(home / "kubeconfig")}

    @property
    def generation(self) -> int:
        words = [self._helm, "version", "--template", "{{.Version}}"]
        return int(subprocess.run(words, capture_output=True, check=True).stdout.decode()[1])

    def _run(self, program: str, args: tuple[str, ...], input: str) -> Result:
        words = [program, "--namespace", self.namespace, *args]
        done = subprocess.run(
            words, input=input.encode(), env=self.env, cwd=self.home, capture_output=True, timeout=200
        )
        return Result(args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def __call__(self, *args: str) -> Result:
        return self._run(self._helm, args, "")

    def ok(self, *args: str) -> str:
        return self(*args).expect().out

    def json(self, *args: str) -> Any:
        return json.loads(self.ok(*args, "-o", "json"))

    def kubectl(self, *args: str, input: str = "") -> str:
        return self._run(self._kubectl, args, input).expect().out

    def found(self, *args: str) -> list[str]:
        """What `kubectl get ARGS` finds, as kind/name without the group."""
        lines = self.kubectl("get", "--ignore-not-found", "-o", "name", *args).split()
        return sorted(f"{line.split('/')[0].split('.')[0]}/{line.split('/')[1]}" for line in lines)

    def history(self, release: str) -> list[tuple[int, str]]:
        return [(each["revision"], each["status"]) for each in self.json("history", release)]


@pytest.fixture
def home(shared: Daemon, tmp_path: Path) -> Path:
    """A home directory with a kubeconfig."""
    (tmp_path / "kubeconfig").write_text(shared.orch("kubeconfig").expect().out)
    (tmp_path / "kubeconfig").chmod(0o600)
    return tmp_path


def made(generation: str, shared: Daemon, home: Path, request: pytest.FixtureRequest) -> Iterator[Helm]:
    binary, kubectl = program(generation), program("kubectl")
    if binary is None or kubectl is None:
        pytest.skip(f"no {generation} or no kubectl (set HELM and KUBECTL, or see e2e/kubectl/binary.py)")
    helm = Helm(binary, kubectl, home, f"h{uuid.uuid4().hex[:6]}")
    yield helm
    if failed(request):
        evidence(request, shared, helm.namespace)
    shared.remove_namespace(helm.namespace)


@pytest.fixture
def helm(shared: Daemon, home: Path, request: pytest.FixtureRequest) -> Iterator[Helm]:
    yield from made("helm", shared, home, request)


@pytest.fixture(params=["helm", "helm3"])
def any_helm(shared: Daemon, home: Path, request: pytest.FixtureRequest) -> Iterator[Helm]:
    """Once with helm 4, once with helm 3."""
    yield from made(request.param, shared, home, request)
