"""The commands that hands know from `docker compose`, each as they type it."""

import json
import signal
import subprocess
import tarfile

from e2e.checks import eventually
from e2e.project import Project

SHOP = """
    services:
      db:
        image: local/host
        command: [sleep, infinity]
        stop_grace_period: 0s
        restart: always
        volumes: [data:/data]
        healthcheck: {test: [CMD, "true"], interval: 1s}
      web:
        image: local/host
        command: [sh, -c, "echo web is here; exec sleep infinity"]
        stop_grace_period: 0s
        restart: always
        ports: ["127.0.0.1:PORT:80"]
        depends_on: {db: {condition: service_healthy}, migrate: {condition: service_completed_successfully}}
      migrate:
        image: local/host
        command: [sh, -c, "echo migrated"]
      tools:
        image: local/host
        command: [sleep, infinity]
        stop_grace_period: 0s
        restart: always
        profiles: [debug]
    volumes: {data: {}}
"""


def shop(project: Project, port: int) -> None:
    project.write(SHOP.replace("PORT", str(port)))


def ps(project: Project, *args: str) -> dict[str, dict[str, object]]:
    lines = project.orch("ps", "--format", "json", *args).expect().lines
    return {str(row["Service"]): row for row in map(json.loads, lines)}


def states(project: Project) -> dict[str, object]:
    """What ps says of the services that do not end by themselves."""
    return {name: row["Status"] for name, row in ps(project, "-a").items() if name != "migrate"}


def running(project: Project) -> list[str]:
    return [pod["metadata"]["name"] for pod in project.pods() if pod["status"]["phase"] == "Running"]


def test_a_project_from_up_to_down(project: Project) -> None:
    shop(project, 18931)
    up = project.orch("up", "-d", "--wait-timeout", "60").expect()
    assert "created" in up.out
    again = project.orch("up", "-d").expect()
    assert "unchanged" in again.out
    assert "configured" not in again.out
    there = ps(project)
    assert {name: row["State"] for name, row in there.items()} == {"db": "running", "web": "running"}
    assert str(there["db"]["Status"]).endswith("(healthy)")
    assert there["web"]["Ports"] == "127.0.0.1:18931->80/tcp"
    assert str(ps(project, "-a")["migrate"]["Status"]).startswith("Exited (0)")
    assert project.orch("ps", "--services").lines == ["db", "web"]
    assert project.orch("ps", "-q", "web").lines == [project.pod("web")["metadata"]["name"]]
    assert project.orch("ps", "--format", "{{.Service}}={{.State}}", "db").lines == ["db=running"]
    assert project.orch("port", "web", "80").expect().lines == ["127.0.0.1:18931"]
    assert "no port 81/tcp" in project.orch("port", "web", "81").expect(1).err
    assert project.orch("volumes", "-q").lines == ["data"]
    assert "local/host" in project.orch("images").expect().out
    listed = {row["Name"]: row for row in json.loads(project.orch("ls", "--format", "json").expect().out)}
    assert listed[project.name]["ConfigFiles"] == str(project.file)
    assert "there are: db, migrate, web" in project.orch("ps", "wbe").expect(1).err
    project.orch("down").expect()
    assert not project.pods()
    assert project.daemon.names("persistentvolumeclaims", project.name) == ["data"]
    assert "no project" in project.orch("stop").expect(1).err
    project.orch("down", "-v").expect(2)  # it destroys data, and nobody can be asked
    project.orch("down", "-v", "-y").expect()
    assert not project.exists()


def test_what_is_stopped_stays_stopped(own_project: Project) -> None:
    """Through a restart of the daemon, and an apply of the same file; `up` starts it again."""
    project = own_project
    shop(project, 18932)
    project.orch("up", "-d").expect()
    assert project.orch("stop").expect().lines == ["web stopped", "db stopped"]  # what others wait for comes last
    project.daemon.kill_daemon()
    project.orch("system", "start").expect()
    project.orch("apply").expect()
    assert states(project) == {"db": "Stopped", "web": "Stopped"}
    assert not running(project)
    assert project.orch("start", "web").expect().lines == ["db started", "web started"]
    assert ps(project).keys() == {"db", "web"}
    project.orch("kill", "web").expect()
    assert ps(project).keys() == {"db"}
    project.orch("up", "-d").expect()
    assert ps(project).keys() == {"db", "web"}


def test_some_services_of_a_project(project: Project) -> None:
    shop(project, 18933)
    project.orch("up", "-d", "db").expect()
    assert ps(project, "-a").keys() == {"db"}
    first = project.pod("db")["metadata"]["uid"]
    project.orch("up", "-d", "web").expect()
    assert ps(project).keys() == {"db", "web"}
    project.orch("--profile", "debug", "up", "-d", "--no-deps", "--scale", "tools=2", "tools").expect()
    assert len(project.pods("tools")) == 2
    # A service of another profile is no orphan; one that left the file is, and stays until it is said.
    without = SHOP.replace("PORT", "18933").replace("migrate: {condition: service_completed_successfully}", "")
    project.write(without[: without.index("      migrate:")] + without[without.index("      tools:") :])
    up = project.orch("up", "-d").expect()
    assert "warning: not in the files, and left as they are: migrate (" in up.err
    assert ps(project, "-a").keys() == {"db", "web", "migrate", "tools"}
    assert "warning" not in project.orch("up", "-d", "--remove-orphans").expect().err
    eventually(lambda: ps(project, "-a").keys() == {"db", "web", "tools"})
    assert project.pod("db")["metadata"]["uid"] == first
    project.orch("up", "-d", "--force-recreate", "--no-deps", "db").expect()
    assert project.pod("db")["metadata"]["uid"] != first
    project.orch("down", "web").expect()
    assert ps(project).keys() == {"db", "tools"}


