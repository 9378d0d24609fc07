"""Hooks, from runtime-spec config.md "POSIX-platform Hooks" and runtime.md "Lifecycle"; sentences are quoted."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import eventually
from e2e.runtime.bundles import Bundle, Oci

POINTS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hook(script: str, **more: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def told(bundle: Bundle, name: str) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((bundle.path / name).read_text())
    return state


def with_hooks(oci: Oci, hooks: dict[str, Any], *args: str) -> Bundle:
    return oci.bundle(*(args or ("sleep", "1000"))).config({"hooks": hooks, "annotations": {"org.example.a": "b"}})


def namespace(kind: str) -> str:
    return os.readlink(f"/proc/self/ns/{kind}")


def test_they_run_in_the_order_of_the_lifecycle(oci: Oci, tmp_path: Path) -> None:
    """ "Hooks MUST be called in the listed order." "prestart hooks MUST be called before the createRuntime hooks." """
    log = tmp_path / "log"
    hooks = {point: [hook(f"echo {point} {n} >> {log}") for n in (1, 2)] for point in POINTS if point[:6] != "startC"}
    bundle = with_hooks(oci, hooks)
    bundle.create()
    created = [f"{point} {n}" for point in ("prestart", "createRuntime", "createContainer") for n in (1, 2)]
    assert log.read_text().splitlines() == created
    bundle.start()
    assert log.read_text().splitlines() == [*created, "poststart 1", "poststart 2"]
    bundle.delete("--force")
    assert log.read_text().splitlines()[-2:] == ["poststop 1", "poststop 2"]


def test_each_is_told_the_state_on_stdin(oci: Oci) -> None:
    """ "The state of the container MUST be passed to hooks over stdin"; its pid "is the pid as seen by the runtime", or
    for hooks in the container namespace "by the container"."""
    bundle = with_hooks(oci, {})
    hooks = {point: [hook(f"cat > {bundle.path}/{point}")] for point in POINTS if point != "startContainer"}
    bundle.config({"hooks": {**hooks, "startContainer": [hook("cat > /told")]}}).up()
    pid = bundle.pid
    bundle.delete("--force")
    states = {"prestart": "created", "createRuntime": "creating", "createContainer": "creating"}
    for point, status in {**states, "poststart": "running", "poststop": "stopped"}.items():
        state = told(bundle, point)
        assert (state["id"], state["status"], state["bundle"]) == (bundle.id, status, str(bundle.path))
        assert state["annotations"] == {"org.example.a": "b"}
        assert state["ociVersion"]
        assert state.get("pid", pid) == {"createContainer": 1, "poststop": state.get("pid")}.get(point, pid)
    assert told(bundle, "rootfs/told")["pid"] == 1


@pytest.mark.parametrize("point", ["prestart", "createRuntime", "createContainer", "poststart"])
def test_the_namespaces_they_run_in(oci: Oci, tmp_path: Path, point: str) -> None:
    """createContainer "MUST be executed in the container namespace", the others in the runtime namespace; the path of
    each "MUST resolve in the runtime namespace"."""
    where = tmp_path / "where"
    kinds = ("mnt", "uts", "net", "ipc", "pid")
    bundle = with_hooks(oci, {point: [hook("; ".join(f"readlink /proc/self/ns/{kind} >> {where}" for kind in kinds))]})
    bundle.up()
    seen = where.read_text().split()
    ours = [namespace(kind) for kind in kinds]
    if point == "createContainer":
        assert seen == [os.readlink(f"/proc/{bundle.pid}/ns/{kind}") for kind in kinds]
        assert not set(seen) & set(ours)
    else:
        assert seen == ours


def test_before_the_root_is_entered_its_mounts_are_there_at_its_path(oci: Oci, tmp_path: Path) -> None:
    """createContainer: "before the pivot_root or any equivalent operation has been executed"; what hooks of GPUs do."""
    seen = tmp_path / "seen"
    bundle = with_hooks(oci, {})
    script = f"ls {bundle.rootfs}/dev > {seen}; touch {bundle.rootfs}/dev/mine"
    bundle.config({"hooks": {"createContainer": [hook(script)]}, "process": {"args": ["ls", "/dev/mine"]}})
    assert bundle.run().out == "/dev/mine\n"
    assert "null" in seen.read_text().split()


def test_start_container_is_a_program_of_the_container_with_its_identity(oci: Oci) -> None:
    """ "The value of path MUST resolve in the container namespace", "executed in the container namespace"."""
    bundle = with_hooks(oci, {"startContainer": [hook("id -u > /tmp/told; hostname >> /tmp/told", env=["PATH=/bin"])]})
    bundle.config({"process": {"user": {"uid": 7, "gid": 8}}})
    (bundle.rootfs / "tmp").mkdir(exist_ok=True)
    (bundle.rootfs / "tmp").chmod(0o777)
    bundle.up()
    assert (bundle.rootfs / "tmp/told").read_text() == "7\nbusy\n"


def test_environment_and_arguments_are_as_given(oci: Oci, tmp_path: Path) -> None:
    """ "args: the same semantics as execv's argv", "env: the same semantics as environ"."""
    out = tmp_path / "out"
    script = f'echo "$0 $1" > {out}; env >> {out}'
    bundle = with_hooks(
        oci, {"createRuntime": [{"path": "/bin/sh", "args": ["other", "-c", script, "a", "b"], "env": ["ONLY=this"]}]}
    )
    bundle.create()
    lines = out.read_text().splitlines()
    assert lines[0] == "a b"
    assert "ONLY=this" in lines
    assert not [line for line in lines if line.startswith("HOME=")]


@pytest.mark.parametrize("point", ["prestart", "createRuntime", "createContainer"])
def test_one_that_fails_undoes_create(oci: Oci, tmp_path: Path, point: str) -> None:
    """ "If any hook fails, the runtime MUST generate an error, stop the container, and continue at step 12": undo, and
    poststop hooks. The fixture proves that nothing is left."""
    after = tmp_path / "after"
    bundle = with_hooks(oci, {point: [hook("echo no such thing >&2; exit 3")], "poststop": [hook(f"cat > {after}")]})
    err = bundle.create(code=1).err
    assert f"/hooks/{point}/0" in err
    assert "exit code 3 (no such thing)" in err
    assert json.loads(after.read_text())["status"] == "stopped"
    assert "does not exist" in oci("state", bundle.id, code=1).err


@pytest.mark.parametrize("point", ["startContainer", "poststart"])
def test_one_that_fails_undoes_start(oci: Oci, point: str) -> None:
    """ "If any startContainer (poststart) hook fails, the runtime MUST generate an error, stop the container, and
    continue the lifecycle at step 12"."""
    bundle = with_hooks(oci, {point: [hook("exit 4", env=["PATH=/bin"])]})
    bundle.create()
    assert f"/hooks/{point}/0" in bundle.start(code=1).err
    assert "does not exist" in oci("state", bundle.id, code=1).err


