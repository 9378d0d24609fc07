"""`orch exec`: a command in a running container, its streams and its exit code."""

import os
import signal
import subprocess
import termios
from collections.abc import Iterator

import pytest

from e2e.checks import alive, eventually
from e2e.conftest import on
from e2e.daemon import ORCH, Daemon
from e2e.project import Project
from e2e.terminal import Terminal

STACK = """
    services:
      box:
        image: local/host
        command: [sleep, infinity]
        restart: always
        stop_grace_period: 0s
        working_dir: /srv
        environment: {GREETING: hello there}
        user: "1234:5678"
"""


@pytest.fixture(scope="module")
def box(shared: Daemon, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    for made in on(shared, request, tmp_path_factory.mktemp("box")):
        made.apply(STACK)
        yield made


@pytest.mark.parametrize("code", [0, 1, 2, 42, 126, 127, 128, 200, 255])
def test_the_exit_code_is_the_commands(box: Project, code: int) -> None:
    """Whatever the command's exit code, exec's is the same."""
    assert box.exec("box", "sh", "-c", f"exit {code}").code == code


def test_a_signal_is_128_and_more(box: Project) -> None:
    """A command that a signal ended gives 128 + signal, as in a shell."""
    assert box.exec("box", "sh", "-c", "kill -TERM $$").code == 128 + 15


def test_what_cannot_be_started_is_127_or_126(box: Project) -> None:
    """127 when there is no such command, 126 when it cannot be executed; the message names it."""
    missing = box.exec("box", "no-such-command")
    assert missing.code == 127
    assert "no-such-command" in missing.err
    refused = box.exec("box", "/etc/passwd")
    assert refused.code == 126
    assert "/etc/passwd" in refused.err


def test_the_streams_stay_apart_and_whole(box: Project) -> None:
    """Standard output and error arrive on their own streams, every byte of them."""
    done = box.exec("box", "sh", "-c", "echo out; echo err >&2; seq 100000").expect()
    assert done.err == "err\n"
    assert done.out == "out\n" + "".join(f"{i}\n" for i in range(1, 100001))


def test_it_runs_as_the_container_does(box: Project) -> None:
    """User, working directory, environment, namespaces and restrictions are the container's own."""
    assert box.sh("box", "id -u; id -g; pwd; echo $GREETING") == "1234\n5678\n/srv\nhello there\n"
    status = box.sh("box", "cat /proc/self/status; cat /proc/self/cgroup")
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    inside, first = (box.sh("box", f"readlink /proc/{pid}/ns/pid /proc/{pid}/ns/mnt") for pid in ("self", "1"))
    assert inside == first


def test_input_is_passed_on_only_with_i(box: Project) -> None:
    """-i gives the command our input to its end, 1 MB of it; without, it reads nothing."""
    data = os.urandom(1 << 20)
    words = ("exec", "-i", "-n", box.name, "box", "--", "sha256sum")
    digest = box.daemon.orch(*words, input=data).expect().out.split()[0]
    assert (
        digest == subprocess.run(["sha256sum"], input=data, capture_output=True, check=True).stdout.decode().split()[0]
    )
    assert box.exec("box", "cat", input="not seen").expect().out == ""


def test_input_and_output_flow_at_the_same_time(box: Project) -> None:
    """What fills the pipes both ways does not lock up: 5 MB through cat."""
    data = os.urandom(5 << 20)
    with box.daemon.popen(
        "exec", "-i", "-n", box.name, "box", "--", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as cat:
        assert cat.communicate(data, timeout=30)[0] == data


def test_targets_by_service_pod_kind_and_container(box: Project) -> None:
    """A service, a pod, deployment/NAME; -c names the container; what is not there is told."""
    pod = box.pod("box")["metadata"]["name"]
    for target in ("box", pod, f"pod/{pod}", "deployment/box"):
        assert box.exec(target, "echo", "here").expect().out == "here\n"
    assert "it has box" in box.orch("exec", "-c", "nobody", "box", "--", "true").expect(2).err
    assert "nobody" in box.exec("nobody", "true").expect(1).err
    assert "no command" in box.orch("exec", "box").expect(2).err


def test_a_terminal_needs_a_terminal(box: Project) -> None:
    """-t without a terminal is refused with what to do."""
    assert "leave -t out" in box.orch("exec", "-t", "box", "--", "true").expect(2).err


def test_a_killed_client_ends_nothing_it_did_not_start(box: Project) -> None:
    """The container outlives an exec whose client is killed; the daemon keeps nothing of it."""
    pid = box.pid("box")
    with box.daemon.popen("exec", "-n", box.name, "box", "--", "sleep", "300", stdout=subprocess.PIPE) as client:
        eventually(lambda: len(box.daemon.pids(box.pod("box"))) >= 2)
        client.kill()
    assert alive(pid)
    assert box.exec("box", "echo", "still here").expect().out == "still here\n"


def terminal_of(project: Project, *command: str) -> Terminal:
    """`orch exec -it` on a pseudo terminal of ours."""
    words = [ORCH, "exec", "-it", "-n", project.name, "box", "--", *command]
    return Terminal(words, project.daemon.env(), rows=30, columns=100)


def test_an_interactive_shell_on_a_real_terminal(box: Project) -> None:
    """-it: the command has a controlling terminal of our size, ^C reaches it, its exit code is ours."""
    with terminal_of(box, "sh") as terminal:
        before = terminal.mode()
        terminal.write(b"test -t 0 && test -t 1 && echo on a $((1+1))-way terminal; stty size; tty\n")
        terminal.until(lambda text: b"on a 2-way terminal" in text and b"30 100" in text and b"/dev/pts/" in text)
        assert not terminal.mode() & (termios.ECHO | termios.ICANON), "the client's terminal is raw meanwhile"
        terminal.write(b"sh -c 'echo now; exec sleep 300'\n")  # not yet the command, a shell may lose ^C
        terminal.until(lambda text: text.endswith(b"now\r\n"))
        terminal.write(b"\x03")
        terminal.write(b"echo code $?; exit 7\n")
        terminal.until(lambda text: b"code 130" in text)
        assert terminal.process.wait(20) == 7
        assert terminal.mode() == before, "and put back"


def test_a_resized_terminal_is_passed_on(box: Project) -> None:
    """When our window changes, the command's terminal changes with it."""
    script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done"
    with terminal_of(box, "sh", "-c", script) as terminal:
        terminal.until(lambda text: b"ready" in text)
        terminal.resize(50, 132)
        os.kill(terminal.process.pid, signal.SIGWINCH)  # our terminal is not the process's controlling one
        terminal.until(lambda text: b"50 132" in text)
