"""Names that a neighbour exchanges while a container is launched: two containers share a root or a volume, one races.

What a race is lost by is a path that is resolved twice. None of these launches needs to succeed; none may end outside.
"""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.runtime.bundles import Bundle, Done, Oci
from e2e.security.inside import CORE, USERNS, bind, console, own_by_userns
from e2e.security.racing import Racer, swapping

SECONDS = 1.5  # of each race
UNIX98 = 136  # major number of the slaves of devpts
FEW = 3
ENOUGH = 1000  # exchanges for it to have been one


def launches(oci: Oci, *args: str, **changes: Any) -> Iterator[tuple[Bundle, Done]]:
    """Runs one container after the other until the time is over, but a few."""
    end, bundle, count = time.monotonic() + SECONDS, oci.bundle(*args, **changes), 0
    while time.monotonic() < end or (count := count + 1) < FEW:
        yield bundle, bundle.run(code=None)
        oci("delete", "--force", bundle.id, code=None)


def raced(racer: Racer) -> None:
    assert racer.swaps > ENOUGH, f"no race: {racer.swaps} exchanges"


def test_masks_are_on_proc_wherever_that_is_moved(oci: Oci) -> None:
    """CVE-2025-31133, CVE-2023-27561: /proc is exchanged for an empty directory, where there is nothing to mask."""
    shared = oci.bundle().rootfs
    (shared / "empty").mkdir()
    script = """
        n=0
        until test -e /proc/version; do n=$((n+1)); test $n -lt 20000 || exit; done
        ( : >> /proc/sys/kernel/core_pattern ) 2> /dev/null && echo WRITABLE
        grep -q Version /proc/timer_list 2> /dev/null && echo READABLE
        echo seen
    """
    linux = {"maskedPaths": ["/proc/timer_list", "/proc/kcore"], "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"]}
    assert Path("/proc/timer_list").exists()
    with swapping(shared / "proc", shared / "empty") as racer:
        said = [done.out for _, done in launches(oci, "sh", "-c", script, root={"path": str(shared)}, linux=linux)]
    raced(racer)
    assert any("seen" in out for out in said), said
    assert [out for out in said if "ABLE" in out] == []


def test_a_mount_point_that_becomes_a_link(oci: Oci, machine: Path, tmp_path: Path) -> None:
    """CVE-2021-30465, CVE-2024-45310: the link leads to the machine; nothing is mounted or made there."""
    source, shared = tmp_path / "source", oci.bundle().rootfs
    (source / "deep").mkdir(parents=True)
    (source / "deep/mark").touch()
    (shared / "data").mkdir()
    (shared / "trap").symlink_to(machine)
    assert (shared / "trap/deep/er").is_dir(), "the link does lead there"
    (shared / str(machine)[1:] / "deep/er").mkdir(parents=True)  # and inside to where launches can go on
    mounts = [
        *oci.bundle().data["mounts"],
        bind(source, "/data/deep/er", "rw"),
        bind(source, "/data/made/by/us", "rw"),
        bind("/etc/hostname", "/data/file", "ro"),
        {"destination": "/data/memory", "type": "tmpfs", "source": "tmpfs"},
    ]
    script = "grep ' /data' /proc/mounts"
    with swapping(shared / "data", shared / "trap") as racer:
        said = [done for _, done in launches(oci, "sh", "-c", script, root={"path": str(shared)}, mounts=mounts)]
    raced(racer)
    assert any(done.code == 0 for done in said), said
    assert not oci.mounts(), "nothing was mounted on the machine"


@pytest.mark.parametrize("trap", [CORE, "/proc/sysrq-trigger", "MACHINE/null"])
def test_the_images_null_is_exchanged(oci: Oci, machine: Path, trap: str) -> None:
    """CVE-2025-31133: between a check and a bind of the container's own /dev/null it would become a procfs file."""
    shared = oci.bundle().rootfs
    os.mknod(shared / "dev/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (shared / "dev/trap").symlink_to(trap.replace("MACHINE", str(machine)))
    mounts = [mount for mount in oci.bundle().data["mounts"] if mount["destination"] in ("/proc", "/sys")]
    script = "stat -c %t:%T /proc/timer_list; ( : >> /proc/sys/kernel/core_pattern ) 2> /tmp/x || echo read-only"
    linux = {"maskedPaths": ["/proc/timer_list"], "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger"]}
    changes: dict[str, Any] = {"root": {"path": str(shared)}, "mounts": mounts, "linux": linux}
    with swapping(shared / "dev/null", shared / "dev/trap") as racer:
        said = [done.out for _, done in launches(oci, "sh", "-c", script, **changes)]
    raced(racer)
    assert set(said) == {"1:3\nread-only\n"}


