"""kubectl debug, and other resources for a pod that runs."""

import json
from typing import Any

import pytest

from e2e.checks import eventually
from e2e.daemon import Daemon
from e2e.kubectl.conftest import Kubectl
from e2e.terminal import Terminal

POD = """
apiVersion: v1
kind: Pod
metadata: {name: box}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: local/host
    command: [sleep, "1234567"]
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 500m, memory: 64Mi}}
"""


@pytest.fixture
def box(kubectl: Kubectl) -> Kubectl:
    kubectl.ok("apply", "-f", "-", input=POD)
    kubectl.ok("wait", "pod/box", "--for=condition=Ready", "--timeout=60s")
    return kubectl


def pod(kubectl: Kubectl) -> Any:
    return json.loads(kubectl.ok("get", "pod", "box", "-o", "json"))


def ephemeral(kubectl: Kubectl, name: str) -> Any:
    statuses = pod(kubectl)["status"].get("ephemeralContainerStatuses") or []
    return next((each["state"] for each in statuses if each["name"] == name), {})


def test_debug(box: Kubectl, shared: Daemon) -> None:
    """A shell beside the container, in its process namespace; its end is nothing to the pod, nor a new daemon to it."""
    words = ["debug", "-it", "box", "--image=local/host", "--target=main", "-c", "look", "--profile=general"]
    with Terminal([*box.words, *words, "--", "sh"], box.env) as shell:
        shell.sees("#")
        shell.write(b"tr '\\0' ' ' < /proc/1/cmdline; echo; echo $((40+2)); exit 3\n")
        shell.sees("sleep 1234567", "42")
        shell.process.wait(60)
    eventually(lambda: ephemeral(box, "look").get("terminated", {}).get("exitCode") == 3)
    box.ok("debug", "box", "--image=local/host", "-c", "stays", "--profile=general", "--", "sleep", "infinity")
    eventually(lambda: "running" in ephemeral(box, "stays"))
    box("debug", "box", "--image=local/no-such-image", "-c", "wrong", "--profile=general", "--", "true")
    eventually(lambda: "no-such-image" in ephemeral(box, "wrong").get("terminated", {}).get("message", ""))
    before = ephemeral(box, "stays")
    shared.kill_daemon()
    shared.start()
    assert ephemeral(box, "stays") == before
    assert box.ok("exec", "box", "-c", "stays", "--", "cat", "/proc/1/comm") == "sleep\n"
    assert "42" in box.ok("logs", "box", "-c", "look")
    now = pod(box)["status"]
    assert (now["phase"], now["containerStatuses"][0]["ready"]) == ("Running", True)
    assert now["containerStatuses"][0]["restartCount"] == 0
    refused = box.refused("patch", "pod", "box", "--subresource=ephemeralcontainers", "--type=json",
                          "-p", '[{"op": "remove", "path": "/spec/ephemeralContainers/0"}]')  # fmt: skip
    assert "may not be removed" in refused


def test_resize(box: Kubectl) -> None:
    """CPU and memory change under the running container; what cannot be is told."""

    def resize(resources: dict[str, Any]) -> tuple[str, ...]:
        patch = json.dumps({"spec": {"containers": [{"name": "main", "resources": resources}]}})
        return "patch", "pod", "box", "--subresource=resize", "-p", patch

    before = pod(box)["status"]["containerStatuses"][0]
    box.ok(*resize({"limits": {"cpu": "1", "memory": "96Mi"}}))
    eventually(lambda: pod(box)["status"]["containerStatuses"][0]["resources"]["limits"]["memory"] == "96Mi")
    limits = "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert box.ok("exec", "box", "--", "sh", "-c", f"cat {' '.join(limits)} 2>/dev/null; true") == f"{96 << 20}\n"
    after = pod(box)["status"]["containerStatuses"][0]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    assert after["allocatedResources"] == {"cpu": "100m", "memory": "32Mi"}
    assert "may not change as a result of resizing" in box.refused(
        *resize({"requests": {"cpu": "1", "memory": "96Mi"}})
    )
    box.ok(*resize({"requests": {"cpu": "999"}, "limits": {"cpu": "999"}}))
    box.ok("wait", "pod/box", "--for=condition=PodResizePending", "--timeout=60s")
    box.ok(*resize({"requests": {"cpu": "200m"}, "limits": {"cpu": "1"}}))
    eventually(lambda: all(each["type"] != "PodResizePending" for each in pod(box)["status"]["conditions"]))
    eventually(lambda: pod(box)["status"]["containerStatuses"][0]["allocatedResources"]["cpu"] == "200m")
