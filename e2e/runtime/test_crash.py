"""kill -9 of the command at any point: what it left is deleted by `delete --force`, and nothing is left then.

The fixture asserts that no process, mount, cgroup or state remains.
"""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from e2e.checks import eventually
from e2e.runtime.bundles import Bundle, Oci

POINTS = 8  # moments of a call at which it is killed, evenly from its start to what it mostly takes


def killed(bundle: Bundle, words: list[str], after: float) -> int:
    """The exit code of the command, killed with its children that have no life of their own."""
    process = subprocess.Popen(
        bundle.oci.argv(*words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=bundle.oci.environ,
    )
    with suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=after)
    process.send_signal(signal.SIGKILL)
    return process.wait()


def took(bundle: Bundle) -> float:
    """Seconds of one create, whole."""
    begin = time.monotonic()
    bundle.create()
    bundle.delete("--force")
    return time.monotonic() - begin


def gone(bundle: Bundle) -> None:
    bundle.delete("--force")
    assert "does not exist" in bundle.oci("state", bundle.id, code=1).err
    assert bundle.id not in bundle.oci("list", "-q").out


def test_a_killed_create_or_run_leaves_what_delete_ends(oci: Oci) -> None:
    bundle = oci.bundle("sleep", "1000")
    whole = took(bundle)
    for verb in ("create", "run"):
        for point in range(POINTS):
            killed(bundle, [verb, "--bundle", str(bundle.path), bundle.id], whole * point / POINTS)
            gone(bundle)
    bundle.create()  # the id is free again


def test_a_killed_start_has_started_or_has_not(oci: Oci) -> None:
    for point in range(4):
        bundle = oci.bundle("sleep", "1000")
        bundle.create()
        killed(bundle, ["start", bundle.id], 0.02 * point)
        if bundle.status == "created":
            bundle.start()
        assert bundle.status == "running"
        gone(bundle)


def test_a_killed_delete_is_done_again(oci: Oci) -> None:
    for point in range(4):
        bundle = oci.bundle("sleep", "1000").up()
        killed(bundle, ["delete", "--force", bundle.id], 0.02 * point)
        gone(bundle)


def test_of_two_creates_of_one_id_one_wins(oci: Oci) -> None:
    bundle = oci.bundle("sleep", "1000")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: bundle.create(code=None), range(4)))
    assert sorted(result.code for result in results) == [0, 1, 1, 1]
    assert all("already exists" in result.err for result in results if result.code)
    assert bundle.status == "created"


def test_starts_deletes_and_kills_at_once_end_in_nothing(oci: Oci) -> None:
    bundle = oci.bundle("sleep", "1000")
    bundle.create()
    calls = [("start",), ("kill",), ("delete", "--force"), ("delete", "--force"), ("state",)]
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(lambda words: oci(*words, bundle.id, code=None), calls))
    gone(bundle)


def test_a_process_that_took_the_pid_is_not_touched(oci: Oci) -> None:
    """runtime.md "kill": an error for a container that does not run; a reused pid is not its process."""
    bundle = oci.bundle("true").up()
    bundle.until("stopped")
    path = oci.root / bundle.id / "process"
    path.write_text(path.read_text().replace(f"{bundle.pid} ", f"{os.getpid()} "))
    assert bundle.status == "stopped"
    assert "container not running" in bundle.kill("KILL", code=1).err
    bundle.delete()


def test_without_a_pid_namespace_all_of_the_cgroup_ends(oci: Oci) -> None:
    bundle = oci.bundle("sh", "-c", "sleep 1000 & exec sleep 1000")
    bundle.config(lambda c: c["linux"].update(namespaces=[n for n in c["linux"]["namespaces"] if n["type"] != "pid"]))
    bundle.up()
    eventually(lambda: len(oci("ps", "-f", "json", bundle.id).out.split(",")) == 2)
    os.kill(bundle.pid, signal.SIGKILL)
    bundle.until("stopped")
    bundle.delete()


@pytest.mark.parametrize("verb", ["create", "run"])
def test_a_full_disk_below_root_is_one_line(oci: Oci, verb: str) -> None:
    from orchestr.runtime import syscalls

    oci.root.mkdir()
    made = syscalls.new_mount(b"tmpfs", ((b"size", b"8k"),))
    syscalls.call("move_mount", made, b"", syscalls.AT_FDCWD, os.fsencode(oci.root), 0x04)
    os.close(made)
    try:
        with suppress(OSError):
            (oci.root / "full").write_bytes(bytes(16384))
        bundle = oci.bundle("true")
        result = oci(verb, "--bundle", str(bundle.path), bundle.id, code=1)
        assert len(result.err.splitlines()) == 1
        assert "No space left on device" in result.err
        assert [path.name for path in oci.root.iterdir()] == ["full"]
    finally:
        syscalls.call("umount2", os.fsencode(oci.root), syscalls.MNT_DETACH)