def test_the_console_is_exchanged(oci: Oci, machine: Path) -> None:
    """CVE-2025-52565: /dev/pts and /dev/console become ways to procfs; what the caller gets is a pty all the same."""
    shared = oci.bundle().rootfs
    (shared / "dev/pts").mkdir()
    (shared / "dev/trap").mkdir()
    for name in ("0", "1", "ptmx"):
        (shared / "dev/trap" / name).symlink_to(CORE)
    (shared / "dev/console").symlink_to(CORE)
    mounts = [mount for mount in oci.bundle().data["mounts"] if mount["destination"] in ("/proc", "/dev/pts")]
    bundle = oci.bundle("sleep", "1000", root={"path": str(shared)}, mounts=mounts, process={"terminal": True})
    bundle.config({"linux": {"readonlyPaths": ["/proc/sys"]}})
    end, before, made = time.monotonic() + SECONDS, Path(CORE).read_text(), 0
    with console(bundle.path / "socket") as got, swapping(shared / "dev/pts", shared / "dev/trap") as racer:
        while time.monotonic() < end:
            done = bundle.create("--console-socket", str(bundle.path / "socket"), code=None)
            if done.code == 0:
                bundle.start()
                made += 1
                # What lies on core_pattern here is the container's own pty, or the file itself, read-only.
                refused = bundle.exec("sh", "-c", "test -c /proc/sys/kernel/core_pattern || : >> " + CORE, code=None)
                assert refused.code == 0 or "Read-only" in refused.err
                assert os.major(os.stat(f"/proc/{bundle.pid}/fd/0").st_rdev) == UNIX98
            oci("delete", "--force", bundle.id, code=None)
    raced(racer)
    assert Path(CORE).read_text() == before
    for fd in got:
        assert (os.major(os.fstat(fd).st_rdev), os.minor(os.fstat(fd).st_rdev)) == (5, 2)
        os.close(fd)


def test_a_subpath_that_becomes_a_link(oci: Oci, machine: Path, tmp_path: Path) -> None:
    """CVE-2021-25741, CVE-2017-1002101: the source of a mount is resolved below its volume, in one call."""
    volume = tmp_path / "volume"
    (volume / "sub/deep").mkdir(parents=True)
    (volume / "sub/deep/mark").touch()
    (volume / "trap").symlink_to(machine)
    options = ("rw", "x-orch.subpath=sub/deep")
    mounts = [*oci.bundle().data["mounts"], bind(volume, "/x", *options)]
    with swapping(volume / "sub", volume / "trap") as racer:
        said = [done for _, done in launches(oci, "sh", "-c", "ls /x; echo made > /x/made", mounts=mounts)]
    raced(racer)
    for done in said:
        assert done.out == "mark\n" or done.out == "made\nmark\n" or "cannot mount" in done.err, done


def test_sysctls_and_limits_while_proc_is_exchanged(oci: Oci, machine: Path) -> None:
    """CVE-2025-52881: what is written to procfs at a launch is written to the machine's, whatever lies on /proc."""
    shared = oci.bundle().rootfs
    for name in ("self", "sys/net/ipv4", "sys/kernel"):
        (shared / "trap" / name).mkdir(parents=True)
    for name in ("self/oom_score_adj", "sys/net/ipv4/ip_unprivileged_port_start", "self/uid_map", "self/gid_map"):
        (shared / "trap" / name).symlink_to(machine / "null")
    linux = {**USERNS, "sysctl": {"net.ipv4.ip_unprivileged_port_start": "7"}}
    own_by_userns(shared)
    script = "cat /real/sys/net/ipv4/ip_unprivileged_port_start /real/self/oom_score_adj"
    mounts = [*oci.bundle().data["mounts"], {"destination": "/real", "type": "proc", "source": "proc"}]
    (shared / "real").mkdir()
    changes: dict[str, Any] = {"root": {"path": str(shared)}, "mounts": mounts, "linux": linux}
    with swapping(shared / "proc", shared / "trap") as racer:
        said = [done for _, done in launches(oci, "sh", "-c", script, process={"oomScoreAdj": 77}, **changes)]
    raced(racer)
    assert {done.out for done in said if done.code == 0} == {"7\n77\n"}
