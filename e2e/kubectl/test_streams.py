"""kubectl with streams: exec, attach, run -it, cp and port-forward, over WebSockets and, as it falls back to, SPDY."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.checks import eventually
from e2e.daemon import Daemon
from e2e.echo import ECHO
from e2e.kubectl.binary import program
from e2e.kubectl.conftest import Kubectl
from e2e.terminal import Terminal

WEBSOCKETS, SPDY = {}, {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
BOTH = pytest.mark.parametrize("env", [WEBSOCKETS, SPDY], ids=["websocket", "spdy"])
PODS = f"""
apiVersion: v1
kind: Pod
metadata: {{name: box}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {{name: main, image: local/host, command: [sleep, infinity]}}
  - {{name: open, image: local/host, stdin: true, command: [sh, -c, "while read x; do echo got $x; done; echo over"]}}
  - {{name: term, image: local/host, stdin: true, tty: true, command: [sh]}}
  - name: echo
    image: local/host
    command: [python3, -c, {json.dumps(ECHO)}]
---
apiVersion: v1
kind: Service
metadata: {{name: box}}
spec: {{selector: {{app: box}}, ports: [{{port: 80, targetPort: 7000}}]}}
""".replace("metadata: {name: box}\nspec:\n  term", "metadata: {name: box, labels: {app: box}}\nspec:\n  term")

ONCE = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  containers:
  - {name: main, image: local/host, stdin: true, stdinOnce: true, command: [sh, -c, "cat; echo over"]}
"""


@pytest.fixture(scope="module")
def box(shared: Daemon, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """A namespace and a pod for all tests of this file."""
    path = program("kubectl")
    if path is None:
        pytest.skip("no kubectl (set KUBECTL, or see e2e/kubectl/binary.py)")
    kubectl = Kubectl(path, port, tmp_path_factory.mktemp("streams"), "streams")
    kubectl.ok("create", "namespace", "streams")
    kubectl.ok("apply", "-f", "-", input=PODS)
    kubectl.ok("wait", "pod/box", "--for=condition=Ready", "--timeout=60s")
    yield kubectl
    kubectl.ok("delete", "namespace", "streams", "--grace-period=0")


def terminal(kubectl: Kubectl, *args: str, env: dict[str, str]) -> Terminal:
    return Terminal([*kubectl.words, *args], {**kubectl.env, **env})


@BOTH
def test_exec(box: Kubectl, env: dict[str, str]) -> None:
    """Streams apart, input to its end, exit codes; what cannot be is told in words."""
    done = box("exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 3", env=env)
    assert (done.code, done.out) == (3, "out\n")
    assert "err\n" in done.err
    assert "command terminated with exit code 3" in done.err
    done = box("exec", "-i", "box", "-c", "term", "--", "wc", "-c", input="x" * 300_000, env=env)
    assert (done.code, done.out) == (0, "300000\n")
    assert box("exec", "box", "--", "no-such-command", env=env).code == 127
    done = box("exec", "box", "-c", "nobody", "--", "true", env=env)
    assert done.code == 1
    assert "nobody" in done.err
    assert 'pods "nothing" not found' in box("exec", "nothing", "--", "true", env=env).err


@BOTH
def test_exec_with_a_terminal(box: Kubectl, env: dict[str, str]) -> None:
    with terminal(box, "exec", "-it", "box", "-c", "main", "--", "sh", env=env) as shell:
        shell.write(b"test -t 0 && stty size; echo $((40+2))\n")
        shell.sees("30 100", "42")
        shell.resize(50, 132)
        os.kill(shell.process.pid, signal.SIGWINCH)
        shell.write(b"while [ \"$(stty size)\" != '50 132' ]; do sleep 0.1; done; echo re$((0+0))sized\n")
        shell.sees("re0sized")
        shell.write(b"exit 7\n")
        assert shell.process.wait(20) == 7


@BOTH
def test_copies(box: Kubectl, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/data").write_bytes(os.urandom(1_500_000))
    place = f"box:/tmp/there-{len(env)}"
    for args in ((f"{tmp_path}/there", place), (place, f"{tmp_path}/back")):
        done = box("cp", "-c", "main", *args, env=env)
        assert done.code == 0, done.err
    assert (tmp_path / "back/data").read_bytes() == (tmp_path / "there/data").read_bytes()


@BOTH
def test_attach(box: Kubectl, env: dict[str, str], shared: Daemon) -> None:
    """stdin stays open from one client to the next, and over a restart of the daemon."""
    done = box("attach", "-i", "box", "-c", "open", input="one\n", env=env)
    assert done.code == 0
    assert "got one" in done.out
    shared.kill_daemon()
    shared.start()
    assert "got two" in box("attach", "-i", "box", "-c", "open", input="two\n", env=env).out
    assert box.ok("logs", "box", "-c", "open").endswith("got one\ngot two\n")
    refused = box("attach", "box", "-c", "nobody", env=env)
    assert refused.code == 1
    assert "nobody" in refused.err


@BOTH
def test_input_that_ends_with_its_client(box: Kubectl, env: dict[str, str]) -> None:
    name = f"once-{len(env)}"
    box.ok("apply", "-f", "-", input=ONCE.replace("NAME", name))
    box.ok("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    with subprocess.Popen([*box.words, "attach", "-i", name], stdin=subprocess.PIPE, env={**box.env, **env}) as client:
        client.communicate(b"only\n", timeout=60)
    assert client.returncode == 0
    assert box.ok("logs", name) == "only\nover\n"


@BOTH
def test_attach_to_a_terminal(box: Kubectl, env: dict[str, str]) -> None:
    """The shell goes on between clients: what one has set the next one finds."""
    box.ok("wait", "pod/box", "--for=condition=Ready", "--timeout=60s")
    with terminal(box, "attach", "-it", "box", "-c", "term", env=env) as shell:
        shell.write(b"A=kept; while [ \"$(stty size)\" != '30 100' ]; do sleep 0.1; done; echo $((40+2))\n")
        shell.sees("42")
    with terminal(box, "attach", "-it", "box", "-c", "term", env=env) as shell:
        shell.write(b"echo is $A\n")
        shell.sees("is kept")
        shell.write(b"exit 0\n")
        assert shell.process.wait(20) == 0


def test_run(kubectl: Kubectl) -> None:
    """run -it --rm gives a shell, its exit code and no pod; run -i takes input to its end."""
    with terminal(kubectl, "run", "-it", "--rm", "--image=local/host", "sh", "--", "sh", env={}) as shell:
        shell.sees("$" if os.getuid() else "#")
        shell.write(b"echo $((40+2))\n")
        shell.sees("42")
        shell.write(b"exit 0\n")
        shell.sees('pod "sh" deleted')
    words = (
        "run",
        "--rm",
        "-i",
        "--restart=Never",
        "--image=local/host",
        "cat",
        "--",
        "sh",
        "-c",
        "cat; echo over; exit 5",
    )
    done = kubectl(*words, input="all\nof it\n")
    assert "all\nof it\nover\n" in done.out
    assert done.code == 5
    assert kubectl.refused("get", "pod", "cat")


@contextmanager
def forwarding(kubectl: Kubectl, *args: str, env: dict[str, str]) -> Iterator[tuple[list[int], Path]]:
    """The local ports; and the file of what kubectl complains of."""
    errors = kubectl.home / "errors"
    words = [*kubectl.words, "port-forward", "--address=127.0.0.1", *args]
    with (
        errors.open("wb") as file,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=file, env={**kubectl.env, **env}) as client,
    ):
        assert client.stdout
        lines = [client.stdout.readline().decode() for word in args if ":" in word]
        try:
            yield [int(line.partition("127.0.0.1:")[2].split()[0]) for line in lines], errors
        finally:
            client.kill()


def ask(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        found = b""
        while piece := peer.recv(65536):
            found += piece
        return found


@BOTH
def test_port_forward(box: Kubectl, env: dict[str, str]) -> None:
    """Pod and Service, several ports, both directions ended apart, megabytes; a port where nobody listens is told."""
    data = os.urandom(2_000_000)
    with forwarding(box, "pod/box", ":7000", ":9", env=env) as ((port, closed), errors):
        for _ in range(3):
            assert ask(port, b"abc") == b"3:cba"
        assert ask(port, data) == b"2000000:" + data[::-1]
        assert ask(closed, b"abc") == b""
        eventually(lambda: "connection refused" in errors.read_text())
    with forwarding(box, "service/box", ":80", env=env) as ((port,), _):
        assert ask(port, b"abc") == b"3:cba"


def test_a_client_that_pauses_holds_up_nobody(box: Kubectl) -> None:
    """A loud command waits for its client; the daemon keeps nothing meanwhile, and all is there in the end."""
    words = [*box.words, "exec", "box", "-c", "main", "--", "sh", "-c", "head -c 30000000 /dev/zero; echo end"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=box.env) as client:
        assert client.stdout
        first = client.stdout.read(10)
        time.sleep(1)  # a reader that does something else
        rest = client.stdout.read()
    assert (first, len(rest)) == (bytes(10), 30_000_004 - 10)
    assert rest.endswith(b"end\n")


def test_who_may(box: Kubectl) -> None:
    """Each sub-resource asks for its own right."""
    box.ok("create", "serviceaccount", "reader")
    box.ok("create", "rolebinding", "reader", "--clusterrole=view", f"--serviceaccount={box.namespace}:reader")
    user = f"--as=system:serviceaccount:{box.namespace}:reader"
    for verb, args in (("exec", ("--", "true")), ("attach", ()), ("port-forward", (":80",))):
        said = box.refused(user, verb, "box", *args)
        assert re.search(rf'cannot create resource "pods/{verb.replace("-", "")}"', said), said
    assert box.ok(user, "get", "pod", "box")
