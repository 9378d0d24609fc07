"""`orch apply`: the machine becomes what the files say, and the exit code tells the truth."""

import os
import signal
import subprocess
from pathlib import Path

from e2e.checks import alive, eventually
from e2e.conftest import HELLO, Host
from e2e.daemon import ORCH, Daemon
from e2e.project import Project

SLEEPER = """
    services:
      web:
        image: local/host
        restart: always
        stop_grace_period: 0s
        environment: {VERSION: "1"}
"""
MAPS = """
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: first, labels: {team: a}}
    data: {key: one}
    ---
    apiVersion: v1
    kind: ConfigMap
    metadata: {name: second, labels: {team: a}}
    data: {key: two}
"""


def test_a_stack_runs_once_apply_has_returned(stack_ready: Project) -> None:
    """Apply waits: when it returns 0 every service has a ready pod, and the services reach each other by name."""
    fetch = "import urllib.request as u; print(u.urlopen('http://web:8000').status)"
    assert stack_ready.exec("worker", "python3", "-c", fetch).expect().out == "200\n"
    assert stack_ready.orch("apply").code == 0


def test_the_same_again_changes_nothing(stack_applied: Project) -> None:
    """Applying unchanged files says `unchanged` for each object and restarts nothing."""
    before = {pod["metadata"]["uid"]: pod["status"]["containerStatuses"] for pod in stack_applied.pods()}
    again = stack_applied.orch("apply").expect()
    assert {line.split()[-1] for line in again.lines} == {"unchanged"}
    assert {pod["metadata"]["uid"]: pod["status"]["containerStatuses"] for pod in stack_applied.pods()} == before


def test_a_change_replaces_only_what_it_touches(project: Project) -> None:
    """A changed environment gives one service a new pod; the other keeps its process."""
    project.apply(HELLO)
    web, worker = project.pid("web"), project.pid("worker")
    project.apply(HELLO.replace("command: [python3", "environment: {A: b}\n        command: [python3"))
    assert project.pid("worker") == worker
    assert project.pid("web") != web
    assert project.sh("web", "echo $A") == "b\n"
    assert not alive(web)


def test_what_leaves_the_compose_file_ends(project: Project) -> None:
    """A service that is no longer in the file goes without --prune: its process, its pod, at last its Deployment."""
    project.apply(HELLO)
    pid = project.pid("worker")
    project.apply(HELLO[: HELLO.index("      worker:")])
    eventually(lambda: project.pods("worker") == [] and not alive(pid))
    eventually(lambda: project.daemon.names("deployments", project.name) == ["web"])


def test_a_field_that_leaves_the_file_vanishes(project: Project) -> None:
    """Server-side apply: a key taken out of the file is taken out of the object."""
    project.objects(MAPS.replace("{key: one}", "{key: one, other: x}"))
    assert project.get("configmap", "first")["data"] == {"key": "one", "other": "x"}
    project.objects(MAPS)
    assert project.get("configmap", "first")["data"] == {"key": "one"}


def test_prune_deletes_only_what_was_applied_with_those_labels(project: Project) -> None:
    """--prune -l deletes what left the files among the labelled, and touches nothing else."""
    project.objects(MAPS)
    project.objects("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n")
    first = MAPS[: MAPS.index("---")]
    kept = project.objects(first).lines
    assert kept == ["configmap/first unchanged"]
    pruned = project.objects(first, "--prune", "-l", "team=a").lines
    assert "configmap/second pruned" in pruned
    assert project.daemon.names("configmaps", project.name) == ["first", "other"]


def test_dry_run_client_needs_no_daemon_and_changes_nothing(host: Host, tmp_path: Path) -> None:
    """--dry-run=client decodes and validates; nobody is started for it."""
    daemon = Daemon()
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    done = daemon.orch("apply", "-f", str(tmp_path / "a.yaml"), "--dry-run=client").expect()
    assert "valid" in done.out
    daemon.nothing_left()


def test_dry_run_server_runs_admission_and_stores_nothing(project: Project) -> None:
    """--dry-run=server answers as apply would, refusal included, and writes nothing."""
    project.objects("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: base}\n")
    dry = project.objects(MAPS, "--dry-run=server")
    assert dry.lines == ["configmap/first created (dry run)", "configmap/second created (dry run)"]
    assert project.daemon.names("configmaps", project.name) == ["base"]
    refused = project.orch("apply", "-f", "objects.yaml", "-n", "not-there", "--dry-run=server")
    assert refused.code == 1
    assert "not-there" in refused.err


def test_detach_returns_before_anything_runs(project: Project) -> None:
    """--detach does not wait; the machine converges all the same."""
    project.apply(SLEEPER.replace("restart: always", "restart: always\n        command: [sleep, infinity]"), "--detach")
    assert eventually(lambda: project.pid("web"))


