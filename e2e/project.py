"""One test's own project on a daemon: a directory with a Compose file, and the namespace of its name."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.checks import Result, eventually
from e2e.daemon import Daemon

PATIENCE = "30s"  # how long an apply of these tests may take unless the test says otherwise


class Project:
    def __init__(self, daemon: Daemon, folder: Path, name: str) -> None:
        self.daemon, self.folder, self.name = daemon, folder, name
        self.file = folder / "compose.yaml"

    def write(self, text: str, file: str = "compose.yaml") -> Path:
        """Writes a file of the project, indentation taken off; `NAME` stands for the project's name."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).replace("NAME", self.name).lstrip("\n"))
        return path

    def orch(self, *args: str, **options: Any) -> Result:
        """`orch ARGS` in the project's directory: its Compose file and namespace are found as a user's would be."""
        return self.daemon.orch(*args, **{"cwd": self.folder, **options})

    def apply(self, text: str, *args: str, code: int = 0) -> Result:
        """Writes compose.yaml and applies it; asserts the exit code."""
        self.write(text)
        return self.orch("apply", "--timeout", PATIENCE, *args).expect(code)

    def objects(self, text: str, *args: str, code: int = 0) -> Result:
        """Applies Kubernetes objects in the project's namespace, which is made when it is not there."""
        if not self.exists():
            self.daemon.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.name}})
        self.write(text, "objects.yaml")
        return self.orch("apply", "-f", "objects.yaml", "-n", self.name, "--timeout", PATIENCE, *args).expect(code)

    def exists(self) -> bool:
        return self.daemon.request("GET", f"/api/v1/namespaces/{self.name}")[0] == 200

    def pods(self, service: str = "") -> list[dict[str, Any]]:
        return self.daemon.pods(self.name, service)

    def pod(self, service: str = "") -> dict[str, Any]:
        """The only pod (of a service)."""
        found = self.pods(service)
        assert len(found) == 1, f"{len(found)} pods of {service or self.name}"  # AssertionError: eventually looks again
        return found[0]

    def pid(self, service: str = "", container: str = "") -> int:
        """The first process of the only pod (of a service), as this machine numbers it."""
        pod = self.pod(service)
        return self.daemon.pid(pod, container or pod["spec"]["containers"][0]["name"])

    def exec(self, service: str, *command: str, **options: Any) -> Result:
        return self.orch("exec", "-n", self.name, service, "--", *command, **options)

    def sh(self, service: str, script: str) -> str:
        """What a shell in a service's container prints; asserts that it exits 0."""
        return self.exec(service, "sh", "-c", script).expect().out

    def logs(self, *args: str) -> list[str]:
        return self.orch("logs", "-n", self.name, *args).expect().lines

    def logged(self, line: str, *args: str) -> list[str]:
        """All lines, once `line` is among them."""
        return eventually(lambda: found if line in (found := self.logs("--no-log-prefix", *args)) else None, what=line)

    def get(self, kind: str, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.orch("get", kind, name, "-n", self.name, "-o", "json").json()
        return found

    def clear(self) -> None:
        """Deletes the namespace with everything in it, at once, and waits until it and its processes are gone."""
        self.daemon.note_links()
        if not self.exists():
            return
        self.daemon.remove_namespace(self.name)
        eventually(lambda: not self.exists(), what=f"namespace {self.name} to go")
