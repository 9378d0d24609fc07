"""What the scenarios run in the machine, and how they look at it: by the command line alone."""

import json
from typing import Any

from e2e.checks import Result, eventually
from e2e.vm.machine import Machine

# `web` tells at each start whether `db` answers, so a start out of order shows in its log. Health checks get time:
# under emulation a Python needs a second to start, and much more when the host is busy.
ORDERED = """
name: ordered
services:
  db:
    image: local/host
    command: [python3, -Su, -m, http.server, "8000"]
    init: true
    restart: always
    stop_grace_period: 20s
    healthcheck:
      test: [CMD, python3, -SEc, "import socket; socket.create_connection(('127.0.0.1', 8000))"]
      interval: 2s
      timeout: 60s
      start_period: 120s
    ports: ["8090:8000"]
    cpus: 0.5
    mem_limit: 64m
    pids_limit: 40
  web:
    image: local/host
    command: [sh, -c, "python3 -SEc \\"import socket; socket.create_connection(('db', 8000)); print('db answered', flush=True)\\"; exec sleep infinity"]
    restart: always
    stop_grace_period: 3s
    depends_on: {db: {condition: service_healthy}}
"""  # noqa: E501


class Orch:
    """`orch` in the machine."""

    def __init__(self, machine: Machine, instance: str = "") -> None:
        self.machine, self.instance = machine, instance

    def run(self, words: str, *, stdin: str = "", timeout: float = 300) -> Result:
        option = f"--instance {self.instance} " if self.instance else ""
        return self.machine.run(f"orch {option}{words}", stdin=stdin, timeout=timeout)

    def __call__(self, words: str, *, stdin: str = "") -> str:
        return self.run(words, stdin=stdin).expect().out

    def json(self, words: str) -> Any:
        return json.loads(self(f"{words} -o json"))

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json("system status")
        return found

    def pod(self, namespace: str, service: str) -> dict[str, Any]:
        """The only pod of a service that is not being deleted."""
        listed = self.json(f"get pods -n {namespace} -l orchestr.dev/service={service}")["items"]
        (found,) = [pod for pod in listed if "deletionTimestamp" not in pod["metadata"]]
        return dict(found)

    def cgroup(self, namespace: str, service: str) -> str:
        """The directory of a service's running container."""
        pod = self.pod(namespace, service)["metadata"]["uid"]
        parent = f"/sys/fs/cgroup/orch{f'-{self.instance}' if self.instance else ''}/{pod}"
        return self.machine.sh(f"ls -dt {parent}/*.{service}.*").split()[0]

    def pid(self, namespace: str, service: str) -> int:
        """The container's first process as the machine numbers it."""
        return int(self.machine.sh(f"cat {self.cgroup(namespace, service)}/cgroup.procs").split()[0])

    def ready(self, namespace: str, *services: str) -> bool:
        """Whether all say so; AssertionError with the status when not."""
        done = self.run(f"wait -n {namespace} --timeout 1s {' '.join(f'deployment/{each}' for each in services)}")
        assert done.code == 0, self.run("status -A").out
        return True

    def healed(self, namespace: str, *services: str, within: float = 240) -> None:
        eventually(lambda: self.ready(namespace, *services), within=within)


def apply_ordered(orch: Orch) -> None:
    orch("apply -f - --timeout 5m", stdin=ORDERED)
    eventually(lambda: "db answered" in orch("logs web -n ordered --no-log-prefix"), within=60)


def in_order(orch: Orch) -> bool:
    """Whether the last start of `web` found `db` there, and the last start of `db` came first."""
    starts = [
        orch.pod("ordered", service)["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        for service in ("db", "web")
    ]
    assert starts == sorted(starts), f"db and web started at {starts}"
    logged = orch("logs web -n ordered --no-log-prefix").split()
    assert logged == ["db", "answered"], logged
    return True
