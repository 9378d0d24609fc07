"""A container's life under Docker and Podman: exec, stop, kill, pause, update, restart, health, statistics."""

import json

from e2e.callers.engine import Engine, there
from e2e.checks import eventually


def test_exec(caller: Engine) -> None:
    name = caller.start()
    assert (
        caller.exec(name, "sh", "-c", "echo $A; pwd; exit 3", options=["-e", "A=b", "-w", "/bin"], code=3).out
        == "b\n/bin\n"
    )
    assert "uid=9" in caller.exec(name, "id", options=["--user", "9"]).out
    assert caller.exec(name, "sh", "-c", "test -t 0 && echo tty", options=["-t"]).out.strip() == "tty"
    caller.exec(name, "/nowhere", code=127)
    caller.exec(name, "sh", "-c", "sleep 1000", options=["-d"])
    eventually(lambda: caller.call("top", name).out.count("sleep 1000") >= 2)


def test_input(caller: Engine) -> None:
    name = caller.start()
    front = ["docker"] if caller.docker else ["podman", "--runtime", caller.runtime]
    assert there(*front, "exec", "-i", name, "cat", input=b"words\n").out == "words\n"


def test_stop_sends_the_signal_then_kills(caller: Engine) -> None:
    polite = caller.start("sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done")
    caller.call("stop", "-t", "10", polite)
    assert caller.inspect(polite)["State"]["ExitCode"] == 5
    deaf = caller.start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    caller.call("stop", "-t", "1", deaf)
    assert caller.inspect(deaf)["State"]["ExitCode"] == 137


def test_kill_with_a_signal(caller: Engine) -> None:
    name = caller.start("sh", "-c", "trap 'exit 9' USR1; while :; do sleep 0.1; done")
    eventually(lambda: "sleep" in caller.call("top", name).out)
    caller.call("kill", "-s", "USR1", name)
    eventually(lambda: caller.inspect(name)["State"]["Status"] == "exited")
    assert caller.inspect(name)["State"]["ExitCode"] == 9


def test_pause_and_resume(caller: Engine) -> None:
    name = caller.start()
    caller.call("pause", name)
    assert caller.inspect(name)["State"]["Status"] == "paused"
    caller.exec(name, "true", code=None if caller.docker else 255) if caller.docker else None
    caller.call("unpause", name)
    caller.exec(name, "true")


def test_update(caller: Engine) -> None:
    name = caller.start(options=["--memory", "64m"])
    caller.call(
        "update", "--memory", "96m", *(["--memory-swap", "192m"] if caller.docker else []), "--pids-limit", "77", name
    )
    pid = caller.inspect(name)["State"]["Pid"]
    groups = there("cat", f"/proc/{pid}/cgroup").out
    paths = {
        controller: line.split(":")[2] for line in groups.splitlines() for controller in line.split(":")[1].split(",")
    }
    limit = (
        there("cat", f"/sys/fs/cgroup/memory{paths['memory']}/memory.limit_in_bytes")
        if "memory" in paths
        else there("cat", f"/sys/fs/cgroup{paths['']}/memory.max")
    )
    assert limit.out.strip() == str(96 << 20)


def test_a_failed_container_is_restarted(caller: Engine) -> None:
    name = caller.start("sh", "-c", "sleep 0.2; exit 1", options=["--restart", "on-failure:2"])
    eventually(
        lambda: caller.inspect(name)["RestartCount"] == 2 and not caller.inspect(name)["State"]["Running"], within=30
    )


def test_restart_by_hand(caller: Engine) -> None:
    name = caller.start()
    first = caller.inspect(name)["State"]["Pid"]
    caller.call("restart", "-t", "0", name)
    assert caller.inspect(name)["State"]["Pid"] not in (0, first)


def test_a_health_check(caller: Engine) -> None:
    name = caller.start(
        options=[
            "--health-cmd",
            "test -e /tmp/well || test -e /well",
            "--health-interval",
            "1s",
            "--health-retries",
            "1",
        ]
    )
    caller.exec(name, "touch", "/well")

    def well() -> bool:
        if not caller.docker:  # without systemd nobody runs Podman's timer
            caller.call("healthcheck", "run", name, code=None)
        return bool(caller.inspect(name)["State"]["Health"]["Status"] == "healthy")

    eventually(well, within=20)


def test_statistics(caller: Engine) -> None:
    name = caller.start("sh", "-c", "while :; do :; done")
    shown = eventually(
        lambda: json.loads(
            caller.call("stats", "--no-stream", "--format", "{{json .}}" if caller.docker else "json", name).out
        )
    )
    first = shown if isinstance(shown, dict) else shown[0]
    assert first.get("PIDs", first.get("pids")) in ("1", 1)


def test_out_of_memory_is_told(docker: Engine) -> None:
    name = docker.start(
        "sh", "-c", "x=a; while :; do x=$x$x; done", options=["--memory", "16m", "--memory-swap", "16m"]
    )
    eventually(lambda: not docker.inspect(name)["State"]["Running"], within=20)
    state = docker.inspect(name)["State"]
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)


def test_a_crashed_create_can_be_removed(caller: Engine) -> None:
    """The runtime refuses: the engine tells why and removes the container."""
    done = caller.run("true", options=["--sysctl", "kernel.no_such=1"], code=None)
    assert done.code != 0
    assert "kernel.no_such" in done.err
