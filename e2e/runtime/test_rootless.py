"""orch-oci as an ordinary user: user_namespaces(7), subuid(5).

The user is `nobody`. What /etc/subuid grants is laid over the machine's file in a mount namespace of the test's own, so
that nothing of the machine changes; the program is copied, and Python bound, to where everybody may read them.
"""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import orchestr
from e2e.runtime import bundles
from orchestr.runtime.oci import rootless

NOBODY = pwd.getpwnam("nobody")
SUBORDINATE = 1_700_000
ENTER = """
set -e
mount --make-rprivate /
mount --bind "$1/granted" /etc/subuid
mount --bind "$1/granted" /etc/subgid
mount --bind "$2" "$1/python"
shift 2
exec setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups "$@"
"""
SCRIPT = """#!{python} -IS
import sys
sys.path.insert(0, {where!r})
from orchestr.runtime.oci import main
main()
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed, to become an ordinary user")


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Rootless:
    """The command of an ordinary user, and a bundle that belongs to him."""

    def __init__(self, directory: Path, granted: str) -> None:
        self.directory, self.bundle = directory, directory / "bundle"
        python = directory / "python/bin" / Path(os.path.realpath(sys.executable)).name
        shutil.copytree(
            Path(orchestr.__file__).parent, directory / "orchestr", ignore=shutil.ignore_patterns("__pycache__")
        )
        (directory / "orch-oci").write_text(SCRIPT.format(python=python, where=str(directory)))
        (directory / "orch-oci").chmod(0o755)
        (directory / "granted").write_text(granted)
        (directory / "python").mkdir()
        for path in (self.bundle, directory / "run"):
            path.mkdir(exist_ok=True)
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)

    def __call__(self, *words: str, code: int = 0) -> Done:
        env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(self.directory / "run")}
        command = [str(self.directory / "orch-oci"), *words]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            enter = ["unshare", "--mount", "sh", "-c", ENTER, "sh", str(self.directory), sys.base_prefix]
            done = subprocess.run(
                [*enter, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=env,
                cwd=self.bundle,
                timeout=60,
            )
            out.seek(0)
            err.seek(0)
            result = Done(done.returncode, out.read(), err.read())
        assert result.code == code, result
        return result

    def spec(self, *args: str, **linux: Any) -> None:
        """A new config.json of `spec --rootless` with another command."""
        (self.bundle / "config.json").unlink(missing_ok=True)
        self("spec", "--rootless")
        config = json.loads((self.bundle / "config.json").read_text())
        config["process"] |= {"args": list(args), "terminal": False}
        config["root"]["readonly"] = False
        config["linux"] |= linux
        (self.bundle / "config.json").write_text(json.dumps(config))


@pytest.fixture
def user(busybox_rootfs: Path, request: pytest.FixtureRequest) -> Iterator[Rootless]:
    granted = getattr(request, "param", "")
    directory = Path(tempfile.mkdtemp(prefix="orch-e2e-"))
    directory.chmod(0o755)
    made = Rootless(directory, granted)
    shutil.copytree(busybox_rootfs, made.bundle / "rootfs", symlinks=True)
    for path in ("rootfs", *(f"rootfs/{name}" for name in ("dev", "proc", "sys", "etc", "tmp", "home"))):
        os.chown(made.bundle / path, NOBODY.pw_uid, NOBODY.pw_gid)
    try:
        yield made
    finally:
        state = directory / "run/orch-oci"
        left = sorted(path.name for path in state.iterdir()) if state.exists() else []
        for id in left:
            made("delete", "--force", id)
        shutil.rmtree(directory)
        assert not left


granting = pytest.mark.parametrize("user", [f"nobody:{SUBORDINATE}:1000\n"], indirect=True)


def mapping(*entries: tuple[int, int, int]) -> dict[str, list[Mapping[str, int]]]:
    found = [{"containerID": a, "hostID": b, "size": c} for a, b, c in entries]
    return {"uidMappings": found, "gidMappings": found}


def test_he_maps_himself(user: Rootless) -> None:
    """Without anything granted: root inside is the user outside, and the exit code is the command's."""
    user.spec("sh", "-c", "id -u; cat /proc/self/uid_map; touch /home/made; exit 7")
    done = user("run", "one", code=7)
    assert done.out.split() == ["0", "0", "0", "1"]
    assert (user.bundle / "rootfs/home/made").stat().st_uid == NOBODY.pw_uid


@granting
def test_he_maps_his_subordinate_ids(user: Rootless) -> None:
    """newuidmap(1) maps what /etc/subuid grants; files of other users inside belong to those ids outside."""
    maps = mapping((0, NOBODY.pw_uid, 1), (1, SUBORDINATE, 1000))
    user.spec("sh", "-c", "touch /home/made && chown 33 /home/made && cat /proc/self/uid_map", **maps)
    config = json.loads((user.bundle / "config.json").read_text())
    config["process"]["capabilities"] = {name: ["CAP_CHOWN"] for name in ("bounding", "effective", "permitted")}
    (user.bundle / "config.json").write_text(json.dumps(config))
    user("run", "one")
    made = user.bundle / "rootfs/home/made"
    assert made.stat().st_uid == SUBORDINATE + 32
    made.unlink()


@granting
def test_ids_of_others_are_refused(user: Rootless) -> None:
    user.spec("true", **mapping((0, 0, 1)))
    done = user("run", "one", code=1)
    assert "/linux/uidMappings/0/hostID: 0 is none of this user's ids" in done.err


def test_a_container_without_a_user_namespace_is_refused(user: Rootless) -> None:
    user.spec("true", namespaces=[{"type": "mount"}, {"type": "pid"}], uidMappings=[], gidMappings=[])
    assert "needs a user namespace" in user("run", "one", code=1).err


@granting
def test_a_life(user: Rootless) -> None:
    """create, start, exec, ps, kill and delete find the container's namespaces again in processes of their own."""
    user.spec("sleep", "1000", **mapping((0, NOBODY.pw_uid, 1), (1, SUBORDINATE, 1000)))
    user("create", "one")
    assert json.loads(user("state", "one").out)["status"] == "created"
    user("start", "one")
    assert user("exec", "--user", "33:33", "one", "id", "-u").out == "33\n"
    user("exec", "one", "sh", "-c", "exit 3", code=3)
    assert len(json.loads(user("ps", "--format", "json", "one").out)) == 1
    user("kill", "one", "KILL")
    bundles.eventually(lambda: json.loads(user("state", "one").out)["status"] == "stopped")
    user("delete", "one")


def test_limits_that_cannot_be_had_are_told(user: Rootless) -> None:
    """No cgroup of the machine is his: the container runs without limits, and that is said."""
    user.spec("true", resources={"pids": {"limit": 7}})
    assert "limits are not applied" in user("run", "one").err


def test_ids_come_from_lines_by_name_or_number(tmp_path: Path) -> None:
    """subuid(5): the first field is a login name or a user id; what is no line of it is passed over."""
    file = tmp_path / "subuid"
    file.write_text(f"nobody:100:10\nother:200:10\n{NOBODY.pw_uid}:300:5\nbroken\nnobody:x:1\nnobody:400:0\n")
    assert rootless.subordinate(str(file), NOBODY.pw_uid) == [(100, 10), (300, 5)]
    assert rootless.subordinate(str(tmp_path / "none"), 0) == []
