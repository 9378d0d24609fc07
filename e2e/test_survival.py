"""The daemon, the supervisor and the resolver are killed; what they look after goes on, and what happened is told."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import alive, eventually, kill
from e2e.load import COMMAND, Load, free_port
from e2e.project import Project

COUNTER = "import itertools, time; [(print(n), time.sleep(0.005)) for n in itertools.count()]"
ASKING = """
import socket, time
while True:
    try:
        assert socket.getaddrinfo("web", 80)
    except Exception as error:
        print("failed", repr(error), flush=True)
    else:
        print("resolved", flush=True)
    time.sleep(0.05)
"""
TRAPPING = "trap 'exit 7' TERM; echo trapped; while true; do sleep 0.05; done"


def stack(port: int) -> str:
    return f"""
        services:
          web:
            image: local/host
            command: {COMMAND}
            restart: always
            stop_grace_period: 0s
            ports: ["127.0.0.1:{port}:8080"]
            healthcheck:
              test: [CMD, python3, -c, "import socket; socket.create_connection(('localhost', 8080))"]
              interval: 1s
          counter:
            image: local/host
            command: [python3, -u, -c, "{COUNTER}"]
            restart: always
            stop_grace_period: 0s
          asking:
            image: local/host
            command: {json.dumps(["python3", "-u", "-c", ASKING])}
            restart: always
            stop_grace_period: 0s
            depends_on: {{web: {{condition: service_healthy}}}}
        """


def trapping(restart: str) -> str:
    return f"""
        services:
          app:
            image: local/host
            command: [sh, -c, "{TRAPPING}"]
            restart: "{restart}"
            stop_grace_period: 0s
        """


def ends(pod: dict[str, Any]) -> dict[str, Any]:
    """How the latest ended run of the pod's container ended."""
    (status,) = pod["status"]["containerStatuses"]
    found: dict[str, Any] = status["state"].get("terminated") or status["lastState"]["terminated"]
    return found


def restarts(project: Project) -> int:
    return sum(status["restartCount"] for pod in project.pods() for status in pod["status"]["containerStatuses"])


def numbers_without_gap(project: Project) -> int:
    """Asserts that the counter's log holds every number once, in order; the count."""
    lines = [int(line) for line in project.logs("counter", "--no-log-prefix")]
    assert lines == list(range(len(lines)))
    return len(lines)


def test_a_killed_daemon_is_missed_by_nobody(own_project: Project) -> None:
    """kill -9 of the daemon: same processes, published port and names go on, also while the next one starts."""
    port = free_port()
    own_project.apply(stack(port))
    pids = [own_project.pid(name) for name in ("web", "counter", "asking")]
    with Load(port) as load:
        own_project.daemon.kill_daemon()
        dead = load.count
        eventually(lambda: load.count > dead + 100 or load.failed, what="requests while the daemon is dead")
        own_project.daemon.start()
        back = load.count
        eventually(lambda: load.count > back + 300 or load.failed, what="requests after the daemon is back")
    assert not load.failed
    assert [own_project.pid(name) for name in ("web", "counter", "asking")] == pids
    assert restarts(own_project) == 0
    assert set(own_project.logs("asking", "--no-log-prefix")) == {"resolved"}
    assert numbers_without_gap(own_project) > 100
    assert own_project.orch("status", "--exit-code").code in (0, 2)


@pytest.mark.parametrize(("restart", "again"), [("always", True), ("no", False)])
def test_an_exit_that_the_daemon_missed_is_told_right(own_project: Project, restart: str, again: bool) -> None:
    own_project.apply(trapping(restart))
    own_project.logged("trapped")
    pid = own_project.pid("app")
    own_project.daemon.kill_daemon()
    kill(pid, signal.SIGTERM)
    eventually(lambda: not alive(pid))
    own_project.daemon.start()
    told = eventually(lambda: ends(own_project.daemon.pods(own_project.name)[0]))
    assert (told["exitCode"], told["reason"]) == (7, "Error")
    if again:
        assert eventually(lambda: own_project.pid("app") != pid)
        eventually(lambda: restarts(own_project) == 1)
    else:
        eventually(lambda: own_project.pods()[0]["status"]["phase"] == "Failed")


