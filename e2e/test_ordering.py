"""Who waits for whom holds at every start: apply, crash, daemon restart, reboot; and in reverse at every stop."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import alive, cgroups_named, eventually, kill
from e2e.daemon import Daemon
from e2e.project import Project

# Says when it started and when it was asked to end, in seconds since the epoch, on a volume that outlives it.
APP = """
import os, signal, sys, time
def note(what):
    with open("/notes/times", "a") as file:
        file.write(f"{os.environ['ME']} {what} {time.time()}\\n")
note("start")
def end(*_):
    time.sleep(float(os.environ.get("SLOW_END", "0")))
    note("end")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
time.sleep(float(os.environ.get("SLOW_START", "0")))
open("/tmp/ready", "w").close()
note("ready")
while True:
    time.sleep(1)
"""
CHECK = "{test: [CMD, test, -e, /tmp/ready], interval: 1s, retries: 60}"


def service(name: str, more: str = "") -> str:
    lines = f"""
          {name}:
            image: local/host
            command: {json.dumps(["python3", "-u", "-c", APP])}
            restart: always
            stop_grace_period: 5s
            volumes: ["./notes:/notes"]
            """
    return lines + more.strip("\n") + "\n"


def chain(slow: float, *, restart: bool = False) -> str:
    """web waits for api, api for a healthy db, which takes `slow` seconds."""
    follow = "{condition: service_healthy, restart: true}" if restart else "{condition: service_healthy}"
    return (
        "        services:"
        + service("db", f'environment: {{ME: db, SLOW_START: "{slow}"}}\n            healthcheck: {CHECK}')
        + service(
            "api",
            f"environment: {{ME: api}}\n            healthcheck: {CHECK}\n            depends_on: {{db: {follow}}}",
        )
        + service("web", "environment: {ME: web}\n            depends_on: [api]")
    )


class Notes:
    """What the containers of a project wrote about themselves."""

    def __init__(self, project: Project) -> None:
        self._folder = project.folder / "notes"
        self._folder.mkdir()
        self._folder.chmod(0o777)

    def all(self, what: str) -> Mapping[str, list[float]]:
        found: dict[str, list[float]] = {}
        path = self._folder / "times"
        for line in path.read_text().splitlines() if path.exists() else []:
            name, kind, when = line.split()
            if kind == what:
                found.setdefault(name, []).append(float(when))
        return found

    def last(self, what: str) -> Mapping[str, float]:
        return {name: times[-1] for name, times in self.all(what).items()}

    def forget(self) -> None:
        (self._folder / "times").unlink()


@pytest.fixture
def notes(own_project: Project) -> Notes:
    return Notes(own_project)


def in_order(notes: Notes) -> bool:
    """Each of the chain started after what it waits for was there, in its last run."""
    started, there = notes.last("start"), notes.last("ready")
    assert {"db", "api", "web"} <= started.keys()
    assert there["db"] <= started["api"], "api started before db was ready"
    assert started["api"] <= started["web"], "web started before api"
    return True


def reboot(daemon: Daemon) -> None:
    """What a power cut leaves: no process of the instance, an empty run directory, links and rules gone with them."""
    status = daemon.status()
    volatile = next(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()
                    if line.split()[4].startswith(f"{daemon.run}/"))  # fmt: skip
    daemon.kill_daemon()
    for name in ("supervisorPid", "resolverPid"):
        kill(status[name])
    inside = cgroups_named(f"/orch-{daemon.name}/")
    for pid in {int(line) for path in inside for line in _procs(path)}:
        if alive(pid):
            kill(pid)
    _unmount(volatile)
    shutil.rmtree(daemon.run)


def _procs(path: str) -> list[str]:
    try:
        return Path(path, "cgroup.procs").read_text().split()
    except FileNotFoundError:
        return []


def _unmount(place: str) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.umount2(os.fsencode(place), 0) == 0, os.strerror(ctypes.get_errno())


def container(project: Project, service: str) -> dict[str, Any]:
    found: dict[str, Any] = project.pod(service)["status"]["containerStatuses"][0]
    return found


def test_apply_starts_in_order_and_says_who_waits(own_project: Project, notes: Notes) -> None:
    own_project.apply(chain(2), "--detach")
    shown = eventually(lambda: text if "db not" in (text := own_project.orch("status").out) else None)
    assert "api" in shown
    gated = eventually(lambda: own_project.pod("api"))
    assert [gate["name"] for gate in gated["spec"]["schedulingGates"]] == ["orchestr.dev/dependencies"]
    eventually(lambda: in_order(notes))
    own_project.apply(chain(2))


def test_a_crash_makes_dependants_wait_and_restarts_those_that_asked(own_project: Project, notes: Notes) -> None:
    """The db dies; api (restart: true) gets a new pod once it is back."""
    own_project.apply(chain(1.5, restart=True))
    eventually(lambda: in_order(notes))
    api, notes_before = own_project.pid("api"), len(notes.all("start")["api"])
    kill(own_project.pid("db"))
    eventually(lambda: len(notes.all("start")["api"]) > notes_before)
    assert not alive(api)
    assert notes.last("ready")["db"] <= notes.last("start")["api"]
    assert len(notes.all("start")["db"]) == 2


def test_a_dependant_that_crashes_with_its_dependency_waits(own_project: Project, notes: Notes) -> None:
    """db and api die together: api's container waits for db, in its pod and with the reason in its status."""
    own_project.apply(chain(2))
    eventually(lambda: in_order(notes))
    for name in ("db", "api"):
        kill(own_project.pid(name))
    eventually(
        lambda: "db not ready" in (container(own_project, "api")["state"].get("waiting") or {}).get("message", "")
    )
    eventually(lambda: len(notes.all("start")["api"]) == 2)
    assert notes.last("ready")["db"] <= notes.last("start")["api"]


