"""200 times kill -9 at random moments; afterwards the state is the desired one and nothing is leaked or lost."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from e2e.checks import alive, cgroups_named, descriptors, eventually, links_of, processes_of
from e2e.daemon import Daemon
from e2e.load import COMMAND, free_port, get
from e2e.project import Project

KILLS = 200
COUNTER = 'print("run", flush=True)\nimport itertools, time\nfor n in itertools.count(): print(n); time.sleep(0.002)'
PODS = {"web": 1, "counter": 4, "worker": 3}
STACK = f"""
    services:
      web:
        image: local/host
        command: {COMMAND}
        restart: always
        stop_grace_period: 0s
        ports: ["127.0.0.1:PORT:8080"]
      counter:
        image: local/host
        command: {json.dumps(["python3", "-u", "-c", COUNTER])}
        restart: always
        stop_grace_period: 0s
        deploy: {{replicas: 4}}
      worker:
        image: local/host
        command: [sh, -c, "sleep infinity & exec sleep infinity"]
        restart: always
        stop_grace_period: 0s
        deploy: {{replicas: 3}}
        depends_on: [web]
    """


class Chaos:
    """Kills by a seeded plan. A killed daemon is started again by whoever notices first: the next kill, or the end."""

    def __init__(self, project: Project, chance: random.Random) -> None:
        self._daemon, self._project, self._chance = project.daemon, project, chance
        self.done: dict[str, int] = {}

    def run(self, kills: int) -> None:
        targets: list[tuple[str, Callable[[], int]]] = [
            *[("container", self._container)] * 8,
            *[("supervisor", lambda: self._daemon.supervisor_pid)] * 5,
            *[("resolver", lambda: self._daemon.resolver_pid)] * 4,
            ("daemon", lambda: self._daemon.daemon_pid),
        ]
        while sum(self.done.values()) < kills:
            name, find = self._chance.choice(targets)
            pid = self._found(find)
            if pid and alive(pid):
                self._kill(pid)
                self.done[name] = self.done.get(name, 0) + 1
            time.sleep(self._chance.random() * 0.05)  # the random moment; nothing is waited for

    def _found(self, find: Callable[[], int]) -> int:
        try:
            return find()
        except OSError:  # no daemon
            self._daemon.start()
            return 0

    def _kill(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        eventually(lambda: not alive(pid), within=5, what=f"process {pid} to die")

    def _container(self) -> int:
        procs = [f"{path}/cgroup.procs" for path in cgroups_named(f"/orch-{self._daemon.name}/")]
        pids = [int(line) for path in procs if os.path.exists(path) for line in Path(path).read_text().split()]
        return self._chance.choice(sorted(pids)) if pids else 0


def converged(project: Project) -> bool:
    pods = [pod for service in PODS for pod in project.pods(service)]
    assert len(pods) == sum(PODS.values())
    for pod in pods:
        ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
        assert ready["status"] == "True", project.orch("status").out
    return all(project.daemon.pids(pod) for pod in pods)


def exits_are_true(project: Project) -> None:
    """What ended was killed: told as signal 9 or as unknown, never as success or as an exit of its own."""
    for pod in project.pods():
        for status in pod["status"]["containerStatuses"]:
            told = status["lastState"].get("terminated")
            if told:
                seen = told.get("signal") == signal.SIGKILL or told["reason"] in ("ContainerStatusUnknown", "OOMKilled")
                assert seen, told


def logs_are_whole(project: Project, *args: str) -> None:
    """Each run printed `run`, 0, 1, 2, ...: no line is missing or there twice."""
    for pod in project.pods("counter"):
        if args and not pod["status"]["containerStatuses"][0]["restartCount"]:
            continue
        lines = project.logs(f"pod/{pod['metadata']['name']}", "--no-log-prefix", *args)
        whole = ["run", *map(str, range(len(lines)))]
        assert lines == whole[: len(lines)]  # none at all when it was killed before it printed


def footprint(daemon: Daemon) -> dict[str, int]:
    """Everything that an instance holds and that chaos might multiply."""
    mounts = Path("/proc/self/mountinfo").read_text()
    status = daemon.status()
    return {
        "processes": len(processes_of(daemon.name)),
        "cgroups": len(cgroups_named(f"/orch-{daemon.name}/")),
        "mounts": sum(f"-{daemon.name}/" in line for line in mounts.splitlines()),
        "links": len(links_of(daemon.bridge)),
        "supervisor's descriptors": len(descriptors(status["supervisorPid"])),
        "daemon's descriptors": len(descriptors(status["pid"])),
        "resolver's descriptors": len(descriptors(status["resolverPid"])),
    }


def test_two_hundred_kills(own_project: Project) -> None:
    port, seed = free_port(), int(os.environ.get("ORCH_SEED") or random.SystemRandom().randrange(10**6))
    print(f"ORCH_SEED={seed}")
    own_project.apply(STACK.replace("PORT", str(port)))
    eventually(lambda: converged(own_project))
    before = footprint(own_project.daemon)
    chaos = Chaos(own_project, random.Random(seed))
    chaos.run(KILLS)
    own_project.daemon.start()
    print(chaos.done)
    eventually(lambda: converged(own_project), within=75, what="the desired state")  # the back-off is at most 66 s
    assert eventually(lambda: get(port)) == "1"
    exits_are_true(own_project)
    logs_are_whole(own_project)
    logs_are_whole(own_project, "--previous")
    eventually(lambda: _same(before, footprint(own_project.daemon)), within=10)


def _same(before: dict[str, int], after: dict[str, int]) -> bool:
    grown = {name: (count, after[name]) for name, count in before.items() if after[name] > count + 3 * ("desc" in name)}
    assert not grown, f"before and after: {grown}"
    return True
