"""kubectl on an instance's socket through a port of the loopback, in a namespace of the test's own.

Skipped where there is no kubectl (see binary.py).
"""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.checks import Result
from e2e.conftest import evidence, failed
from e2e.daemon import Daemon
from e2e.kubectl.binary import program
from e2e.kubectl.relay import relay


class Kubectl:
    def __init__(self, path: str, port: int, home: Path, namespace: str) -> None:
        self.namespace = namespace
        self.words = [path, "--server", f"http://127.0.0.1:{port}", "--namespace", namespace]
        self.home, self.env = home, {**os.environ, "HOME": str(home), "KUBECONFIG": "/dev/null"}

    def __call__(self, *args: str, input: str = "", env: dict[str, str] | None = None, timeout: float = 60) -> Result:
        done = subprocess.run(
            [*self.words, *args],
            input=input.encode(),
            env={**self.env, **(env or {})},
            capture_output=True,
            timeout=timeout,
            cwd=self.home,
        )
        return Result(args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def ok(self, *args: str, input: str = "", env: dict[str, str] | None = None) -> str:
        """What it prints; AssertionError unless it succeeds."""
        done = self(*args, input=input, env=env)
        assert done.code == 0, f"kubectl {' '.join(args)}: exit {done.code}\n{done.out}{done.err}"
        return done.out

    def refused(self, *args: str, input: str = "") -> str:
        """What it complains of; AssertionError when it succeeds."""
        done = self(*args, input=input)
        assert done.code != 0, f"kubectl {' '.join(args)}: succeeded\n{done.out}"
        return done.err

    def table(self, *args: str) -> list[dict[str, str]]:
        """The rows of `kubectl get ...`, each as heading -> cell; headings as kubectl places them."""
        head, *lines = self.ok("get", *args).splitlines()
        names = [name for name in head.split("  ") if name.strip()]
        starts = [head.index(name.strip()) for name in names]
        ends = [*starts[1:], None]
        return [
            {name.strip(): line[a:b].strip() for name, a, b in zip(names, starts, ends, strict=True)} for line in lines
        ]


@pytest.fixture(scope="module")
def port(shared: Daemon) -> Iterator[int]:
    with relay(f"{shared.run}/orch.sock") as number:
        yield number


@pytest.fixture
def binary() -> str:
    """The path of kubectl; without one the test is skipped."""
    path = program("kubectl")
    if path is None:
        pytest.skip("no kubectl (set KUBECTL, or see e2e/kubectl/binary.py)")
    return path


@pytest.fixture
def kubectl(
    shared: Daemon, port: int, binary: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Kubectl]:
    name = f"k{uuid.uuid4().hex[:6]}"
    made = Kubectl(binary, port, tmp_path, name)
    made.ok("create", "namespace", name)
    yield made
    if failed(request):
        evidence(request, shared, name)
    shared.remove_namespace(name)