def test_one_of_poststop_that_fails_is_a_warning(oci: Oci, tmp_path: Path) -> None:
    """ "If any poststop hook fails, the runtime MUST log a warning, but the remaining hooks and lifecycle continue"."""
    after = tmp_path / "after"
    bundle = with_hooks(oci, {"poststop": [hook("exit 5"), hook(f"touch {after}")]}).up()
    err = bundle.delete("--force").err
    assert "/hooks/poststop/0" in err
    assert after.exists()


def test_one_that_hangs_is_ended_with_all_that_it_started(oci: Oci, tmp_path: Path) -> None:
    """ "timeout is the number of seconds before aborting the hook"."""
    pid = tmp_path / "pid"
    bundle = with_hooks(oci, {"createRuntime": [hook(f"sleep 1000 & echo $! > {pid}; wait", timeout=1)]})
    assert "still running after 1 s" in bundle.create(code=1).err
    eventually(lambda: not Path(f"/proc/{int(pid.read_text())}").exists(), what="the hook's child gone")


def test_one_that_does_not_exist(oci: Oci) -> None:
    bundle = with_hooks(oci, {"createContainer": [{"path": "/nowhere/at/all"}]})
    assert "/hooks/createContainer/0" in bundle.create(code=1).err


def test_start_container_without_an_environment_has_the_processes_own(oci: Oci) -> None:
    bundle = with_hooks(oci, {"startContainer": [hook("echo $MINE > /told")]})
    bundle.config({"process": {"env": ["PATH=/bin", "MINE=here"]}})
    bundle.up()
    assert (bundle.rootfs / "told").read_text() == "here\n"


def test_create_container_begins_in_the_root(oci: Oci) -> None:
    """As in runc; hooks that put libraries into a container write to ./lib."""
    with_hooks(oci, {"createContainer": [hook("pwd > here")]}).up()
    bundle = with_hooks(oci, {"createContainer": [hook("pwd > here")]}).up()
    assert (bundle.rootfs / "here").read_text() == f"{bundle.rootfs}\n"


def test_an_error_names_point_and_number_and_signal(oci: Oci) -> None:
    """In runc's words, which callers know, too."""
    bundle = with_hooks(oci, {"createRuntime": [hook("true"), hook("kill -SYS $$")]})
    err = bundle.create(code=1).err
    assert "error running createRuntime hook #1: " in err
    assert "signal 31: bad system call" in err
