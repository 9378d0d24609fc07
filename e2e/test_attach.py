"""`orch attach`, `debug` and `port-forward`: what runs, and its ports, in the hands of whoever asks."""

import json
import socket
import subprocess
from collections.abc import Iterator

import pytest

from e2e.checks import eventually
from e2e.conftest import on
from e2e.daemon import ORCH, Daemon
from e2e.echo import ECHO
from e2e.project import Project
from e2e.terminal import Terminal

STACK = f"""
    services:
      lines:
        image: local/host
        stdin_open: true
        restart: always
        stop_grace_period: 0s
        command: [sh, -c, "while read x; do echo got $$x; done"]
      shell:
        image: local/host
        stdin_open: true
        tty: true
        restart: always
        stop_grace_period: 0s
        command: [sh]
      echo:
        image: local/host
        restart: always
        stop_grace_period: 0s
        command: [python3, -c, {json.dumps(ECHO)}]
"""


@pytest.fixture(scope="module")
def box(shared: Daemon, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    for made in on(shared, request, tmp_path_factory.mktemp("attach")):
        made.apply(STACK)
        yield made


def test_attach(box: Project) -> None:
    done = box.orch("attach", "-i", "lines", input="one\ntwo\n").expect()
    assert done.out == "got one\ngot two\n"
    assert "reads no input" in box.orch("attach", "-i", "echo").expect(2).err
    assert "has no terminal" in box.orch("attach", "-t", "lines").expect(2).err


def test_attach_to_a_terminal(box: Project) -> None:
    """What one client leaves behind in the shell the next one finds."""
    words = [ORCH, "attach", "-it", "-n", box.name, "shell"]
    with Terminal(words, box.daemon.env()) as shell:
        shell.write(b"A=kept; while [ \"$(stty size)\" != '30 100' ]; do sleep 0.1; done; echo $((40+2))\n")
        shell.sees("42")
    with Terminal(words, box.daemon.env()) as shell:
        shell.write(b"echo is $A\n")
        shell.sees("is kept")


def ask(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        found = b""
        while piece := peer.recv(65536):
            found += piece
        return found


def test_port_forward(box: Project) -> None:
    """Several ports and connections, each direction ended apart; a port where nobody listens is told."""
    data = bytes(range(256)) * 4000
    words = ("port-forward", "-n", box.name, "echo", ":7000", ":9")
    with box.daemon.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stderr is not None
        lines = [client.stdout.readline().decode() for _ in range(2)]
        port, closed = (int(line.partition("127.0.0.1:")[2].split()[0]) for line in lines)
        assert [line.split()[-1] for line in lines] == ["7000", "9"]
        eventually(lambda: ask(port, b"abc") == b"3:cba")
        assert ask(port, data) == b"%d:" % len(data) + data[::-1]
        assert ask(closed, b"abc") == b""
        assert "connection refused" in client.stderr.readline().decode()
        client.send_signal(2)
        assert client.wait(60) == 0
    assert "is no port" in box.orch("port-forward", "echo", "http:0").expect(2).err


def test_debug(box: Project) -> None:
    """A container beside the others, among the processes of one of them; its exit code is ours."""
    script = "cat /proc/1/comm; cat; exit 3"
    words = ("--target", "echo", "-c", "look", "echo", "--", "sh", "-c", script)
    done = box.orch("debug", "-i", *words, input="in\n")
    assert (done.code, done.out) == (3, "python3\nin\n"), done.err
    assert "runs in pod" in box.orch("debug", "-c", "stays", "echo", "--", "sleep", "infinity").expect().out
    assert box.orch("exec", "-c", "stays", "echo", "--", "cat", "/proc/1/comm").expect().out == "sleep\n"
    failed = box.orch("debug", "--image", "local/nothing", "echo")
    assert failed.code == 128
    assert "local/nothing" in failed.err
    with Terminal([ORCH, "debug", "-it", "-n", box.name, "shell"], box.daemon.env()) as shell:
        shell.write(b"echo $((40+2)); exit 7\n")
        shell.sees("42")
        assert shell.process.wait(60) == 7
