"""Failures of other runtimes that must not happen here; each test names the CVE."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from orchestr.runtime import cgroups, initprogram
from orchestr.runtime.plan import LaunchError


@pytest.mark.parametrize("number", [0, 3, 7, 20, 100])
def test_cve_2024_21626_no_descriptor_of_the_machine_is_a_working_directory(make_pod: Any, number: int) -> None:
    with pytest.raises(LaunchError, match="cannot enter the working directory"):
        make_pod().run("pwd", cwd=f"/proc/self/fd/{number}")


def test_cve_2024_21626_nothing_but_stdio_is_open(make_pod: Any) -> None:
    pod = make_pod()
    assert pod.run("sh", "-c", "ls /proc/$$/fd").out.split() == ["0", "1", "2"]
    assert pod.run("sh", "-c", "ls /proc/$$/fd", init=True, number=2).out.split() == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_cve_2023_27561_proc_and_sys_are_no_links(make_pod: Any, name: str) -> None:
    pod = make_pod()
    (pod.low / name).rmdir()
    (pod.low / name).symlink_to("tmp")
    with pytest.raises(LaunchError, match=f"/{name}"):
        pod.run("true")


def test_cve_2026_41579_links_in_an_image_lead_nowhere_on_the_machine(make_pod: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    pod = make_pod()
    (pod.low / "dev").rmdir()
    (pod.low / "dev").symlink_to(outside)
    (pod.low / "data").symlink_to(outside)
    for destination in ("/dev/x/y", "/data/made"):
        mount = {"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": []}
        with pytest.raises(LaunchError):
            pod.run("true", mounts=[mount])
    assert not list(outside.iterdir())


def test_cve_2025_31133_masked_and_read_only_paths(make_pod: Any) -> None:
    script = """
        for f in /proc/kcore /proc/keys /proc/timer_list; do test -e $f && cat $f; done
        for f in sys/kernel/core_pattern sysrq-trigger sys/kernel/hostname; do echo x >/proc/$f && echo WROTE $f; done
        ls /sys/firmware /proc/acpi; echo end
    """
    out = make_pod(host_users=True).run("sh", "-c", script).out
    assert "WROTE" not in out
    assert out.splitlines()[-1] == "end"


def test_cve_2022_0492_cgroups_are_read_only_in_every_mode(make_pod: Any) -> None:
    place = "/sys/fs/cgroup/memory/x" if cgroups.layout().controller("memory") == 1 else "/sys/fs/cgroup/x"
    script = f"find /sys/fs/cgroup -writable -type f 2>/dev/null | head -1; mkdir {place} 2>&1; echo end"
    for n, host_users in enumerate((False, True)):
        out = make_pod(host_users=host_users).run("sh", "-c", script, number=n + 1).out
        assert "Read-only file system" in out
        assert out.splitlines()[-1] == "end"


def test_new_namespaces_and_mounts_are_refused(make_pod: Any) -> None:
    out = make_pod().run("sh", "-c", "unshare -Ur true; mount -t tmpfs x /tmp; echo end").out
    assert "not permitted" in out
    assert "end" in out


def test_cve_2019_5736_the_init_cannot_be_written_through_proc(make_pod: Any) -> None:
    before = Path(initprogram.PROGRAMS[0]).stat()
    script = "echo x >/proc/1/exe; cat /proc/1/exe >/dev/null && echo readable"
    out = make_pod(host_users=True).run("sh", "-c", script, init=True, cap_add=("SYS_PTRACE",)).out
    assert "Read-only file system" in out or "busy" in out or "denied" in out
    after = Path(initprogram.PROGRAMS[0]).stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


def test_a_subpath_cannot_leave_its_volume(make_pod: Any, tmp_path: Path) -> None:
    """CVE-2021-25741."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/out").symlink_to("/etc")
    for subpath in ("out", "../low", "/etc"):
        mount = {
            "destination": "/x",
            "source": str(tmp_path / "volume"),
            "options": ["bind", "idmap", f"x-orch.subpath={subpath}"],
        }
        with pytest.raises(Exception, match="cannot mount"):
            make_pod().run("true", mounts=[mount])


def test_stdio_of_a_user_can_be_opened_again(make_pod: Any) -> None:
    out = make_pod().run("sh", "-c", "echo again >/dev/stdout; echo and >/proc/self/fd/2", user=(999, 998, ())).out
    assert out.split() == ["again", "and"]


def test_a_hostile_pty_is_not_taken(make_pod: Any) -> None:
    """CVE-2025-52565: exec with a terminal into a container whose /dev/pts/ptmx is not ours."""
    from orchestr.runtime import launch
    from orchestr.runtime.enter import enter

    pod = make_pod()
    null = os.open(os.devnull, os.O_RDWR)
    spec = pod.container(["sh", "-c", "rm -f /dev/ptmx; sleep 60"])
    first = pod.launch(spec, (null, null, null))
    process = {**spec.oci["process"], "args": ["tty"]}
    started = enter(first.pid, launch.cgroup_of(spec, pod.spec), pod.spec, process, (null, null, null), True)
    os.close(null)
    assert stat.S_ISCHR(os.fstat(started.console).st_mode)
    os.waitpid(started.pid, 0)
    os.close(started.console)
    os.close(started.pidfd)