def test_a_killed_supervisor_loses_no_container_and_no_line(own_project: Project) -> None:
    """kill -9 of the supervisor, three times: another adopts the containers, and the counter's log has no gap."""
    port = free_port()
    own_project.apply(stack(port))
    pids = [own_project.pid(name) for name in ("web", "counter", "asking")]
    for _ in range(3):
        before, lines = own_project.daemon.supervisor_pid, numbers_without_gap(own_project)
        kill(before)
        eventually(lambda: own_project.daemon.supervisor_pid not in (0, before))  # noqa: B023
        eventually(lambda: numbers_without_gap(own_project) > lines + 20)  # noqa: B023
    assert [own_project.pid(name) for name in ("web", "counter", "asking")] == pids
    assert restarts(own_project) == 0
    assert own_project.sh("counter", "echo in") == "in\n"


def test_an_exit_in_the_supervisors_absence_is_known_through_the_daemon(own_project: Project) -> None:
    own_project.apply(trapping("always"))
    own_project.logged("trapped")
    pid, supervisor = own_project.pid("app"), own_project.daemon.supervisor_pid
    kill(supervisor, signal.SIGSTOP)  # it cannot record what happens now
    kill(pid, signal.SIGTERM)
    eventually(lambda: not alive(pid))
    kill(supervisor)
    eventually(lambda: restarts(own_project) == 1)
    assert (ends(own_project.pod())["exitCode"], ends(own_project.pod())["reason"]) == (7, "Error")


@pytest.mark.parametrize("restart", ["always", "no"])
def test_an_exit_that_nobody_saw_is_unknown(own_project: Project, restart: str) -> None:
    """Daemon and supervisor are dead when a container ends well: that is not told as success."""
    own_project.apply(trapping(restart).replace("exit 7", "exit 0"))
    own_project.logged("trapped")
    pid, supervisor = own_project.pid("app"), own_project.daemon.supervisor_pid
    own_project.daemon.kill_daemon()
    kill(supervisor)
    kill(pid, signal.SIGTERM)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="init to reap it, so that no trace is left")
    own_project.daemon.start()
    told = eventually(lambda: ends(own_project.daemon.pods(own_project.name)[0]))
    assert told["reason"] == "ContainerStatusUnknown"
    assert told["exitCode"] != 0
    if restart == "always":
        assert eventually(lambda: own_project.pid("app") != pid)
    else:
        eventually(lambda: own_project.pods()[0]["status"]["phase"] == "Failed")


def test_both_killed_at_once_leave_the_containers_alone(own_project: Project) -> None:
    port = free_port()
    own_project.apply(stack(port))
    pids = [own_project.pid(name) for name in ("web", "counter", "asking")]
    with Load(port) as load:
        supervisor = own_project.daemon.supervisor_pid
        own_project.daemon.kill_daemon()
        kill(supervisor)
        own_project.daemon.start()
        back = load.count
        eventually(lambda: load.count > back + 300 or load.failed)
    assert not load.failed
    assert [own_project.pid(name) for name in ("web", "counter", "asking")] == pids
    assert restarts(own_project) == 0
    seen = numbers_without_gap(own_project)
    eventually(lambda: numbers_without_gap(own_project) > seen + 20)


def test_a_killed_resolver_is_back(own_project: Project) -> None:
    own_project.apply(stack(free_port()))
    before = own_project.daemon.resolver_pid
    kill(before)
    eventually(lambda: own_project.daemon.resolver_pid not in (0, before), within=2)
    lines = len(own_project.logs("asking"))
    eventually(lambda: own_project.logs("asking", "--no-log-prefix")[lines:].count("resolved") > 5)
