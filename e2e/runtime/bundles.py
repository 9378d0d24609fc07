"""orch-oci, black box: bundles with a root of static busybox, the command on them, and proof that nothing is left.

    def test_it_runs(oci: Oci) -> None:
        bundle = oci.bundle("sh", "-c", "exit 3", root={"readonly": True})
        bundle.config({"linux": {"resources": {"pids": {"limit": 5}}}})
        assert bundle.run(code=3).out == ""

ORCH_OCI=PATH runs the same tests on another runtime (crun, runc): what they prove is the specification.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from glob import glob
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from e2e.checks import eventually
from orchestr.runtime.overlay import kernel

COMMAND = os.environ.get("ORCH_OCI") or str(Path(sys.executable).with_name("orch-oci"))
Config = dict[str, Any]
CAPABILITIES = [f"CAP_{name}" for name in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID", "SETPCAP")]
NAMESPACES = ("pid", "network", "ipc", "uts", "mount", "cgroup")
TIMEOUT = 60  # seconds for one call of the command


class Done(NamedTuple):
    code: int
    out: str
    err: str


def default(args: Sequence[str], cgroup: str) -> Config:
    """A small config.json as engines write it: no seccomp (compiling it is most of a launch), no user namespace."""
    return {
        "ociVersion": "1.2.0",
        "hostname": "busy",
        "root": {"path": "rootfs"},
        "process": {
            "args": list(args),
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "noNewPrivileges": True,
            "capabilities": {name: list(CAPABILITIES) for name in ("bounding", "effective", "permitted")},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": "/dev",
                "type": "tmpfs",
                "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts",
                "type": "devpts",
                "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            {
                "destination": "/dev/shm",
                "type": "tmpfs",
                "source": "shm",
                "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
            },
            {
                "destination": "/sys",
                "type": "sysfs",
                "source": "sysfs",
                "options": ["nosuid", "noexec", "nodev", "ro"],
            },
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": name} for name in NAMESPACES],
        },
    }


def merge(config: Config, changes: Mapping[str, Any]) -> None:
    """As JSON merge patch (RFC 7396): objects are merged, None deletes, all else replaces."""
    for key, value in changes.items():
        if value is None:
            config.pop(key, None)
        elif isinstance(value, Mapping):
            merge(config.setdefault(key, {}), value)
        else:
            config[key] = value


class Bundle:
    """BUNDLE/config.json and BUNDLE/rootfs of one container, and the commands on its id."""

    def __init__(self, oci: "Oci", path: Path, id: str, config: Config) -> None:
        self.oci, self.path, self.id, self.data = oci, path, id, config
        self.rootfs = path / "rootfs"
        self.pid_file = path / "pid"

    def config(self, changes: Mapping[str, Any] | Callable[[Config], object]) -> "Bundle":
        """Merges into config.json (see `merge`), or lets a function change it."""
        if callable(changes):
            changes(self.data)
        else:
            merge(self.data, changes)
        (self.path / "config.json").write_text(json.dumps(self.data))
        return self

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    @property
    def cgroup(self) -> str:
        """Relative to each hierarchy."""
        return str(self.data["linux"]["cgroupsPath"]).strip("/")

    def create(self, *options: str, code: int | None = 0, **kw: Any) -> Done:
        words = ("--bundle", str(self.path), "--pid-file", str(self.pid_file), *options, self.id)
        return self.oci("create", *words, code=code, **kw)

    def start(self, *options: str, code: int | None = 0) -> Done:
        return self.oci("start", *options, self.id, code=code)

    def up(self) -> "Bundle":
        """Created and started."""
        self.create()
        self.start()
        return self

    def run(self, *options: str, code: int | None = 0, **kw: Any) -> Done:
        return self.oci("run", "--bundle", str(self.path), *options, self.id, code=code, **kw)

    def exec(self, *args: str, options: Sequence[str] = (), code: int | None = 0, **kw: Any) -> Done:
        return self.oci("exec", *options, self.id, *args, code=code, **kw)

    def kill(self, *words: str, code: int | None = 0) -> Done:
        return self.oci("kill", self.id, *words, code=code)

    def delete(self, *options: str, code: int | None = 0) -> Done:
        return self.oci("delete", *options, self.id, code=code)

    def state(self) -> Config:
        state: Config = json.loads(self.oci("state", self.id).out)
        return state

    @property
    def status(self) -> str:
        return str(self.state()["status"])

    def until(self, status: str) -> None:
        eventually(lambda: self.status == status, what=f"{self.id} {status}")


class Oci:
    """The command with a --root of its own. Call it with words; `bundle` makes what it works on."""

    def __init__(self, directory: Path, rootfs: Path) -> None:
        self.directory, self._rootfs = directory, rootfs
        self.root = directory / "state"
        self.token = f"orch-e2e-{uuid.uuid4().hex[:8]}"  # in the path of every cgroup and in the command's environment
        self.bundles: list[Bundle] = []

    def argv(self, *words: str) -> list[str]:
        return [COMMAND, "--root", str(self.root), *words]

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "ORCH_E2E": self.token}

    def __call__(
        self, *words: str, code: int | None = 0, stdin: str | None = None, cwd: Path | None = None, **popen: Any
    ) -> Done:
        """To its end. Output goes to files: a pipe that the container keeps would hold us up. code None: any."""
        with TemporaryFile("w+") as out, TemporaryFile("w+") as err:
            done = subprocess.run(
                self.argv(*words),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=out,
                stderr=err,
                text=True,
                cwd=cwd or self.directory,
                env=popen.pop("env", self.environ),
                timeout=TIMEOUT,
                check=False,
                **popen,
            )
            out.seek(0)
            err.seek(0)
            result = Done(done.returncode, out.read(), err.read())
        assert code is None or result.code == code, f"orch-oci {' '.join(words)}: {result}"
        assert "Traceback" not in result.err, result.err
        return result

    def bundle(self, *args: str, **changes: Any) -> Bundle:
        """`args` is the command (default: sleep), `changes` are merged into its config.json."""
        number = len(self.bundles) + 1
        path = self.directory / f"bundle{number}"
        path.mkdir()
        shutil.copytree(self._rootfs, path / "rootfs", symlinks=True, copy_function=os.link)
        id = f"{self.token}-{number}"
        made = Bundle(self, path, id, default(args or ("sleep", "1000"), f"/{self.token}/{id}"))
        self.bundles.append(made)
        return made.config(changes)

    def close(self) -> None:
        """Deletes what is still there, then asserts that nothing of ours is on the machine."""
        for bundle in self.bundles:
            self("delete", "--force", bundle.id, code=None)
        self.assert_nothing_left()

    def assert_nothing_left(self) -> None:
        try:
            eventually(lambda: not self.processes(), within=5)
            assert not self.mounts()
            states = sorted(self.root.iterdir()) if self.root.exists() else []
            assert not states, states
            for directory in self.cgroups():
                assert not [name for name in directory.rglob("*") if name.is_dir()], f"{directory} is left"
        finally:
            self._clean()

    def processes(self) -> dict[int, str]:
        """Of containers, by their cgroup, and of the command itself, by its environment."""
        found = {}
        for entry in glob("/proc/[0-9]*"):
            with suppress(OSError):
                own = int(entry[6:]) == os.getpid()
                text = Path(entry, "cgroup").read_text() + Path(entry, "environ").read_bytes().decode(errors="replace")
                if self.token in text and not own:
                    found[int(entry[6:])] = Path(entry, "cmdline").read_bytes().decode(errors="replace")
        return found

    def mounts(self) -> list[str]:
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return [point for point in points if point.startswith(str(self.directory))]

    def cgroups(self) -> list[Path]:
        """Our parent cgroup in every hierarchy: engines make theirs and keep it, so may a runtime."""
        return [Path(path) for path in (*glob(f"/sys/fs/cgroup/{self.token}"), *glob(f"/sys/fs/cgroup/*/{self.token}"))]

    def _clean(self) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for directory in self.cgroups():
            for below in sorted((path for path in directory.rglob("*") if path.is_dir()), reverse=True):
                with suppress(OSError):
                    below.rmdir()
            with suppress(OSError):
                directory.rmdir()


def make_rootfs(path: Path) -> Path:
    """A root with busybox and a link for each of its applets. Skips the test where there is none."""
    import pytest

    program = shutil.which("busybox")
    if not program or b"/ld-linux" in Path(program).read_bytes()[:4096]:
        pytest.skip("no static busybox (install busybox-static)")
    for name in ("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp", "usr", "var"):
        (path / name).mkdir(parents=True)
    (path / "tmp").chmod(0o1777)
    shutil.copy(program, path / "bin/busybox")
    for name in subprocess.check_output([program, "--list"], text=True).split():
        if name != "busybox":
            (path / "bin" / name).symlink_to("busybox")
    (path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var:/bin/sh\n")
    (path / "etc/group").write_text("root:x:0:\nwww:x:33:\nextra:x:44:www\n")
    return path


def attachable(kind: str) -> None:
    """For tests of a container whose `mount` namespace is not its own: skips where the kernel cannot make it a root."""
    import pytest

    if kind == "mount" and kernel() < (6, 15):
        pytest.skip("before Linux 6.15 nothing can be mounted in a root that is attached nowhere")


def session(directory: Path, rootfs: Path) -> Iterator[Oci]:
    """For fixtures."""
    made = Oci(directory, rootfs)
    try:
        yield made
    finally:
        made.close()
