"""Restart policies, back-off and what is told of a container that ends; on real containers."""

import re
import signal
import time
from datetime import datetime
from typing import Any

import pytest

from e2e.checks import eventually, kill
from e2e.project import Project


def one(command: str, more: str = "") -> str:
    """A stack of one service `app` that runs a shell command; `more` are further lines of it."""
    return f"""
        services:
          app:
            image: local/host
            command: [sh, -c, {command!r}]
            stop_grace_period: 0s
            {more}
        """


def container(project: Project, service: str = "app") -> dict[str, Any]:
    """The container status of the service's oldest pod; waits until there is one."""

    def look() -> dict[str, Any] | None:
        statuses = [
            status for pod in project.pods(service)[:1] for status in pod["status"].get("containerStatuses", [])
        ]
        return statuses[0] if statuses else None

    return eventually(look, what=f"a container of {service}")


def restarts(project: Project) -> int:
    return int(container(project)["restartCount"])


def event_reasons(project: Project) -> set[str]:
    return {event["reason"] for event in project.daemon.items("events", project.name)}


@pytest.mark.parametrize("restart", ["always", "unless-stopped"])
def test_always_starts_again_after_success(project: Project, restart: str) -> None:
    project.apply(one("sleep 0.2; exit 0", f"restart: {restart}"), "--detach")
    eventually(lambda: restarts(project) >= 2)
    assert container(project)["lastState"]["terminated"]["exitCode"] == 0


def test_no_ends_with_the_container(project: Project) -> None:
    """restart: no, exit 0: apply is content, and there is no second run."""
    project.apply(one("echo once", 'restart: "no"'))
    pod = eventually(lambda: project.pod("app"))
    assert (pod["status"]["phase"], restarts(project)) == ("Succeeded", 0)
    assert project.logs("app", "--no-log-prefix") == ["once"]


def test_no_with_a_failure_fails_apply(project: Project) -> None:
    done = project.apply(one("echo broken >&2; exit 3", 'restart: "no"'), code=1)
    assert "3" in done.err + done.out
    assert "broken" in done.err + done.out, "the last log lines are shown"
    assert len(project.pods("app")) == 1


def test_on_failure_stops_after_so_many_tries(project: Project) -> None:
    """on-failure:2 runs three times in all, with growing pauses, and then it has failed."""
    done = project.apply(one("date +%s.%N; exit 4", 'restart: "on-failure:2"'), code=1)
    assert "4" in done.err + done.out
    eventually(lambda: project.get("job", "app")["status"].get("conditions"))
    failed = [c for c in project.get("job", "app")["status"]["conditions"] if c["type"] == "Failed"]
    assert failed, project.get("job", "app")["status"]
    assert failed[0]["reason"] == "BackoffLimitExceeded"


def test_on_failure_is_over_with_a_success(project: Project) -> None:
    script = "if [ -e /data/second ]; then exit 0; fi; touch /data/second; exit 5"
    volume = 'restart: on-failure\n            volumes: ["data:/data"]\n        volumes: {data: {}}'
    project.apply(one(script, volume))
    eventually(lambda: project.get("job", "app")["status"].get("succeeded") == 1)


def test_the_back_off_doubles_and_is_shown(project: Project) -> None:
    """Runs of no length start at 0.5, 1, 2 s after each other; status says when the next try is, and why."""
    project.apply(one("date +%s.%N; exit 3", "restart: always"), "--detach")
    eventually(lambda: restarts(project) >= 3)
    waiting = eventually(lambda: container(project)["state"].get("waiting"))
    assert waiting["reason"] == "CrashLoopBackOff"
    assert re.search(r"exited with code 3; next try at \d\d:\d\d:\d\dZ \(try 5\)", waiting["message"])
    shown = project.orch("status").out
    assert "next try" in shown, shown
    begun = datetime.fromisoformat(project.pod("app")["status"]["startTime"])
    assert time.time() - begun.timestamp() > 1.4, "two pauses, of 0.5 and 1 s, less jitter"


def test_a_restart_after_a_good_while_is_immediate(project: Project) -> None:
    """Ten seconds are a good while: killed after it, the container has a successor at once."""
    project.apply(one("exec sleep infinity", "restart: always"))
    pid = project.pid("app")
    eventually(lambda: _age(pid) > 10.3, within=15)
    kill(pid)
    eventually(lambda: project.pid("app") != pid, within=5)
    ended = eventually(lambda: container(project)["lastState"].get("terminated"))
    assert (ended["signal"], ended["exitCode"]) == (signal.SIGKILL, 137)


def _age(pid: int) -> float:
    """Seconds since the process started."""
    with open(f"/proc/{pid}/stat") as stat, open("/proc/uptime") as uptime:
        return float(uptime.read().split()[0]) - int(stat.read().rpartition(")")[2].split()[19]) / 100


def test_a_change_of_the_spec_begins_the_count_anew(project: Project) -> None:
    project.apply(one("exit 3", "restart: always"), "--detach")
    eventually(lambda: restarts(project) >= 3)
    project.apply(one("exec sleep infinity", "restart: always"))
    assert restarts(project) == 0


def test_a_crash_loop_fails_apply_with_its_last_words(project: Project) -> None:
    done = project.apply(one("echo no database >&2; exit 1", "restart: always"), code=1)
    assert "no database" in done.err + done.out
    assert "exited with code 1" in done.err + done.out


@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [("[/usr/bin/no-such-program]", 127, "ExecutableNotFound"), ("[/etc/passwd]", 126, "NotExecutable")],
)
def test_a_program_that_cannot_be_run_is_named(project: Project, command: str, code: int, reason: str) -> None:
    text = f"""
        services:
          app:
            image: local/host
            command: {command}
            restart: "no"
        """
    done = project.apply(text, code=1)
    assert command.strip("[]") in done.err + done.out
    told = eventually(lambda: container(project)["state"].get("terminated"))
    assert (told["exitCode"], told["reason"]) == (code, reason)


def test_out_of_memory_is_told_with_limit_and_peak(project: Project) -> None:
    greedy = "python3 -c 'x = bytearray(200 << 20); print(len(x))'"
    project.apply(one(greedy, "restart: always\n            mem_limit: 64m"), "--detach")
    told = eventually(lambda: container(project)["lastState"].get("terminated"))
    assert told["reason"] == "OOMKilled"
    assert re.search(r"limit 64Mi, peak 6\d(\.\d+)?Mi, victim python3? pid \d+", told["message"]), told
    eventually(lambda: "OOMKilled" in event_reasons(project))
    eventually(lambda: "out of memory" in project.orch("status").out)


def test_an_init_process_reaps_and_forwards(project: Project) -> None:
    """init: true: the signal reaches the program, and its exit code is the container's."""
    project.apply(one("trap 'exit 9' TERM; while :; do sleep 0.05; done", "init: true\n            restart: always"))
    kill(project.pid("app"), signal.SIGTERM)
    told = eventually(lambda: container(project)["lastState"].get("terminated"))
    assert told["exitCode"] == 9
