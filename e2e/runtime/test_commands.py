"""The commands of orch-oci on real containers. Sentences quoted are of the runtime specification, runtime.md."""

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
