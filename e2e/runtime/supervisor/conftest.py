"""A supervisor of its own for each test, on real containers; at the end nothing of it may be left on the machine."""
# ruff: noqa: ASYNC110, ASYNC240 - a test may look at files, and waits for state that has no event

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from orchestr.runtime import cgroups, logs
from orchestr.runtime.client import SupervisedRuntime
from orchestr.runtime.overlay import kernel
from orchestr.runtime.seam import Container, ContainerSpec, LogSpec, Rootfs, SandboxSpec
from orchestr.runtime.spec import default_spec
from orchestr.runtime.supervisor import volatile

USR = {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro", "idmap"]}


class Machine:
    def __init__(self, base: Path, nursery: trio.Nursery) -> None:
        self.base, self.run, self._nursery = base, str(base / "run"), nursery
        self.cgroup = f"orch-e2e-{uuid.uuid4().hex[:8]}"
        self.root = base / "root"
        for name in ("usr", "proc", "dev", "sys", "tmp", "etc"):
            (self.root / name).mkdir(parents=True)
        for name in ("bin", "lib", "lib64", "sbin"):
            (self.root / name).symlink_to(f"usr/{name}")
        self._scopes: list[trio.CancelScope] = []
        self.runtime = SupervisedRuntime(self.run)

    async def daemon(self) -> SupervisedRuntime:
        """A new daemon's side; the one before is gone at once, as after kill -9."""
        for scope in self._scopes:
            scope.cancel()
        self.runtime = SupervisedRuntime(self.run)
        await self._nursery.start(self._serve, self.runtime)
        return self.runtime

    async def _serve(self, runtime: SupervisedRuntime, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as scope:
            self._scopes.append(scope)
            await runtime.run(task_status)

    def stop_daemon(self) -> None:
        self._scopes.pop().cancel()

    async def sandbox(self, id: str = "pod", **fields: Any) -> None:
        spec = SandboxSpec(id, id, f"{self.cgroup}/{id}", uid_base=2_000_000, **fields)
        await self.runtime.create_sandbox(spec)

    def spec(
        self, id: str, args: Sequence[str], *, log: LogSpec | None = None, tty: bool = False, **oci: Any
    ) -> ContainerSpec:
        config = default_spec(args, mounts=[USR], **oci)
        rootfs = Rootfs((str(self.root),), str(self.base / "upper" / id))
        return ContainerSpec(id, "pod", config, rootfs, log or LogSpec(self.logs(id)), tty=tty)

    def logs(self, id: str) -> str:
        return str(self.base / "logs" / id)

    async def start(self, id: str, *args: str, **fields: Any) -> Container:
        return await self.runtime.start_container(self.spec(id, args, **fields))

    async def until(self, id: str, check: Callable[[Container], bool], within: float = 60) -> Container:
        with trio.fail_after(within):
            async for container in self.runtime.events():
                if container.id == id and check(container):
                    return container
        raise AssertionError("events ended")

    async def exited(self, id: str) -> Container:
        return await self.until(id, lambda container: container.status == "exited")

    @staticmethod
    def ended(container: Container, code: int, number: int | None = None) -> bool:
        """Whether one that an earlier supervisor had started is told to have ended so. Linux before 6.15 tells its
        parent alone: then it may be unknown, and is never anything else."""
        if kernel() < (6, 15) and (container.exit_code, container.signal) == (None, None):
            return "unknown" in container.message
        return (container.exit_code, container.signal, container.message) == (code, number, "")

    def output(self, id: str, stream: str = "stdout") -> bytes:
        lines = logs.read(self.logs(id), stream=stream)
        return b"".join(line.data + (b"" if line.partial else b"\n") for line in lines)

    async def kill_supervisor(self) -> int:
        """kill -9; returns its pid once it is gone."""
        pid = (await self.runtime.state()).supervisor_pid
        pidfd = os.pidfd_open(pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        return pid

    async def new_supervisor(self, old: int) -> None:
        while (await self.runtime.state()).supervisor_pid == old:
            await self.eventually(lambda: Path(self.run, "supervisor.lock").read_text() != f"{old}\n")

    async def eventually(self, check: Callable[[], bool], within: float = 60) -> None:
        with trio.fail_after(within):
            while not check():
                await trio.sleep(0.005)

    async def finish(self) -> None:
        with trio.fail_after(60):
            supervisor = (await self.runtime.state()).supervisor_pid
        pidfd = os.pidfd_open(supervisor)
        with trio.fail_after(60):
            await self.runtime.shutdown(self.cgroup)
            await trio.lowlevel.wait_readable(pidfd)
        os.close(pidfd)
        assert os.listdir(self.run) == []
        assert list(cgroups.directories(self.cgroup)) == []
        assert str(self.base) not in Path("/proc/self/mountinfo").read_text()

    def sweep(self) -> None:
        """After a failure: nothing of it may disturb other tests."""
        with suppress(OSError, ValueError):
            os.kill(int(Path(self.run, "supervisor.lock").read_text()), signal.SIGKILL)
        cgroups.kill_all(self.cgroup)
        with suppress(OSError):
            cgroups.remove(self.cgroup)
        volatile.unmount(self.run)
        shutil.rmtree(self.base, ignore_errors=True)

    def descriptors(self, pid: int | str) -> int:
        return descriptors(pid)


def descriptors(pid: int | str = "self") -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.fixture
async def machine(nursery: trio.Nursery) -> AsyncIterator[Machine]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made = Machine(Path(tempfile.mkdtemp(prefix="orch-e2e-")), nursery)
    before = descriptors()
    try:
        await made.daemon()
        yield made
        await made.finish()
        made.stop_daemon()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert descriptors() <= before + 3, "what the first trio thread and the first inotify take"
    finally:
        made.sweep()
