"""One instance under test: the real CLI as a subprocess, HTTP over its socket, the processes behind it."""

import http.client
import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from e2e.checks import Result, cgroups_named, eventually, kill, leftovers, links_of, pids_in

ORCH = str(Path(sys.executable).parent / "orch")
PATHS = {
    "deployments": "apis/apps/v1", "replicasets": "apis/apps/v1", "jobs": "apis/batch/v1",
    "statefulsets": "apis/apps/v1", "daemonsets": "apis/apps/v1", "controllerrevisions": "apis/apps/v1",
    "cronjobs": "apis/batch/v1",
    "stacks": "apis/orchestr.dev/v1", "endpointslices": "apis/discovery.k8s.io/v1",
}  # fmt: skip


class Answer(http.client.HTTPConnection):
    """HTTP/1.1 over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Daemon:
    def __init__(self, name: str | None = None) -> None:
        self.name = name or f"e{uuid.uuid4().hex[:7]}"
        self.run, self.state, self.bridge = f"/run/orch-{self.name}", f"/var/lib/orch-{self.name}", f"orch-{self.name}"
        self.registries = Path(__file__).with_name("registries.yaml")
        self.links: set[str] = set()  # seen so far; none of them may outlive the instance

    # the command line

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("ORCH_", "COMPOSE_"))}
        return {**kept, "ORCH_INSTANCE": self.name, "ORCH_REGISTRIES": str(self.registries), **(more or {})}

    def orch(
        self,
        *args: str,
        input: str | bytes = b"",
        cwd: str | Path = "/",
        env: Mapping[str, str] | None = None,
        timeout: float = 90,
    ) -> Result:
        """Runs `orch ARGS` to its end."""
        data = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            [ORCH, *args], input=data, cwd=cwd, env=self.env(env), capture_output=True, timeout=timeout
        )
        return Result(args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def popen(self, *args: str, cwd: str | Path = "/", **options: Any) -> "subprocess.Popen[bytes]":
        """Runs `orch ARGS` beside the test, which ends it (use as a context manager, and kill() inside)."""
        return subprocess.Popen([ORCH, *args], cwd=cwd, env=self.env(), **options)

    # HTTP

    def request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """(status, body) of one request over the instance's socket."""
        connection = Answer(f"{self.run}/orch.sock")
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"content-type": content_type} if data else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON at a path; AssertionError unless 200."""
        status, body = self.request("GET", path)
        assert status == 200, f"GET {path}: {status} {body[:300]!r}"
        return json.loads(body)

    def items(self, plural: str, namespace: str = "") -> list[dict[str, Any]]:
        where = f"namespaces/{namespace}/" if namespace else ""
        items: list[dict[str, Any]] = self.get(f"/{PATHS.get(plural, 'api/v1')}/{where}{plural}")["items"]
        return items

    def names(self, plural: str, namespace: str = "") -> list[str]:
        """Without the ConfigMap that every namespace has."""
        names = (item["metadata"]["name"] for item in self.items(plural, namespace))
        return sorted(name for name in names if (plural, name) != ("configmaps", "kube-root-ca.crt"))

    def pods(self, namespace: str, service: str = "") -> list[dict[str, Any]]:
        """Pods that are not being deleted, of one Compose service or app label if given, oldest first."""
        found = [pod for pod in self.items("pods", namespace) if "deletionTimestamp" not in pod["metadata"]]
        if service:
            labels = [(pod["metadata"].get("labels") or {}, pod) for pod in found]
            found = [pod for label, pod in labels if service in (label.get("orchestr.dev/service"), label.get("app"))]
        return sorted(found, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def remove_namespace(self, name: str) -> None:
        """With all that is in it, at once. The namespace first: then nobody makes a pod in the place of another."""
        self.request("DELETE", f"/api/v1/namespaces/{name}")
        self.request("DELETE", f"/api/v1/namespaces/{name}/pods", {"gracePeriodSeconds": 0})

    # processes

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.get("/orchestr.dev/v1/system")
        return answer

    @property
    def daemon_pid(self) -> int:
        return int(self.status()["pid"])

    @property
    def supervisor_pid(self) -> int:
        return int(self.status()["supervisorPid"])

    @property
    def resolver_pid(self) -> int:
        return int(self.status()["resolverPid"])

    def cgroup(self, pod: Mapping[str, Any], container: str = "", controller: str = "pids") -> str:
        """The cgroup directory of a pod, or of one of its containers (the youngest run of it)."""
        inside = [path for path in cgroups_named(f"/orch-{self.name}/", controller) if pod["metadata"]["uid"] in path]
        assert inside, f"no cgroup of pod {pod['metadata']['name']}"
        if not container:
            return min(inside, key=len)
        named = [path for path in inside if _is_of(os.path.basename(path), pod, container)]
        assert named, f"no cgroup of container {container} among {inside}"
        return max(named, key=_made)

    def pids(self, pod: Mapping[str, Any], container: str = "") -> "Sequence[int]":
        """Processes of a pod or container as this machine numbers them; the container's first one first."""
        return pids_in(self.cgroup(pod, container))

    def pid(self, pod: Mapping[str, Any], container: str = "") -> int:
        """The first process of a container; waits for it."""
        return eventually(lambda: self.pids(pod, container), what=f"a process in {pod['metadata']['name']}")[0]

    def kill_daemon(self) -> int:
        pid = self.daemon_pid
        kill(pid)
        return pid

    # life

    def start(self) -> None:
        self.orch("system", "start").expect()

    def note_links(self) -> None:
        self.links |= set(links_of(self.bridge))

    def finish(self) -> None:
        """Ends everything; AssertionError with what is left of the instance."""
        self.note_links()
        self.orch("system", "stop", "--all", "--purge").expect()
        self.nothing_left()

    def nothing_left(self) -> None:
        eventually(lambda: not self._left(), within=10, what=f"{self.name} to leave nothing")

    def _left(self) -> bool:
        left = leftovers(self.name, self.links)
        assert not left, f"left of {self.name}:\n" + "\n".join(left)
        return False

    def evidence(self, folder: Path, namespace: str = "") -> None:
        """After a failure: status, objects, events, logs and the daemon's own log into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        where = ("-n", namespace) if namespace else ()
        looks: dict[str, tuple[str, ...]] = {
            "system.json": ("system", "status", "-o", "json"),
            "status.txt": ("status", "-A"),
            "objects.yaml": ("get", "all", "-A", "-o", "yaml"),
            "events.txt": ("events", "-A"),
            "logs.txt": ("logs", *where),
        }
        for file, words in looks.items():
            done = self.orch(*words)
            (folder / file).write_text(done.out + done.err)
        for log in (f"{self.state}/daemon.log", f"{self.run}/supervisor.log", f"{self.run}/resolver.log"):
            if os.path.exists(log):
                (folder / os.path.basename(log)).write_bytes(Path(log).read_bytes())


def _made(path: str) -> float:
    """When a directory was made; 0 when it is gone already."""
    try:
        return os.path.getctime(path)
    except FileNotFoundError:
        return 0.0


def _is_of(directory: str, pod: Mapping[str, Any], container: str) -> bool:
    return directory.removeprefix(f"{pod['metadata']['uid']}.").split(".")[0] == container
