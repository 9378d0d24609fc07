"""orch-oci as Docker's shim and Podman call it: the command, black box."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestr.runtime import cgroups, syscalls

COMMAND = Path(sys.executable).with_name("orch-oci")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")


class Bundle:
    def __init__(self, path: Path) -> None:
        self.path, self.id = path, f"e2e-{os.getpid()}"
        for name in ("etc", "proc", "sys", "dev", "tmp", "usr"):
            (path / "rootfs" / name).mkdir(parents=True)
        for name in ("bin", "lib", "lib64", "sbin"):
            (path / "rootfs" / name).symlink_to(f"usr/{name}")
        self("spec", "--bundle", str(path))
        self.config = json.loads((path / "config.json").read_text())
        self.config["process"]["terminal"] = False
        usr = {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]}
        self.config["mounts"].append(usr)
        self.run("sleep", "60")

    def run(self, *args: str) -> None:
        self.config["process"]["args"] = list(args)
        (self.path / "config.json").write_text(json.dumps(self.config))

    def __call__(self, *args: str, code: int | None = 0) -> str:
        """Runs the command with the files of a caller: nothing of ours is waited for through a pipe that it keeps."""
        with open(self.path / "out", "w+") as out:
            done = subprocess.run(
                [
                    COMMAND,
                    "--root",
                    str(self.path / "state"),
                    "--log",
                    str(self.path / "log"),
                    "--log-format=json",
                    *args,
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.path,
                check=False,
            )
            out.seek(0)
            text = out.read()
        assert code is None or done.returncode == code, text
        return text

    def status(self) -> str:
        status: str = json.loads(self("state", self.id))["status"]
        return status


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    made = Bundle(tmp_path)
    try:
        yield made
    finally:
        made("delete", "--force", made.id)
    assert not list(cgroups.directories(f"orch-oci/{made.id}"))


def test_created_waits_until_it_is_started(bundle: Bundle) -> None:
    bundle("create", "--bundle", str(bundle.path), "--pid-file", str(bundle.path / "pid"), bundle.id)
    pid = int((bundle.path / "pid").read_text())
    assert bundle.status() == "created"
    assert Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()
    bundle("start", bundle.id)
    assert bundle.status() == "running"
    bundle("start", bundle.id, code=1)
    assert bundle("exec", bundle.id, "cat", "/proc/1/comm") == "sleep\n"
    bundle("exec", bundle.id, "sh", "-c", "exit 4", code=4)
    bundle("exec", bundle.id, "nowhere", code=127)
    bundle("pause", bundle.id)
    assert bundle.status() == "paused"
    bundle("resume", bundle.id)
    pidfd = os.pidfd_open(pid)
    bundle("delete", bundle.id, code=1)
    bundle("kill", bundle.id, str(int(signal.SIGKILL)))
    import select

    assert select.select([pidfd], [], [], 10)[0]
    os.close(pidfd)
    assert bundle.status() == "stopped"
    bundle("delete", bundle.id)
    bundle("delete", "--force", bundle.id)


def test_run_passes_the_exit_code_on(bundle: Bundle) -> None:
    bundle.run("sh", "-c", "echo out; exit 6")
    assert bundle("run", bundle.id, code=6) == "out\n"


@pytest.mark.parametrize(("args", "words"), [("nowhere", "executable file not found"), ("/etc", "permission denied")])
def test_create_says_why_in_the_words_that_docker_looks_for(bundle: Bundle, args: str, words: str) -> None:
    bundle.run(args)
    assert words in bundle("create", bundle.id, code=1)
    line = json.loads((bundle.path / "log").read_text().splitlines()[-1])
    assert line["level"] == "error"
    assert words in line["msg"]
    bundle("state", bundle.id, code=1)


def test_what_is_not_done_is_said(bundle: Bundle) -> None:
    bundle.run("true")
    assert "not supported" in bundle("checkpoint", bundle.id, code=1)
    features = json.loads(bundle("features"))
    assert features["ociVersionMax"]


@pytest.mark.parametrize(
    ("propagation", "option"),
    [
        ("", None),
        ("private", None),
        ("rprivate", None),
        ("shared", "shared"),
        ("rshared", "shared"),
        ("unbindable", "unbindable"),
    ],
)
def test_the_roots_propagation_is_the_configured_one(bundle: Bundle, propagation: str, option: str | None) -> None:
    bundle.config["linux"]["rootfsPropagation"] = propagation
    bundle.run("cat", "/proc/self/mountinfo")
    mounts = [line.split() for line in bundle("run", "--bundle", str(bundle.path), bundle.id).splitlines()]
    tagged = {line[4]: [field.partition(":")[0] for field in line[6 : line.index("-")]] for line in mounts}
    assert tagged["/"] == ([option] if option else [])
    assert tagged["/proc"] == (["shared"] if propagation == "rshared" else [])


def test_a_slave_root_learns_of_mounts_of_the_machine(bundle: Bundle) -> None:
    source = bundle.path / "rootfs"
    tree = syscalls.open_tree(syscalls.AT_FDCWD, str(source))
    syscalls.mount_setattr(tree, syscalls.mount_attr(0, 0, syscalls.MS_SHARED))
    syscalls.call("move_mount", tree, b"", syscalls.AT_FDCWD, os.fsencode(source), 0x04)
    os.close(tree)
    try:
        bundle.config["linux"]["rootfsPropagation"] = "rslave"
        bundle.run("sleep", "60")
        bundle("create", "--bundle", str(bundle.path), bundle.id)
        bundle("start", bundle.id)
        made = syscalls.new_mount(b"tmpfs")
        os.mkdir("mark", dir_fd=made)
        syscalls.call("move_mount", made, b"", syscalls.AT_FDCWD, os.fsencode(source / "tmp"), 0x04)
        os.close(made)
        assert bundle("exec", bundle.id, "ls", "/tmp") == "mark\n"
    finally:
        syscalls.call("umount2", os.fsencode(source), syscalls.MNT_DETACH)


def test_an_unknown_propagation_is_refused(bundle: Bundle) -> None:
    bundle.config["linux"]["rootfsPropagation"] = "sideways"
    bundle.run("true")
    told = bundle("run", "--bundle", str(bundle.path), bundle.id, code=1)
    assert "/linux/rootfsPropagation: must be one of private, shared, slave" in told
    assert 'is "sideways"' in told
