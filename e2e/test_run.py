"""`orch run`: a command in a new container, of an image or of a service, as docker run and docker compose run."""

import signal
import subprocess
from collections.abc import Iterator

import pytest

from e2e.checks import eventually
from e2e.conftest import on
from e2e.daemon import ORCH, Daemon
from e2e.load import free_port
from e2e.project import Project
from e2e.terminal import Terminal

IMAGE = "local/host"


@pytest.fixture(scope="module")
def box(shared: Daemon, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    for made in on(shared, request, tmp_path_factory.mktemp("run")):
        made.daemon.request("POST", "/api/v1/namespaces", {"metadata": {"name": made.name}})
        yield made


def gone(box: Project, name: str) -> None:
    eventually(lambda: name not in box.daemon.names("pods", box.name), what=f"pod {name} to go")


def test_output_input_and_exit_code_of_a_command(box: Project) -> None:
    script = 'printf "%s|%s|%s|" "$A" "$B" "$(pwd)"; cat; echo err >&2; exit 7'
    words = ("run", "-n", box.name, "--rm", "-i", "-e", "A=$x $(B)", "-e", "B", "-w", "/usr", IMAGE, "sh", "-c", script)
    done = box.orch(*words, input="one\ntwo", env={"B": "ours"})
    assert (done.code, done.out, done.err) == (7, "$x $(B)|ours|/usr|one\ntwo", "err\n")
    assert box.daemon.names("pods", box.name) == []


def test_what_may_not_be_and_what_cannot_be_started(box: Project) -> None:
    run = ("run", "-n", box.name)
    assert "there is one runtime" in box.orch(*run, "--runtime", "runsc", IMAGE, "true").expect(2).err
    assert "--memory: cannot read size" in box.orch(*run, "-m", "much", IMAGE, "true").expect(2).err
    assert "an address" in box.orch(*run, "--network", "none", IMAGE, "true").expect(2).err
    assert "--mount x=1: not supported" in box.orch(*run, "--mount", "x=1", IMAGE, "true").expect(2).err
    assert "--rm goes with no --restart" in box.orch(*run, "--rm", "--restart", "always", IMAGE).expect(2).err
    assert "orch image pull local/nothing" in box.orch(*run, "local/nothing", "true").expect(125).err
    assert "executable file not found" in box.orch(*run, IMAGE, "no-such").expect(127).err
    missing = box.orch(*run, "--mount", "type=bind,src=/no/such,dst=/x", IMAGE, "true").expect(125)
    assert "/no/such: no such file or directory" in missing.err
    assert box.daemon.names("pods", box.name) == []  # what never ran leaves nothing


def test_limits_identity_and_files(box: Project) -> None:
    kept, scratch = box.folder / "kept", f"{box.name}-data"
    kept.mkdir()
    script = "id -u; hostname; touch /x 2>/dev/null || echo sealed; echo k >/kept/f; echo k >/data/f; ls /mem"
    words = (
        "run", "-n", box.name, "--name", "full", "--rm", "-m", "64m", "--cpus", "0.5", "--pids-limit", "20", "--init",
        "--read-only", "--hostname", "h1", "--cap-drop", "ALL", "-v", f"{kept}:/kept", "-v", f"{scratch}:/data",
        "--tmpfs", "/mem:size=1m", "-l", "tier=x", IMAGE, "sh", "-c",
    )  # fmt: skip
    assert box.orch(*words, script).expect().out == "0\nh1\nsealed\n"
    assert (kept / "f").read_text() == "k\n"
    again = box.orch("run", "-n", box.name, "--rm", "-v", f"{scratch}:/data:ro", IMAGE, "cat", "/data/f").expect()
    assert again.out == "k\n"


def test_nothing_of_the_output_is_lost(box: Project) -> None:
    """More than a log keeps: the container waits for its reader."""
    script = "head -c 60000000 /dev/zero; head -c 40000000 /dev/zero >&2"
    words = [ORCH, "run", "-n", box.name, "--rm", IMAGE, "sh", "-c", script]
    done = subprocess.run(words, env=box.daemon.env(), capture_output=True, timeout=120)
    assert (done.returncode, len(done.stdout), len(done.stderr)) == (0, 60_000_000, 40_000_000)
    assert not any(done.stdout)


def test_left_running_with_a_port_and_gone_when_it_ends(box: Project) -> None:
    port = free_port()
    serve = ("python3", "-c", "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=80)")
    words = ("run", "-n", box.name, "-d", "--rm", "--name", "web", "-p", f"127.0.0.1:{port}:80", IMAGE)
    assert box.orch(*words, *serve).expect().out == "web\n"
    fetch = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/etc/').status)"
    eventually(lambda: subprocess.run(["python3", "-c", fetch], capture_output=True).stdout == b"200\n")
    taken = box.orch("run", "-n", box.name, "-d", "--name", "web2", "-p", f"{port}:80", IMAGE, "true").expect(125)
    assert "already published" in taken.err
    assert "is there already" in box.orch("run", "-n", box.name, "--name", "web", IMAGE, "true").expect(125).err
    box.orch("delete", "pod", "web", "-n", box.name, "--grace-period", "0").expect()
    assert box.orch("run", "-n", box.name, "-d", "--rm", "--name", "short", IMAGE, "true").expect().out == "short\n"
    gone(box, "short")
    eventually(lambda: "web" not in box.daemon.names("services", box.name), what="its Service to go")


def test_a_terminal_and_leaving_it(box: Project) -> None:
    words = [ORCH, "run", "-n", box.name, "-it", "--rm", "--name", "shell", IMAGE, "sh"]
    with Terminal(words, box.daemon.env()) as shell:
        shell.write(b"echo $((40+2)) $TERM; stty size\n")
        shell.sees("42 xterm", "30 100")
        shell.write(b"\x10\x11")
        assert shell.process.wait(60) == 0
    assert [pod["metadata"]["name"] for pod in box.pods()] == ["shell"]
    with Terminal([ORCH, "attach", "-it", "-n", box.name, "shell"], box.daemon.env()) as shell:
        shell.write(b"exit 3\n")
        shell.process.wait(60)


def test_interrupted(box: Project) -> None:
    """Ctrl-C reaches the command; what it says then is still seen."""
    script = "trap 'echo bye; exit 5' INT TERM; echo up; while :; do sleep 0.05; done"
    words = [ORCH, "run", "-n", box.name, "--rm", IMAGE, "sh", "-c", script]
    with subprocess.Popen(words, env=box.daemon.env(), stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"up\n"
        client.send_signal(signal.SIGINT)
        assert (client.stdout.read(), client.wait(60)) == (b"bye\n", 5)


SERVICES = """
    services:
      api:
        image: local/host
        command: [sleep, infinity]
        restart: always
        environment: {A: file, B: file}
        volumes: ["data:/data"]
        networks: [back]
        ports: ["PORT:80"]
        depends_on: {db: {condition: service_healthy}}
      db:
        image: local/host
        command: [sleep, infinity]
        restart: always
        stop_grace_period: 0s
        networks: [back]
        healthcheck: {test: [CMD, "true"], interval: 1s}
    volumes: {data: }
    networks: {back: }
"""


def test_a_command_with_all_that_a_service_has(project: Project) -> None:
    project.write(SERVICES.replace("PORT", str(free_port())))
    words = ("run", "--rm", "-e", "A=ours", "api", "sh", "-c", "echo $A $B; getent hosts db >/dev/null && ls -d /data")
    done = project.orch(*words).expect()
    assert done.out == "ours file\n/data\n"
    assert "db not ready" in done.err or "db does not exist" in done.err
    assert {row["name"] for row in project.get("stack", project.name)["status"]["services"]} == {"db"}
    assert project.daemon.names("pods", project.name) == [project.pod("db")["metadata"]["name"]]
    alone = project.orch("run", "-d", "--no-deps", "--name", "one", "api").expect()
    assert alone.out == "one\n"
    assert "publish" not in str(project.daemon.items("services", project.name))
    assert "no service 'nope'" in project.orch("run", "-f", "compose.yaml", "nope").expect(2).err
    project.orch("delete", "-f", "compose.yaml").expect()
    gone(project, "one")