def test_a_restart_of_the_daemon_changes_nothing_and_keeps_the_order(own_project: Project, notes: Notes) -> None:
    """Killed while the slow db starts: api is still held back by the next daemon."""
    own_project.apply(chain(3), "--detach")
    eventually(lambda: "db" in notes.last("start"))
    own_project.daemon.kill_daemon()
    own_project.daemon.start()
    eventually(lambda: in_order(notes))
    assert len(notes.all("start")["db"]) == 1


def test_the_order_holds_after_a_reboot(own_project: Project, notes: Notes) -> None:
    own_project.apply(chain(5))
    eventually(lambda: in_order(notes))
    notes.forget()
    reboot(own_project.daemon)
    own_project.daemon.start()
    before = eventually(lambda: notes.last("start"))
    assert set(before) == {"db"}, "nothing but the db may start"
    eventually(lambda: in_order(notes))
    for name in ("db", "api", "web"):
        told = eventually(lambda: container(own_project, name)["lastState"].get("terminated"))  # noqa: B023
        assert told["reason"] == "ContainerStatusUnknown"


@pytest.mark.parametrize("how", ["delete", "stop --all"])
def test_stopping_goes_in_reverse(own_project: Project, notes: Notes, how: str) -> None:
    """Each is asked to end only when what depends on it has ended, though that takes a while."""
    own_project.apply(
        chain(0).replace("ME: web", 'ME: web, SLOW_END: "0.5"').replace("ME: api", 'ME: api, SLOW_END: "0.5"')
    )
    eventually(lambda: in_order(notes))
    if how == "delete":
        own_project.orch("delete", "stack", own_project.name, "-n", own_project.name).expect()
    else:
        own_project.daemon.orch("system", "stop", "--all").expect()
    ended = eventually(lambda: times if len(times := notes.last("end")) == 3 else None)
    assert ended["web"] + 0.4 < ended["api"]
    assert ended["api"] <= ended["db"]
    if how != "delete":
        own_project.daemon.start()
        eventually(lambda: len(notes.all("start")["web"]) == 2)
        assert in_order(notes)


def test_a_completed_job_is_waited_for(own_project: Project, notes: Notes) -> None:
    """service_completed_successfully: the api starts after the exit 0 of the migration."""
    own_project.apply(
        "        services:"
        + """
          migrate:
            image: local/host
            command: [sh, -c, "sleep 1; echo migrate done $(date +%s.%N) >> /notes/times"]
            restart: "no"
            volumes: ["./notes:/notes"]"""
        + service(
            "api",
            "environment: {ME: api}\n            depends_on: {migrate: {condition: service_completed_successfully}}",
        )
    )
    assert notes.last("done")["migrate"] <= notes.last("start")["api"]


def test_what_depends_on_a_failure_never_starts_and_says_so(own_project: Project, notes: Notes) -> None:
    done = own_project.apply(
        "        services:"
        + """
          migrate:
            image: local/host
            command: [sh, -c, "echo no such table >&2; exit 3"]
            restart: "no"
            """
        + service(
            "api",
            "environment: {ME: api}\n            depends_on: {migrate: {condition: service_completed_successfully}}",
        ),
        code=1,
    )
    assert "migrate" in done.err + done.out
    assert "no such table" in done.err + done.out
    assert "api" not in notes.last("start")
    assert "migrate failed" in own_project.orch("status").out


def test_objects_wait_by_annotation(own_project: Project, notes: Notes) -> None:
    """The same for Kubernetes objects, by orchestr.dev/depends-on, and for a ConfigMap that comes later."""
    pod = """
        apiVersion: v1
        kind: Pod
        metadata:
          name: late
          annotations: {orchestr.dev/depends-on: pod/early}
        spec:
          terminationGracePeriodSeconds: 0
          containers: [{name: main, image: local/host, command: [sleep, infinity]}]
        """
    own_project.objects(pod, "--detach")
    gated = eventually(lambda: own_project.daemon.pods(own_project.name)[0]["status"].get("conditions"))
    assert "early does not exist" in json.dumps(gated)
    early = pod.replace("name: late", "name: early").replace("annotations: {orchestr.dev/depends-on: pod/early}", "")
    needs = "command: [sleep, infinity], envFrom: [{configMapRef: {name: settings}}]"
    own_project.objects(early.replace("command: [sleep, infinity]", needs), "--detach")
    eventually(lambda: "configmap/settings does not exist" in own_project.orch("status", "-A").out)
    own_project.objects("        {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {A: b}}")
    own_project.orch(
        "wait", "pod/late", "-n", own_project.name, "--for", "condition=Ready", "--timeout", "20s"
    ).expect()


def test_a_signal_is_a_signal(own_project: Project, notes: Notes) -> None:
    """stop_signal is what a container gets at its end, before the grace period is over."""
    own_project.apply(
        "        services:"
        + service("db", "environment: {ME: db}\n            stop_signal: SIGUSR1").replace("SIGTERM", "SIGUSR1")
    )
    eventually(lambda: notes.last("start"))
    pid = own_project.pid("db")
    own_project.orch("delete", "stack", own_project.name, "-n", own_project.name).expect()
    assert notes.last("end")
    assert not alive(pid)
