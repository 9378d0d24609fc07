"""The commands that look and those that change a little: each against a running stack, as a user types them."""

import json
import re
import subprocess
import xml.etree.ElementTree as Tree
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest
import yaml

from e2e.checks import eventually
from e2e.conftest import Host, on
from e2e.daemon import Daemon
from e2e.project import Project

EVERYTHING = """
    services:
      db:
        image: local/host
        command: [sleep, infinity]
        restart: always
        stop_grace_period: 0s
        volumes: [data:/data]
        healthcheck: {test: [CMD, "true"], interval: 1s}
        deploy: {resources: {limits: {cpus: "0.5", memory: 64M}}}
      web:
        image: local/host
        command: [sleep, infinity]
        restart: always
        stop_grace_period: 0s
        depends_on: {db: {condition: service_healthy}, setup: {condition: service_completed_successfully}}
        expose: ["80"]
        configs: [page]
        secrets: [key]
        deploy: {replicas: 2}
      setup:
        image: local/host
        command: [sh, -c, echo done]
        restart: "no"
    volumes: {data: {}}
    configs: {page: {content: hello}}
    secrets: {key: {environment: KEY}}
"""
KINDS = (
    "namespace", "node", "pod", "configmap", "secret", "service", "endpointslice", "resourcequota",
    "persistentvolumeclaim", "deployment", "replicaset", "job", "stack", "event",
)  # fmt: skip


