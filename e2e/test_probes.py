"""Probes: readiness decides who serves, liveness restarts, a startup probe holds both back."""

import json
from typing import Any

import pytest

from e2e.checks import eventually
from e2e.load import COMMAND, free_port, get
from e2e.project import Project

READY = "{exec: {command: [test, -e, /tmp/ready]}, periodSeconds: 1, failureThreshold: 2}"
ALIVE = "{exec: {command: [test, '!', -e, /tmp/dead]}, periodSeconds: 1, failureThreshold: 2}"


def pod(*probes: str, command: str = '[sh, -c, "exec sleep infinity"]', ports: str = "[]") -> str:
    lines = "".join(f"\n              {probe}" for probe in probes)
    return f"""
        apiVersion: v1
        kind: Pod
        metadata: {{name: app, labels: {{app: app}}}}
        spec:
          terminationGracePeriodSeconds: 0
          containers:
            - name: main
              image: local/host
              command: {command}
              ports: {ports}{lines}
        """


def main(project: Project) -> dict[str, Any]:
    found = project.pod()["status"].get("containerStatuses")
    return found[0] if found else {}


def is_ready(project: Project) -> bool:
    conditions = project.pod()["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def touch(project: Project, path: str) -> None:
    project.exec("pod/app", "touch", path).expect()


def test_readiness_gates_the_endpoints(project: Project) -> None:
    """Not ready: the container runs, its Service has no backend and status says why. Ready: it serves; and back."""
    port = free_port()
    service = f"""
        ---
        apiVersion: v1
        kind: Service
        metadata:
          name: app
          annotations: {{orchestr.dev/publish: '[{{"hostIP": "127.0.0.1", "hostPort": {port}, "port": 80}}]'}}
        spec: {{selector: {{app: app}}, ports: [{{port: 80, targetPort: 8080}}]}}
        """
    project.objects(pod(f"readinessProbe: {READY}", command=COMMAND) + service, "--detach")
    eventually(lambda: main(project).get("started"))
    assert not is_ready(project)
    with pytest.raises(AssertionError, match="no answer"):
        get(port)
    eventually(lambda: "probe" in project.orch("status", "-n", project.name).out)
    touch(project, "/tmp/ready")
    assert eventually(lambda: get(port)) == "1"
    project.exec("pod/app", "rm", "/tmp/ready").expect()
    eventually(lambda: not is_ready(project))
    eventually(lambda: _refused(port))
    assert main(project)["restartCount"] == 0


def _refused(port: int) -> bool:
    try:
        get(port)
    except AssertionError:
        return True
    return False


def test_a_failed_liveness_probe_restarts(project: Project) -> None:
    project.objects(pod(f"livenessProbe: {ALIVE}"))
    touch(project, "/tmp/dead")
    eventually(lambda: main(project)["restartCount"] == 1)
    assert main(project)["lastState"]["terminated"]["exitCode"] == 137
    messages = eventually(
        lambda: [e["message"] for e in project.daemon.items("events", project.name) if e["reason"] == "Killing"]
    )
    assert "is restarted" in messages[0]
    eventually(lambda: is_ready(project))


def test_a_startup_probe_holds_back_the_others(project: Project) -> None:
    """Liveness would fail at once; it is not asked until the startup probe has passed."""
    startup = "startupProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 30}"
    dead = "livenessProbe: {exec: {command: [test, -e, /tmp/up]}, periodSeconds: 1, failureThreshold: 1}"
    project.objects(pod(startup, dead, command='[sh, -c, "sleep 2.5; touch /tmp/up; exec sleep infinity"]'))
    assert main(project)["restartCount"] == 0
    assert main(project)["started"]


def test_a_startup_probe_that_never_passes_restarts(project: Project) -> None:
    startup = "startupProbe: {exec: {command: ['false']}, periodSeconds: 1, failureThreshold: 2}"
    project.objects(pod(startup), "--detach")
    eventually(lambda: main(project).get("restartCount", 0) >= 1, within=10)


CONNECT = "import socket; socket.create_connection(('localhost', 8080))"


@pytest.mark.parametrize(
    "action",
    [
        "httpGet: {path: /, port: web}",
        "tcpSocket: {port: web}",
        f"exec: {{command: {json.dumps(['python3', '-c', CONNECT])}}}",
    ],
)
def test_every_action_finds_a_server(project: Project, action: str) -> None:
    ports = "[{name: web, containerPort: 8080}]"
    project.objects(pod(f"readinessProbe: {{{action}, periodSeconds: 1}}", command=COMMAND, ports=ports))
    assert is_ready(project)


def test_what_a_probe_sees_is_told(project: Project) -> None:
    """A wrong status, nobody there, no answer in time: each in the words of its cause."""
    for probe, told in {
        "httpGet: {path: /, port: 9}": "connection refused",
        "exec: {command: [sh, -c, 'echo not yet; exit 4']}": "exit code 4: not yet",
        "exec: {command: [sleep, '5']}, timeoutSeconds: 1": "no answer within 1 s",
    }.items():
        project.objects(pod(f"readinessProbe: {{{probe}, periodSeconds: 1}}", command=COMMAND), "--detach")
        eventually(lambda: told in project.orch("status", "-n", project.name).out, what=told)  # noqa: B023
        project.orch("delete", "pod", "app", "-n", project.name).expect()
        eventually(lambda: not project.daemon.items("pods", project.name))


def test_a_compose_healthcheck_restarts_only_what_was_well_once(project: Project) -> None:
    """Failures before the first success and within start_period only hold readiness; later ones restart."""
    text = """
        services:
          app:
            image: local/host
            command: [sh, -c, "sleep 3; touch /tmp/well; exec sleep infinity"]
            restart: always
            stop_grace_period: 0s
            healthcheck: {test: [CMD, test, -e, /tmp/well], interval: 1s, retries: 1, start_period: 20s}
        """
    project.apply(text)
    assert main(project)["restartCount"] == 0
    project.exec("app", "rm", "/tmp/well").expect()
    eventually(lambda: main(project)["restartCount"] == 1)


def test_apply_waits_for_the_healthcheck_and_times_out(project: Project) -> None:
    text = """
        services:
          app:
            image: local/host
            command: [sleep, infinity]
            restart: always
            stop_grace_period: 0s
            healthcheck: {test: [CMD, "false"], interval: 1s, retries: 3, start_period: 60s}
        """
    project.write(text)
    done = project.orch("apply", "--timeout", "3s").expect(3)
    assert "probe" in done.err + done.out
