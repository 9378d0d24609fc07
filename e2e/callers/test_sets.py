"""Several containers: Compose on Docker, pods and Kubernetes manifests on Podman, networks of both."""

from e2e.callers.engine import IMAGE, Engine, there
from e2e.checks import eventually

COMPOSE = """
services:
  web:
    image: localhost/orch-busybox:1
    runtime: orch-e2e
    command: [sh, -c, "mkdir -p /w && echo hello > /w/index.html && httpd -f -p 80 -h /w"]
    healthcheck: {test: [CMD, test, -e, /w/index.html], interval: 1s}
  client:
    image: localhost/orch-busybox:1
    runtime: orch-e2e
    depends_on: {web: {condition: service_healthy}}
    command: [sh, -c, "wget -qO- http://web; sleep 1000"]
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  containers:
  - name: one
    image: localhost/orch-busybox:1
    command: [sh, -c, "httpd -f -p 8000 -h /bin"]
  - name: two
    image: localhost/orch-busybox:1
    command: [sh, -c, "until wget -qO- http://127.0.0.1:8000/true; do sleep 0.1; done; echo reached; sleep 1000"]
"""


def test_compose_up(docker: Engine) -> None:
    project = docker.name()
    front = ("docker", "compose", "-p", project, "-f", "-")
    try:
        done = there(*front, "up", "-d", input=COMPOSE.encode(), timeout=120)
        assert done.code == 0, done.err
        eventually(lambda: "hello" in there(*front, "logs", "client", input=COMPOSE.encode()).out)
    finally:
        there(*front, "down", "-t", "0", input=COMPOSE.encode())


def test_a_bridge_network(caller: Engine) -> None:
    done = caller.run("sh", "-c", "cat /proc/net/dev", options=["--network", "bridge" if caller.docker else "podman"])
    assert "eth0" in done.out


def test_a_shared_network_namespace(caller: Engine) -> None:
    first = caller.start("sh", "-c", "httpd -f -p 8000 -h /bin")
    script = "until wget -qO- http://127.0.0.1:8000/true > /dev/null; do sleep 0.1; done; echo reached"
    assert caller.run("sh", "-c", script, options=["--network", f"container:{first}"]).out == "reached\n"
    assert "httpd" in caller.run("sh", "-c", "ps", options=["--pid", f"container:{first}"]).out


def test_a_pod(podman: Engine) -> None:
    pod = podman.name()
    podman.call("pod", "create", "--name", pod, "--network", "none")
    try:
        podman.call("run", "-d", "--pod", pod, IMAGE, "sh", "-c", "httpd -f -p 8000 -h /bin")
        script = "until wget -qO- http://127.0.0.1:8000/true > /dev/null; do sleep 0.1; done; echo reached"
        assert podman.call("run", "--rm", "--pod", pod, IMAGE, "sh", "-c", script).out == "reached\n"
        podman.call("pod", "pause", pod)
        podman.call("pod", "unpause", pod)
        podman.call("pod", "stop", "-t", "1", pod)
    finally:
        podman.call("pod", "rm", "-f", "-t", "0", pod)


def test_kube_play(podman: Engine) -> None:
    name = podman.name()
    text = POD.replace("NAME", name).encode()
    front = ("podman", "--runtime", podman.runtime)
    try:
        done = there(*front, "kube", "play", "--network", "none", "-", input=text)
        assert done.code == 0, done.err
        eventually(lambda: "reached" in podman.call("logs", f"{name}-two").out)
    finally:
        there(*front, "kube", "down", "-", input=text)