def test_up_in_the_foreground_until_ctrl_c(project: Project) -> None:
    shop(project, 18934)
    with project.daemon.popen("up", cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as up:
        try:
            assert up.stdout is not None
            line = next(line for line in iter(up.stdout.readline, b"") if b"web is here" in line)
            assert line.startswith(b"web-")
            up.send_signal(signal.SIGINT)
            err = up.communicate(timeout=60)[1]
        finally:
            up.kill()
    assert up.returncode == 130, err
    assert b"stopping" in err
    assert states(project) == {"db": "Stopped", "web": "Stopped"}


def test_up_ends_as_a_container_does(project: Project) -> None:
    project.write("""
        services:
          test:
            image: local/host
            command: [sh, -c, "echo tests run; exit 7"]
            depends_on: [app]
          app:
            image: local/host
            command: [sleep, infinity]
            stop_grace_period: 0s
    """)
    done = project.orch("up", "--exit-code-from", "test", "--no-log-prefix").expect(7)
    assert project.orch("wait", "test", "app").expect(7).lines == ["test 7", "app 0"]
    assert all(
        "app" in json.loads(line)["involvedObject"]["name"] for line in project.orch("events", "--json", "app").lines
    )
    assert "tests run" in done.lines
    assert "exited with code 7" in done.err
    assert not running(project)
    project.orch("up", "-d", "--exit-code-from", "test").expect(2)
    project.orch("up", "--exit-code-from", "tset").expect(1)


def test_inside_the_containers(project: Project) -> None:
    """exec, cp, export, top, stats and kill, without a terminal."""
    script = "trap 'echo told' USR1; echo up; while :; do sleep 60 & wait $!; done"
    project.write(f"""
        services:
          app:
            image: local/host
            command: [sh, -c, "{script.replace("$", "$$")}"]
            environment: {{OWN: kept}}
            stop_grace_period: 0s
            restart: always
    """)
    project.orch("up", "-d").expect()
    told = project.orch("exec", "-u", "1000:1000", "-e", "MORE=given", "-w", "/tmp", "app", "sh", "-c",
                        "id -u; echo $OWN $MORE; pwd").expect()  # fmt: skip
    assert told.lines == ["1000", "kept given", "/tmp"]
    assert project.orch("exec", "-T", "app", "cat", input="passed on").expect().out == "passed on"
    project.orch("exec", "app", "sh", "-c", "exit 9").expect(9)
    project.orch("exec", "--index", "2", "app", "true").expect(1)
    project.orch("exec", "-d", "app", "sh", "-c", "echo behind > /tmp/made").expect()
    eventually(lambda: project.orch("exec", "app", "cat", "/tmp/made").out == "behind\n")

    tree = project.folder / "tree" / "below"
    tree.mkdir(parents=True)
    (tree / "file").write_text("content")
    project.orch("cp", "tree", "app:/tmp").expect()
    project.orch("cp", "tree/below/file", "app:/tmp/renamed").expect()
    project.orch("cp", "app:/tmp/tree", "back").expect()
    assert (project.folder / "back" / "below" / "file").read_text() == "content"
    project.orch("cp", "app:/tmp/renamed", ".").expect()
    assert (project.folder / "renamed").read_text() == "content"
    assert "cannot copy" in project.orch("cp", "app:/nowhere", ".").expect(1).err
    project.orch("cp", "a", "b").expect(2)
    project.orch("export", "app", "-o", "app.tar").expect()
    with tarfile.open(project.folder / "app.tar") as archive:
        assert "./tmp/renamed" in archive.getnames()

    assert "sleep 60" in project.orch("top", "app").expect().out
    (row,) = [json.loads(line) for line in project.orch("stats", "--no-stream", "--format", "json").expect().lines]
    assert int(row["PIDs"]) >= 2
    project.orch("kill", "-s", "USR1", "app").expect()
    project.logged("told", "app")
    project.orch("kill", "-s", "NONE", "app").expect(2)


def test_what_a_container_gives_stays_in_its_destination(project: Project) -> None:
    """A tar of the container's own that names what is above the destination, or writes through a link."""
    project.write("""
        services:
          app:
            image: local/host
            command: [sleep, infinity]
            environment: {PATH: "/tmp:/usr/bin:/bin"}
            stop_grace_period: 0s
            restart: always
    """)
    project.orch("up", "-d").expect()
    evil = (
        "import sys,tarfile,io; t=tarfile.open(fileobj=sys.stdout.buffer,mode='w|'); m=tarfile.TarInfo('x/../../out')"
    )
    script = f"#!/usr/bin/python3\n{evil}; m.size=1; t.addfile(m,io.BytesIO(b'!')); t.close()\n"
    project.orch("exec", "-T", "app", "sh", "-c", "cat > /tmp/tar; chmod 755 /tmp/tar", input=script).expect()
    (project.folder / "into").mkdir()
    assert "leads out of" in project.orch("cp", "app:/x", "into").expect(1).err
    assert not (project.folder / "out").exists()
