"""Docker and Podman with orch-oci as their runtime, where ORCH_PEERS leads: a command that runs another one there.

    ORCH_PEERS='nsenter -m -n -t PID --' .venv/bin/pytest e2e/callers

The place needs Docker with a running dockerd, Podman, and Python 3.11 or newer; it may be a tree of its own. The
runtime is copied to it. ORCH_OCI=PATH takes another runtime of that place: what the tests prove is what engines expect.
"""

import io
import json
import os
import shlex
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import orchestr

PREFIX = shlex.split(os.environ.get("ORCH_PEERS", ""))
PACKAGE = Path(orchestr.__file__).parent
IMAGE = "localhost/orch-busybox:1"  # made by the fixtures when it is not there
LAUNCHER = """#!/usr/bin/python3 -IS
import sys
sys.path.insert(0, {where!r})
from orchestr.runtime.oci import main
main()
"""


class Done(NamedTuple):
    code: int
    out: str
    err: str


def there(*words: str, input: bytes | None = None, timeout: float = 60) -> Done:
    """Runs a command where the engines are."""
    stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    words = ("env", "PODMAN_IGNORE_CGROUPSV1_WARNING=1", *words)
    done = subprocess.run([*PREFIX, *words], capture_output=True, timeout=timeout, **stdin)  # type: ignore[call-overload]
    return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def install() -> str:
    """Copies the runtime there; the path of its command."""
    if other := os.environ.get("ORCH_OCI"):
        return other
    where = f"/opt/orch-e2e-{uuid.uuid4().hex[:8]}"
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add(PACKAGE, f"{where}/orchestr", filter=lambda entry: None if "__pycache__" in entry.name else entry)
        text = LAUNCHER.format(where=where).encode()
        entry = tarfile.TarInfo(f"{where}/orch-oci")
        entry.size, entry.mode = len(text), 0o755
        tar.addfile(entry, io.BytesIO(text))
    done = there("tar", "-x", "-C", "/", input=content.getvalue())
    assert done.code == 0, done.err
    return f"{where}/orch-oci"


def remove(command: str) -> None:
    if "ORCH_OCI" not in os.environ:
        there("rm", "-rf", str(Path(command).parent))


class Engine:
    """One engine; containers get the runtime, and a name that `close` removes them by."""

    def __init__(self, program: str, runtime: str) -> None:
        self.program, self.runtime = program, runtime
        self.mark = f"orch-e2e-{uuid.uuid4().hex[:8]}"
        self._count = 0

    @property
    def docker(self) -> bool:
        return self.program == "docker"

    def call(self, *args: str, code: int | None = 0, timeout: float = 60) -> Done:
        """`docker ARGS`; asserts the exit code unless it is None."""
        front = ["docker"] if self.docker else ["podman", "--runtime", self.runtime]
        done = there(*front, *args, timeout=timeout)
        assert code is None or done.code == code, (
            f"{self.program} {' '.join(args)}: exit {done.code}, not {code}\n{done}"
        )
        return done

    def name(self) -> str:
        self._count += 1
        return f"{self.mark}-{self._count}"

    def _run(self, options: Sequence[str], command: Sequence[str], code: int | None) -> Done:
        runtime = ["--runtime", "orch-e2e"] if self.docker else []
        return self.call("run", *runtime, "--label", self.mark, *options, IMAGE, *command, code=code)

    def run(self, *command: str, options: Sequence[str] = (), code: int | None = 0) -> Done:
        """To its end, in the foreground, without a network unless told."""
        network = [] if any(word.startswith("--net") for word in options) else ["--network", "none"]
        return self._run(["--rm", *network, *options], command, code)

    def start(self, *command: str, options: Sequence[str] = ()) -> str:
        """In the background; the container's name."""
        name = self.name()
        network = [] if any(word.startswith("--net") for word in options) else ["--network", "none"]
        self._run(["-d", "--name", name, *network, *options], command or ("sleep", "1000"), 0)
        return name

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call("inspect", "--type", "container", name).out)[0]
        return found

    def exec(self, name: str, *command: str, options: Sequence[str] = (), code: int | None = 0) -> Done:
        return self.call("exec", *options, name, *command, code=code)

    def close(self) -> None:
        found = self.call("ps", "-aq", "--filter", f"label={self.mark}").out.split()
        if found:
            self.call("rm", "-f", *(["-t", "0"] if not self.docker else []), *found)


@contextmanager
def docker_runtime(command: str) -> Iterator[None]:
    """Makes dockerd know the runtime as `orch-e2e`, as long as the block lasts."""
    file = "/etc/docker/daemon.json"
    before = there("cat", file)
    config = json.loads(before.out) if before.code == 0 and before.out.strip() else {}
    runtimes = {**config.get("runtimes", {}), "orch-e2e": {"path": command}}
    there("mkdir", "-p", "/etc/docker")
    _write(file, json.dumps({**config, "runtimes": runtimes}))
    try:
        _reload(present=True)
        yield
    finally:
        _write(file, json.dumps({**config, "runtimes": config.get("runtimes", {})}))  # a missing key changes nothing
        _reload(present=False)
        if before.code == 0:
            _write(file, before.out)
        else:
            there("rm", "-f", file)


def _write(path: str, text: str) -> None:
    assert there("tee", path, input=text.encode()).code == 0


def _reload(*, present: bool) -> None:
    pid = there("cat", "/var/run/docker.pid").out.strip()
    assert there("kill", "-HUP", pid).code == 0
    end = time.monotonic() + 10
    while ("orch-e2e" in there("docker", "info", "--format", "{{json .Runtimes}}").out) is not present:
        assert time.monotonic() < end, "dockerd did not take the runtime"
        time.sleep(0.1)