@pytest.fixture(scope="module")
def full(shared: Daemon, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stack with an object of every kind, for the commands that only look."""
    for made in on(shared, request, tmp_path_factory.mktemp("full")):
        made.write(EVERYTHING)
        made.orch("apply", "--timeout", "30s", env={"KEY": "s3cret-value"}).expect()
        quota = {"metadata": {"name": "limits"}, "spec": {"hard": {"pods": "9"}}}
        assert shared.request("POST", f"/api/v1/namespaces/{made.name}/resourcequotas", quota)[0] == 201
        yield made


def name_of(full: Project, kind: str) -> str:
    found = full.orch("get", kind, "-n", full.name, "-o", "name").expect().lines
    assert found, f"no {kind}"
    return found[0].partition("/")[2]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_form(full: Project, kind: str) -> None:
    """get as table, wide, names, JSON and YAML; describe; by name and in a list."""
    where = [] if kind in ("namespace", "node") else ["-n", full.name]
    table, wide = (full.orch("get", kind, *where, *more).expect() for more in ((), ("-o", "wide")))
    assert table.lines[0].startswith("NAME")
    assert len(wide.lines) == len(table.lines) > 1
    name = full.orch("get", kind, *where, "-o", "name").expect().lines[0].partition("/")[2]
    listed = full.orch("get", kind, *where, "-o", "json").json()
    assert listed["kind"] == "List"
    one = full.orch("get", kind, name, *where, "-o", "json").json()
    assert one["kind"].lower() == kind
    assert one["metadata"]["name"] == name
    assert one == yaml.safe_load(full.orch("get", f"{kind}/{name}", *where, "-o", "yaml").expect().out)
    described = full.orch("describe", kind, name, *where).expect().out
    assert re.search(rf"^Name: +{re.escape(name)}$", described, re.MULTILINE)


def test_a_secret_is_shown_nowhere_but_when_asked_for(full: Project) -> None:
    """describe, table, status, events and diff hide a Secret's content."""
    name = name_of(full, "secret")
    encoded = "czNjcmV0LXZhbHVl"
    full.write(EVERYTHING)
    changed = full.orch("diff", env={"KEY": "other-value"}).expect(1).out
    looks = [full.orch("describe", "secret", name, "-n", full.name).out, full.orch("get", "secret", "-o", "wide").out,
             full.orch("status").out, full.orch("events", "-A").out,
             full.orch("config", env={"KEY": "s3cret-value"}).out, changed]  # fmt: skip
    for text in looks:
        assert encoded not in text
        assert "s3cret-value" not in text
        assert "other-value" not in text
        assert "b3RoZXItdmFsdWU" not in text


def test_unknown_names_and_kinds_are_told_with_the_nearest(full: Project) -> None:
    """A typing mistake is answered with what was probably meant."""
    assert "did you mean deployments" in full.orch("get", "deploiments").expect(2).err
    assert "did you mean status" in full.orch("statuss").expect(2).err
    assert "did you mean web" in full.orch("logs", "wbe").expect(1).err
    missing = full.orch("get", "pod", "nobody")
    assert missing.code == 1
    assert "nobody" in missing.err
    assert full.orch("get", "pods", "--bogus").expect(2).err.startswith("orch get: unrecognized arguments: --bogus")


def test_labels_and_fields_select(full: Project) -> None:
    """-l and --field-selector narrow a list."""
    some = full.orch("get", "pods", "-l", "orchestr.dev/service=web", "-o", "name").expect().lines
    assert len(some) == 2
    one = full.orch("get", "pods", "--field-selector", f"metadata.name={some[0].partition('/')[2]}", "-o", "name")
    assert one.expect().lines == some[:1]


def test_status_is_a_tree_of_stack_workload_and_pod(full: Project) -> None:
    """status indents pods below workloads below the stack and counts what is ready."""
    lines = full.orch("status", "-n", full.name).expect().lines
    words = [line.split() for line in lines[1:]]
    assert words[0][:3] == [f"stack/{full.name}", "3/3", "Ready"]
    assert [(line.index(line.strip()[0]), line.split()[0].partition("/")[0]) for line in lines[1:]] == [
        (0, "stack"), (2, "deployment"), (4, "pod"), (2, "job"), (4, "pod"), (2, "deployment"), (4, "pod"), (4, "pod"),
    ]  # fmt: skip
    assert [row[1] for row in words if row[0] == "deployment/web"] == ["2/2"]


def test_status_as_data_has_the_same_tree(full: Project) -> None:
    """-o json nests what the table indents; -o yaml is the same document."""
    data = full.orch("status", "-n", full.name, "-o", "json").json()
    (stack,) = data["items"]
    assert stack["kind"] == "Stack"
    below = {child["name"]: child for child in stack["children"]}
    assert set(below) == {"db", "web", "setup"}
    assert below["web"]["ready"] == "2/2"
    assert [pod["kind"] for pod in below["web"]["children"]] == ["Pod", "Pod"]
    assert yaml.safe_load(full.orch("status", "-n", full.name, "-o", "yaml").expect().out) == data


def test_status_follows_changes(project: Project) -> None:
    """status -w prints again when pods change."""
    project.apply(EVERYTHING.replace("secrets: [key]", "").replace("secrets: {key: {environment: KEY}}", ""))
    with project.daemon.popen("status", "-w", "-n", project.name, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        project.orch("scale", "web=1").expect()
        for line in watching.stdout:
            if line.split()[:2] == [b"deployment/web", b"1/1"]:
                break
        watching.kill()


def test_graph_draws_who_waits_for_whom(full: Project) -> None:
    """Text, dot, mermaid and SVG of a file name all services; of stored objects likewise."""
    for form, sign in (("text", "web"), ("dot", "digraph"), ("mermaid", "flowchart"), ("svg", "<svg")):
        drawn = full.orch("graph", "-o", form, env={"KEY": "x"}).expect().out
        assert sign in drawn
        assert all(name in drawn for name in ("web", "db", "setup"))
        if form == "svg":
            assert Tree.fromstring(drawn).tag.endswith("svg")
    assert "deployment/web" in full.orch("graph", "-n", full.name).expect().out


def test_graph_of_a_file_needs_no_daemon(host: Host, tmp_path: Path) -> None:
    """graph -f reads only the file."""
    (tmp_path / "compose.yaml").write_text(
        "services: {a: {image: local/host, depends_on: [b]}, b: {image: local/host}}\n"
    )
    daemon = Daemon()
    text = daemon.orch("graph", "-f", str(tmp_path / "compose.yaml")).expect().out
    assert "a" in text
    assert "b" in text
    daemon.nothing_left()


def test_top_shows_memory_of_every_running_pod(full: Project) -> None:
    """top lists cpu, memory, tasks and io; --containers, -o wide and -o json too."""
    lines = full.orch("top").expect().lines
    assert lines[0].split() == ["NAME", "CPU", "MEMORY", "PIDS", "READ", "WRITTEN"]
    assert len(lines) == 4
    assert all(re.search(r"\d+m +\d+\.\dMi +[1-9]\d* +\d+\.\dMi +\d+\.\dMi$", line) for line in lines[1:])
    assert full.orch("top", "-o", "wide").expect().lines[0].endswith("THROTTLED")
    items = full.orch("top", "--containers", "-o", "json").json()["items"]
    assert all(container["usage"]["memory"] for item in items for container in item["containers"])


def test_wait_ends_with_the_condition_or_3(full: Project) -> None:
    """wait: 0 when ready or complete, 3 when not in time, 2 when it cannot be waited for."""
    full.orch("wait", "deployment/web", "--for", "ready", "--timeout", "5s").expect()
    full.orch("wait", "job/setup", "--for", "complete", "--timeout", "5s").expect()
    full.orch("wait", "pod", "-l", "orchestr.dev/service=db", "--for", "condition=Ready", "--timeout", "5s").expect()
    assert "still there" in full.orch("wait", "deployment/web", "--for", "deleted", "--timeout", "0.2s").expect(3).err
    full.orch("wait", "deployment/web", "--for", "sunshine").expect(2)


def test_wait_for_deleted_returns_when_it_is_gone(project: Project) -> None:
    """wait --for deleted sees the end of an object that another command deletes."""
    project.objects("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: brief}\n")
    words = ("wait", "configmap/brief", "-n", project.name, "--for", "deleted", "--timeout", "20s")
    with project.daemon.popen(*words, stdout=subprocess.PIPE) as waiting:
        project.orch("delete", "configmap", "brief", "-n", project.name).expect()
        assert waiting.communicate(timeout=20)[0] == b"configmap/brief deleted\n"
    assert waiting.returncode == 0


def test_events_tell_what_happened(full: Project) -> None:
    """Events of the stack's objects, filtered by object, as table and as JSON."""
    text = full.orch("events", "-n", full.name).expect().out
    assert "deployment/web" in text
    one = full.orch("events", "-n", full.name, "--for", "deployment/web", "-o", "json").json()["items"]
    assert one
    assert {event["involvedObject"]["name"] for event in one} == {"web"}
    stamps = [event["lastTimestamp"] for event in one]
    assert stamps == sorted(stamps)


def test_restart_gives_new_pods_and_waits(project: Project) -> None:
    """restart rolls a workload: new processes, ready when it returns."""
    project.apply(EVERYTHING.replace("secrets: [key]", "").replace("secrets: {key: {environment: KEY}}", ""))
    before = {pod["metadata"]["uid"] for pod in project.pods("web")}
    db = project.pid("db")
    project.orch("restart", "web").expect()
    after = project.pods("web")
    assert len(after) == 2
    assert not before & {pod["metadata"]["uid"] for pod in after}
    assert project.pid("db") == db
    assert "no workload 'nobody'" in project.orch("restart", "nobody").expect(1).err


def test_scale_changes_the_number_of_pods(project: Project) -> None:
    """scale NAME=N waits until there are N; the next apply of the file says what the file says."""
    project.apply(EVERYTHING.replace("secrets: [key]", "").replace("secrets: {key: {environment: KEY}}", ""))
    project.orch("scale", "web=3").expect()
    assert len(project.pods("web")) == 3
    project.orch("scale", "--replicas", "0", "web").expect()
    eventually(lambda: project.pods("web") == [])
    project.orch("scale", "web").expect(2)
    project.orch("scale", "web=many").expect(2)


def test_diff_is_0_same_1_different_and_shows_the_line(project: Project) -> None:
    """diff exits 0 when apply would change nothing, 1 with the changed lines, more than 1 for trouble."""
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {key: one}\n"
    project.objects(text)
    assert project.orch("diff", "-f", "objects.yaml", "-n", project.name).expect().out == ""
    project.write(text.replace("one", "two"), "objects.yaml")
    shown = project.orch("diff", "-f", "objects.yaml", "-n", project.name).expect(1).lines
    assert "-  key: one" in shown
    assert "+  key: two" in shown
    assert project.get("configmap", "x")["data"] == {"key": "one"}
    project.write(text.replace("data", "dada"), "objects.yaml")
    assert project.orch("diff", "-f", "objects.yaml", "-n", project.name).code > 1


def test_delete_keeps_data_unless_told(project: Project) -> None:
    """delete of a Compose file ends the services and keeps the claims; --volumes wants -y and then takes them."""
    project.apply(EVERYTHING.replace("secrets: [key]", "").replace("secrets: {key: {environment: KEY}}", ""))
    project.sh("db", "echo precious > /data/file")
    project.orch("delete", "-f", "compose.yaml").expect()
    assert project.pods() == []
    assert project.daemon.names("stacks", project.name) == []
    (claim,) = project.daemon.names("persistentvolumeclaims", project.name)
    project.orch("apply").expect()
    assert project.sh("db", "cat /data/file") == "precious\n"
    asked = project.orch("delete", "-f", "compose.yaml", "--volumes").expect(2)
    assert claim in asked.err
    assert "-y" in asked.err
    assert project.pods("db")
    project.orch("delete", "-f", "compose.yaml", "--volumes", "-y").expect()
    eventually(lambda: not project.exists())


def test_delete_by_name_and_what_is_not_there(project: Project) -> None:
    """delete KIND NAME; of what is not there exit 1, fine with --ignore-not-found."""
    project.objects("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    project.orch("delete", "configmap/x", "-n", project.name).expect()
    assert "x" in project.orch("delete", "configmap/x", "-n", project.name).expect(1).err
    project.orch("delete", "configmap/x", "-n", project.name, "--ignore-not-found").expect()
    project.orch("delete", "configmaps", "-n", project.name).expect(2)


def test_system_start_is_idempotent_and_status_tells_where(shared: Daemon) -> None:
    """start again exits 0 with the same process; status has pid, supervisor, resolver, socket and more."""
    before = shared.daemon_pid
    assert f"pid {before}" in shared.orch("system", "start").expect().out
    status = shared.orch("system", "status", "-o", "json").json()
    assert status["pid"] == before == shared.daemon_pid
    assert {"running", "supervisorPid", "resolverPid", "socket", "state", "bridge", "version"} <= set(status)
    assert status["running"] is True


def test_commands_that_start_it_at_once_find_one_daemon(host: Host) -> None:
    """Whichever is first, a daemon by hand among them: all others wait until it answers, and name the same process."""
    made = host.daemon()
    with ExitStack() as stack:
        words = [("daemon",), *[("system", "start")] * 3]
        running = [stack.enter_context(made.popen(*each, stdout=PIPE, stderr=PIPE)) for each in words]
        try:
            told = [process.communicate(timeout=120) for process in running[1:]]
            assert [process.returncode for process in running[1:]] == [0, 0, 0], told
            assert all(f"pid {made.daemon_pid}".encode() in out for out, _ in told), told
        finally:
            made.finish()
            for process in running:
                process.kill()


def test_system_status_of_a_stopped_daemon_says_where_it_would_be() -> None:
    """state and socket are printed also when nothing runs; exit 1."""
    daemon = Daemon()
    done = daemon.orch("system", "status", "-o", "json").expect(1)
    status = json.loads(done.out)
    assert (status["running"], status["state"], status["socket"]) == (False, daemon.state, f"{daemon.run}/orch.sock")
    assert daemon.orch("system", "stop").expect().out == "orch: not running\n"
    daemon.nothing_left()


def test_system_check_looks_at_the_machine(shared: Daemon) -> None:
    """check tells kernel, cgroups, namespaces, nftables and rights, and exits 0 where containers run."""
    found = shared.orch("system", "check", "-o", "json").json()
    assert found["ok"] is True
    assert {"kernel", "cgroups", "namespaces", "nftables", "rights"} <= {check["name"] for check in found["checks"]}


def test_version_and_help_need_no_daemon() -> None:
    """version, --version, --help of everything and completion work with nothing running."""
    daemon = Daemon()
    assert "client" in daemon.orch("version").expect().out
    assert daemon.orch("--version").expect().out.strip()
    for words in (["--help"], ["help"], []):
        assert "orch apply -f" in daemon.orch(*words).expect().out
    for command in re.findall(r"^  (\w+)  ", daemon.orch("--help").out, re.MULTILINE):
        assert "usage:" in daemon.orch(command, "--help").expect().out
    for shell in ("bash", "zsh", "fish"):
        assert "apply" in daemon.orch("completion", shell).expect().out
    script = daemon.orch("completion", "bash").out
    assert subprocess.run(["bash", "-n"], input=script.encode(), check=False).returncode == 0
    daemon.nothing_left()


def test_a_closed_pipe_is_no_error(full: Project) -> None:
    """`orch get ... | head` ends quietly."""
    with full.daemon.popen("get", "pods", "-A", "-o", "json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as got:
        assert got.stdout is not None
        assert got.stderr is not None
        got.stdout.close()
        assert got.stderr.read() == b""


def test_an_instance_name_that_is_too_long_is_refused() -> None:
    """Instance names have at most 10 characters; the refusal says so."""
    done = Daemon().orch("--instance", "much-too-long-a-name", "status").expect(2)
    assert "at most 10" in done.err