def test_a_timeout_is_3_and_says_what_is_missing(project: Project) -> None:
    """What is not ready in time is named with its reason, and goes on."""
    text = SLEEPER + '        healthcheck: {test: [CMD, "false"], interval: 1s, start_period: 60s}\n'
    done = project.apply(text, "--timeout", "1s", code=3)
    assert "web" in done.err
    assert "not converged after 1s" in done.err
    assert project.pid("web")


def test_a_crash_loop_is_1_with_exit_code_and_last_lines(project: Project) -> None:
    """A service that cannot run fails apply with its exit code and what it printed last."""
    text = SLEEPER + '        command: [sh, -c, "echo the disk is full >&2; exit 7"]\n'
    done = project.apply(text, code=1)
    assert "exited with code 7" in done.err
    assert "the disk is full" in done.err


def test_an_image_that_is_not_there_is_1_and_names_what_is(project: Project) -> None:
    """An unknown image is told with the images that are there, at once."""
    done = project.apply(SLEEPER.replace("local/host", "nothing/like-it"), "--timeout", "20s", code=1)
    assert "nothing/like-it" in done.err
    assert "local/host" in done.err


def test_bad_input_is_2_and_nothing_is_sent(project: Project) -> None:
    """A wrong word in the file: exit 2, file, line and column, and the daemon never hears of it."""
    done = project.apply(SLEEPER.replace("image:", "imag:"), code=2)
    assert f"{project.file.name}:3:" in done.err
    assert "image" in done.err
    assert not project.exists()


def test_one_bad_document_keeps_all_out(project: Project) -> None:
    """A file with one good and one bad document: nothing of it is applied."""
    done = project.objects(
        MAPS + "    ---\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: Bad_Name}\n", code=2
    )
    assert "objects.yaml:13:12: metadata.name" in done.err
    assert project.daemon.names("configmaps", project.name) == []


def test_what_admission_refuses_keeps_all_out(project: Project) -> None:
    """Documents that are valid each, one of which the daemon refuses (its namespace is not there): none is stored."""
    text = MAPS + "    ---\n    apiVersion: v1\n    kind: ConfigMap\n    metadata: {name: third, namespace: nowhere}\n"
    done = project.objects(text, code=1)
    assert "nowhere" in done.err
    assert project.daemon.names("configmaps", project.name) == []


def test_several_files_a_directory_and_standard_input(project: Project) -> None:
    """-f may repeat, name a directory, or be - for standard input; all is one transaction."""
    project.objects("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: zero}\n")
    for name in ("one", "two"):
        project.write(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n", f"dir/{name}.yaml")
    more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: three}\n"
    project.orch("apply", "-f", "objects.yaml", "-f", "dir", "-f", "-", "-n", project.name, input=more).expect()
    assert project.daemon.names("configmaps", project.name) == ["one", "three", "two", "zero"]


def test_without_a_daemon_and_with_a_host_it_is_5(host: Host, tmp_path: Path) -> None:
    """A host that nobody listens at: exit 5 with the command that starts a daemon."""
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    daemon = Daemon()
    for words in (["apply", "-f", str(tmp_path / "a.yaml"), "--host", f"{tmp_path}/none.sock"], ["status"]):
        done = daemon.orch(*words)
        assert done.code == 5
        assert f"orch system start --instance {daemon.name}" in done.err
    daemon.nothing_left()


def test_apply_starts_the_daemon_and_says_so_in_one_line(host: Host, tmp_path: Path) -> None:
    """As root with no daemon, apply starts one that outlives it and keeps none of its descriptors."""
    daemon = host.daemon()
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n")
    try:
        done = daemon.orch("apply", "-f", str(tmp_path / "a.yaml")).expect()
        assert [line for line in done.err.splitlines() if "daemon" in line] == done.err.splitlines()[:1]
        assert done.out == "configmap/x created\n"
        assert str(daemon.daemon_pid) in done.err
    finally:
        daemon.finish()


def test_interrupted_apply_leaves_the_stack_converging(project: Project) -> None:
    """^C ends the waiting (130), not the stack."""
    project.write(SLEEPER + '        healthcheck: {test: [CMD, "false"], interval: 1s, start_period: 60s}\n')
    command = [ORCH, "apply"]
    with subprocess.Popen(command, cwd=project.folder, env=project.daemon.env(), stderr=subprocess.PIPE) as waiting:
        eventually(lambda: project.exists() and project.pods("web"))
        os.kill(waiting.pid, signal.SIGINT)
        _, err = waiting.communicate(timeout=10)
    assert waiting.returncode == 130
    assert b"Traceback" not in err
    assert project.pid("web")


def test_output_json_is_one_valid_document(project: Project) -> None:
    """-o json prints the stored objects as one document and nothing else on standard output."""
    project.apply(SLEEPER)
    listed = project.orch("apply", "-o", "json").json()
    assert [item["kind"] for item in listed["items"]] == ["Namespace", "Stack"]
    assert all(item["metadata"]["uid"] for item in listed["items"])
