"""The commands of orch-oci on real containers. Sentences quoted are of the runtime specification, runtime.md."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from e2e.checks import eventually
from e2e.runtime.bundles import Oci


def test_run_gives_output_and_exit_code_of_the_process(oci: Oci) -> None:
    done = oci.bundle("sh", "-c", "echo out; echo err >&2; exit 3").run(code=3)
    assert (done.out, done.err) == ("out\n", "err\n")


def test_the_life_of_a_container(oci: Oci) -> None:
    """ "create, start, kill, delete" go from creating to created, running, stopped, and nothing."""
    bundle = oci.bundle("sleep", "1000")
    bundle.create()
    assert bundle.status == "created"
    bundle.start()
    assert bundle.state()["pid"] == bundle.pid
    assert bundle.status == "running"
    bundle.kill("KILL")
    bundle.until("stopped")
    bundle.delete()
    assert "does not exist" in oci("state", bundle.id, code=1).err


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT"])
def test_a_container_that_waits_ends_by_a_signal(oci: Oci, name: str) -> None:
    """runtime.md, kill: "MUST send the specified signal to the container process", created ones too; the kernel keeps
    most of them from the first process of a pid namespace."""
    bundle = oci.bundle()
    bundle.create()
    oci("kill", bundle.id, name)
    eventually(lambda: '"stopped"' in oci("state", bundle.id).out)
    bundle.delete()


def test_the_configuration_may_be_another_file(oci: Oci, tmp_path: Path) -> None:
    """--config, as crun has it: from the caller's directory; the bundle stays where the root is."""
    bundle = oci.bundle("echo", "other")
    (tmp_path / "other.json").write_text(json.dumps(bundle.data))
    bundle.config({"process": {"args": ["echo", "own"]}})
    assert bundle.run("--config", "other.json", cwd=tmp_path).out == "other\n"
    assert bundle.run("--config", "config.json", cwd=tmp_path).out == "own\n"
    assert "other.json" in bundle.run("--config", "other.json", code=1, cwd=bundle.path).err


def test_a_container_without_a_process_can_be_created_alone(oci: Oci) -> None:
    """start: "This operation MUST generate an error if `process` was not set." """
    bundle = oci.bundle().config({"process": None})
    bundle.create()
    assert bundle.status == "created"
    assert "/process" in bundle.start(code=1).err
    assert bundle.status == "created"
    bundle.delete()
    assert "/process" in bundle.run(code=1).err


def test_delete_by_a_regular_expression(oci: Oci) -> None:
    bundles = [oci.bundle().up() for _ in range(3)]
    assert "regular expression" in oci("delete", "--force", "--regex", "(", code=1).err
    oci("delete", "--force", "--regex", f"{oci.token}-[12]$")
    left = oci("list", "--quiet").out.split()
    assert left == [bundles[2].id]


def test_the_state_of_a_container_in_the_making(oci: Oci) -> None:
    """ "creating: the container is being created"; who asks waits a moment for what comes of it, not for a hook."""
    bundle = oci.bundle()
    told = bundle.path / "told"
    script = f"{' '.join(oci.argv('state', bundle.id))} > {told}"
    hook = {"path": "/bin/sh", "args": ["sh", "-c", script], "env": [f"PATH={os.environ['PATH']}"]}
    bundle.config({"hooks": {"createRuntime": [hook]}}).create()
    assert json.loads(told.read_text())["status"] == "creating"


@pytest.mark.parametrize("id", [".", "..", ".foo", "foo bar", "foo/bar", ""])
def test_an_id_is_one_plain_name(oci: Oci, id: str) -> None:
    assert "id" in oci("create", "--bundle", str(oci.bundle().path), id, code=1).err.lower()


def test_preserved_descriptors_may_have_gaps(oci: Oci) -> None:
    """What is not open to us is not open to the container: nothing of the runtime's own comes in its place."""
    read, write = os.pipe()
    high = fcntl.fcntl(read, fcntl.F_DUPFD, 40)
    try:
        bundle = oci.bundle("sh", "-c", "echo /proc/self/fd/*")
        done = bundle.run("--preserve-fds", "50", pass_fds=(high,))
    finally:
        for fd in (read, write, high):
            os.close(fd)
    opened = {int(path.rpartition("/")[2]) for path in done.out.split()}
    assert {fd for fd in opened if 3 <= fd < 53} - {3} == {high}  # 3 is the directory that the shell reads
