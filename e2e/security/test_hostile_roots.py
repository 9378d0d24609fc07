"""Roots whose author wants out: links where the runtime mounts, opens and makes things. None leads to the machine."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.runtime.bundles import Oci
from e2e.security.inside import CORE, bind, console, link
from e2e.security.opened import opened

CLONE_NEWNET = 0x40000000
ODD_IDS = ("-1", "2147483648", "4294967295", "4294967296", "9" * 5000, "\u0661", "0x10", "")


@pytest.mark.parametrize("name", ["dev", "etc", "run", "tmp"])
def test_a_directory_that_is_a_link_to_the_machine(oci: Oci, machine: Path, tmp_path: Path, name: str) -> None:
    """CVE-2026-41579, CVE-2024-45310: below a link nothing is made, removed or mounted on the machine."""
    (tmp_path / "source").mkdir()
    for target in (machine, f"../../../../../../../../../../{machine}"):
        bundle = oci.bundle("true")
        link(bundle.rootfs / name, target)
        assert (bundle.rootfs / name / "null").exists(), "the link does lead there"
        bundle.data["mounts"] += [
            bind(tmp_path / "source", f"/{name}/made/by/us"),
            bind("/etc/hostname", f"/{name}/a-file", "ro"),
            {"destination": f"/{name}/memory", "type": "tmpfs", "source": "tmpfs"},
        ]
        bundle.config({}).run(code=None)


@pytest.mark.parametrize("name", ["proc", "sys"])
@pytest.mark.parametrize("target", ["/tmp", "tmp", "MACHINE"])
def test_proc_and_sys_are_directories_or_nothing_runs(oci: Oci, machine: Path, name: str, target: str) -> None:
    """CVE-2023-27561, CVE-2019-19921: elsewhere, what masks them would not be found, and what is found not be them."""
    bundle = oci.bundle("true")
    link(bundle.rootfs / name, target.replace("MACHINE", str(machine)))
    assert f"/{name}" in bundle.run(code=1).err


@pytest.mark.parametrize("target", ["MACHINE/null", CORE, "/proc/sysrq-trigger"])
def test_the_images_null_masks_nothing(oci: Oci, machine: Path, target: str) -> None:
    """CVE-2025-31133, CVE-2015-3627: what hides a file is the machine's /dev/null, whatever the image's is."""
    bundle = oci.bundle(
        "sh", "-c", "stat -c '%t:%T %F' /proc/timer_list; (: > /proc/sys/kernel/core_pattern); cat /tmp/f"
    )
    link(bundle.rootfs / "dev/null", target.replace("MACHINE", str(machine)))
    (bundle.rootfs / "tmp/f").write_text("hidden")
    bundle.data["mounts"] = [mount for mount in bundle.data["mounts"] if mount["destination"] in ("/proc", "/sys")]
    bundle.config({"linux": {"maskedPaths": ["/proc/timer_list", "/tmp/f"], "readonlyPaths": ["/proc/sys"]}})
    done = bundle.run(code=None)
    assert done.out == "1:3 character special file\n"
    assert "Read-only file system" in done.err


def test_the_console_is_a_link(oci: Oci, machine: Path) -> None:
    """CVE-2015-3627, CVE-2025-52565: nothing of the machine is opened or covered for /dev/console."""
    for target in (machine / "console", Path(CORE)):
        bundle = oci.bundle("sh", "-c", "tty; exec sleep 1000")
        link(bundle.rootfs / "dev/console", target)
        mounts = [mount for mount in bundle.data["mounts"] if mount["destination"] != "/dev"]
        bundle.config({"mounts": mounts, "process": {"terminal": True}, "linux": {"readonlyPaths": ["/proc/sys"]}})
        with console(bundle.path / "socket") as got:
            bundle.create("--console-socket", str(bundle.path / "socket"), code=None)
        for fd in got:
            assert stat.S_ISCHR(os.fstat(fd).st_mode)
            os.close(fd)
        oci("delete", "--force", bundle.id, code=None)


def test_a_working_directory_by_descriptor(oci: Oci) -> None:
    """CVE-2024-21626: with 40 directories of the machine open in the caller, none of them can be where we work."""
    bundle = oci.bundle("pwd")
    (bundle.rootfs / "work").symlink_to("/proc/self/fd/9")
    leaked = [os.open("/", os.O_RDONLY) for _ in range(40)]
    try:
        for fd in leaked:
            os.set_inheritable(fd, True)
        assert leaked[0] <= 9 <= leaked[-1] or 9 in map(int, os.listdir("/proc/self/fd"))
        for cwd in ("/work", *(f"/proc/self/fd/{number}" for number in (0, 3, 4, 7, 9, leaked[-1])), "/proc/1/cwd"):
            bundle.config({"process": {"cwd": cwd}})
            assert "working directory" in bundle.run(code=1, close_fds=False).err
        bundle.config({"process": {"cwd": "/", "args": ["sh", "-c", "ls /proc/$$/fd; pwd"]}})
        assert bundle.run(close_fds=False).out.split() == ["0", "1", "2", "/"]
        bundle.config({"process": {"args": ["sleep", "1000"]}}).up()
        assert bundle.exec("sh", "-c", "ls /proc/$$/fd; true", close_fds=False).out.split() == ["0", "1", "2"]
        for cwd in ("/work", f"/proc/self/fd/{leaked[0]}", "/proc/1/root/.."):
            assert "working directory" in bundle.exec("pwd", options=["--cwd", cwd], code=None, close_fds=False).err
    finally:
        for fd in leaked:
            os.close(fd)


def test_nothing_of_the_image_is_loaded_or_read_but_its_users(oci: Oci) -> None:
    """CVE-2019-14271: libraries and Python modules of the image lie in wait; launch and exec open none of them."""
    bundle = oci.bundle(
        "/bin/sleep", "1000", process={"env": ["PATH=/bin", "PYTHONPATH=/lib", "LD_PRELOAD=/lib/evil.so"]}
    )
    for name in (
        *("lib/evil.so", "lib/libnss_files.so.2", "lib/libnss_compat.so.2", "lib/libc.so.6", "lib/libseccomp.so.2"),
        *("lib/encodings/__init__.py", "lib/encodings/idna.py", "lib/ctypes/__init__.py", "lib/pwd.py"),
        *("etc/nsswitch.conf", "etc/ld.so.preload", "etc/ld.so.cache", "etc/localtime", "lib/python3.11/encodings/x"),
    ):
        path = bundle.rootfs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise SystemExit('hostile')\n")
    with opened(bundle.rootfs) as names:
        bundle.up()
        bundle.exec("/bin/true", options=["--user", "www"])
    assert "etc/passwd" in names, "the watch works"
    assert {name for name in names if not name.startswith("bin")} <= {"etc/passwd", "etc/group"}


@pytest.mark.parametrize("kind", ["link", "magic", "fifo", "device", "huge", "directory"])
def test_users_files_that_are_none(oci: Oci, machine: Path, kind: str) -> None:
    """CVE-2024-9676, CVE-2026-47262: no hang, no memory, no opening of devices; a name is not found, a number runs."""
    bundle = oci.bundle("sh", "-c", "echo $HOME")
    passwd = bundle.rootfs / "etc/passwd"
    passwd.unlink()
    match kind:
        case "link":
            passwd.symlink_to(f"../../../../../../../../..{machine}/passwd")
        case "magic":
            passwd.symlink_to("/proc/self/fd/0")
        case "fifo":
            os.mkfifo(passwd)
        case "device":
            os.mknod(passwd, stat.S_IFCHR | 0o644, os.makedev(1, 5))  # /dev/zero: endless
        case "huge":
            passwd.write_bytes(b"")
            os.truncate(passwd, 1 << 40)
        case _:
            passwd.mkdir()
    with opened(bundle.rootfs) as names:
        assert bundle.run().out == "/\n"
        bundle.config({"process": {"args": ["sleep", "1000"]}}).up()
        done = bundle.exec("id", options=["--user", "evil"], code=None)
    assert "not in the image's /etc/passwd" in done.err
    assert ("etc/passwd" in names) == (kind == "huge"), "what is no regular file is not even opened"


def test_ids_of_the_image_that_would_wrap_to_root(oci: Oci) -> None:
    """CVE-2024-40635: 2^32 is no root, nor what int() or setuid(2) would make one."""
    bundle = oci.bundle().up()
    (bundle.rootfs / "etc/passwd").unlink()  # bundles share it
    (bundle.rootfs / "etc/passwd").write_text(
        "\n".join(f"uid{n}:x:{id}:5::/:\ngid{n}:x:5:{id}::/:" for n, id in enumerate(ODD_IDS)) + "\ngood:x:5:6::/:\n"
    )
    for index in range(len(ODD_IDS)):
        for user in (f"uid{index}", f"gid{index}"):
            done = bundle.exec("id", options=["--user", user], code=None)
            assert "cannot use" in done.err, done
    assert bundle.exec("id", options=["--user", "good"]).out == "uid=5 gid=6\n"


def test_a_proc_that_is_a_volume_is_not_written_to(oci: Oci, machine: Path, tmp_path: Path) -> None:
    """CVE-2025-52881, CVE-2019-19921: sysctls, limits, id maps go to the machine's own procfs."""
    fake = tmp_path / "fake"
    for name in ("self/attr", "self/task/1/attr", "thread-self/attr", "1", "sys/net/ipv4", "sys/kernel"):
        (fake / name).mkdir(parents=True)
    traps = ("self/oom_score_adj", "self/attr/exec", "thread-self/attr/exec", "self/attr/keycreate", "self/uid_map")
    for name in (*traps, "sys/net/ipv4/ip_unprivileged_port_start", "sys/kernel/domainname", "self/setgroups"):
        (fake / name).symlink_to(machine / "null")
    bundle = oci.bundle("sleep", "1000", domainname="d", process={"oomScoreAdj": 77})
    bundle.data["mounts"] = [*bundle.data["mounts"][1:], bind(fake, "/proc", "rw")]
    bundle.config({"linux": {"sysctl": {"net.ipv4.ip_unprivileged_port_start": "7"}}}).up()
    assert Path(f"/proc/{bundle.pid}/oom_score_adj").read_text() == "77\n"
    script = "print(open('/proc/sys/net/ipv4/ip_unprivileged_port_start').read())"
    assert in_net_of(bundle.pid, script) == "7\n\n"
    bundle.exec("true")


def in_net_of(pid: int, script: str) -> str:
    """What Python prints in the network namespace of a process."""
    code = f"import ctypes, os; ctypes.CDLL(None).setns(os.open('/proc/{pid}/ns/net', 0), {CLONE_NEWNET}); {script}"
    return subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True).stdout
