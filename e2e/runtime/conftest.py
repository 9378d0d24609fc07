"""A pod on the real kernel, launched from the test's own process, and gone without a trace at the end; and bundles."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from e2e.runtime import bundles
from e2e.runtime.bundles import Oci
from orchestr.runtime import cgroups, launch, namespaces
from orchestr.runtime.enter import enter
from orchestr.runtime.seam import ContainerSpec, Rootfs, SandboxSpec
from orchestr.runtime.spawn import Launched
from orchestr.runtime.spec import default_spec

UID_BASE = 1_900_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if os.geteuid() and ("test_launch" in item.nodeid or "oci" in getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.skip(reason="root is needed"))


@pytest.fixture(scope="session")
def busybox_rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_rootfs(tmp_path_factory.mktemp("busybox") / "rootfs")


@pytest.fixture
def oci(tmp_path: Path, busybox_rootfs: Path) -> Iterator[Oci]:
    """The command, and bundles for it; at the end no process, mount, cgroup or state may be left. See bundles.py."""
    yield from bundles.session(tmp_path, busybox_rootfs)


class Ended(NamedTuple):
    code: int  # negative: signal
    out: str


class Pod:
    """One sandbox and what was launched in it."""

    def __init__(self, directory: Path, **spec: Any) -> None:
        self.directory = directory
        self.low = directory / "low"
        self.spec = SandboxSpec(
            **{
                "id": "pod",
                "hostname": "web-1",
                "cgroup": f"orch-e2e-{os.getpid()}/pod",
                "uid_base": UID_BASE,
                **spec,
            }
        )
        self._launched: list[Launched] = []
        self.ns = namespaces.make(self.spec)

    def container(self, args: Sequence[str], number: int = 1, **options: Any) -> ContainerSpec:
        init = options.pop("init", False)
        readonly = options.pop("readonly", False)
        usr = {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["bind", "ro", "idmap"]}
        options["mounts"] = [usr, *options.get("mounts", ())]
        oci = default_spec(args, annotations={launch.NAME: "web-1"}, **options)
        rootfs = Rootfs((str(self.low),), str(self.directory / f"upper{number}"), readonly)
        return ContainerSpec(f"c{number}", self.spec.id, oci, rootfs, None, init)

    def launch(self, spec: ContainerSpec, stdio: tuple[int, int, int]) -> Launched:
        launched = launch.launch(spec, self.spec, self.ns, stdio)
        self._launched.append(launched)
        return launched

    def run(self, *args: str, **options: Any) -> Ended:
        """To its end, with what it wrote to stdout and stderr."""
        return self._collect(lambda stdio: self.launch(self.container(args, **options), stdio))

    def exec(self, container: Launched, args: Sequence[str], **change: Any) -> Ended:
        spec = self.container(args)
        process: Mapping[str, Any] = {**spec.oci["process"], **change}
        cgroup = launch.cgroup_of(spec, self.spec)
        seccomp = spec.oci["linux"]["seccomp"]

        def start(stdio: tuple[int, int, int]) -> Launched:
            return enter(container.pid, cgroup, self.spec, process, stdio, False, seccomp=seccomp)

        return self._collect(start)

    def _collect(self, start: Callable[[tuple[int, int, int]], Launched]) -> Ended:
        read, write = os.pipe2(os.O_CLOEXEC)
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            launched = start((null, write, write))
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
            os.close(null)
        with os.fdopen(read) as file:
            out = file.read()
        code = os.waitstatus_to_exitcode(os.waitpid(launched.pid, 0)[1])
        os.close(launched.pidfd)
        if launched in self._launched:
            self._launched.remove(launched)
        return Ended(code, out)

    def close(self) -> None:
        for launched in self._launched:
            os.kill(launched.pid, 9)
            os.waitpid(launched.pid, 0)
            os.close(launched.pidfd)
        if self.ns.holder:
            os.kill(self.ns.holder, 9)
            os.waitpid(self.ns.holder, 0)
        self.ns.close()
        cgroups.kill_all(self.spec.cgroup)
        cgroups.remove(self.spec.cgroup.split("/")[0])


MakePod = Callable[..., Pod]


@pytest.fixture
def make_pod(tmp_path: Path) -> Iterator[MakePod]:
    """Makes pods over a root of directories and links to /usr; asserts that none leaves a descriptor or cgroup."""
    low = tmp_path / "low"
    for name in ("etc", "proc", "sys", "dev", "tmp", "root"):
        (low / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (low / name).symlink_to(f"usr/{name}")
    (low / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nredis:x:999:998::/data:/bin/sh\n")
    (low / "etc/group").write_text("root:x:0:\nredis:x:998:\nlog:x:4:redis\n")
    pods: list[Pod] = []
    warm_up(tmp_path, pods)
    before = descriptors()

    def make(**spec: Any) -> Pod:
        pods.append(Pod(tmp_path, **spec))
        return pods[-1]

    try:
        yield make
    finally:
        for pod in pods:
            pod.close()
        shutil.rmtree(tmp_path, ignore_errors=True)
    assert descriptors() == before
    assert not list(cgroups.directories(f"orch-e2e-{os.getpid()}"))


def warm_up(directory: Path, pods: list[Pod]) -> None:
    """Descriptors that the runtime keeps on purpose (device nodes, the device filter) are open after one launch."""
    pod = Pod(directory)
    try:
        assert pod.run("true", number=0).code == 0
    finally:
        pod.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
