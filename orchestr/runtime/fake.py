"""FakeRuntime: the Runtime seam in memory, for tests and for thousands of pods. No process, no root.

A container runs until somebody ends it: `exit`, `oom_kill`, `kill` with a deadly signal, removal; or by script:
`FakeRuntime(script=f)` asks `f(spec)` at each start for `Script(after, code)`, which `run` carries out in trio's time,
so that tests go through hours in no time under the autojump clock. `fail_start` makes the next start of one fail.
`clock` dates what happens. Pids count up from 1000. What was asked for is kept in `calls`.
"""

import os
import signal as signals
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import trio

from orchestr.runtime.changes import Feed
from orchestr.runtime.seam import (
    Container,
    ContainerSpec,
    ExecSession,
    ExecSpec,
    OomKill,
    RuntimeFailure,
    RuntimeState,
    Sandbox,
    SandboxSpec,
    Stats,
)

_DEADLY = {signals.SIGKILL, signals.SIGTERM, signals.SIGINT, signals.SIGQUIT, signals.SIGHUP}


class Script(NamedTuple):
    """How a container ends by itself."""

    after: float  # seconds of trio's clock
    code: int = 0


class FakeExec:
    """An exec that has already ended with `code`, having printed `output`."""

    def __init__(self, pid: int, code: int, output: bytes, tty: bool) -> None:
        self.pid, self._code = pid, code
        self.stdin = -1 if tty else os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self.stdout = _pipe_with(output)
        self.stderr = -1 if tty else os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.size: tuple[int, int] | None = None
        self.signals: list[int] = []

    async def wait(self) -> int:
        await trio.lowlevel.checkpoint()
        return self._code

    async def resize(self, rows: int, columns: int) -> None:
        await trio.lowlevel.checkpoint()
        self.size = (rows, columns)

    async def kill(self, signal: int) -> None:
        await trio.lowlevel.checkpoint()
        self.signals.append(signal)


def _pipe_with(output: bytes) -> int:
    """The read end of a pipe that holds at most 64 KiB of output."""
    read, write = os.pipe2(os.O_CLOEXEC)
    with open(write, "wb") as file:
        file.write(output[: 1 << 16])
    return read


class FakeRuntime:
    def __init__(
        self,
        script: Callable[[ContainerSpec], Script | None] = lambda spec: None,
        execute: Callable[[ExecSpec], tuple[int, bytes]] = lambda spec: (0, b""),
        volatile: str = "/nonexistent",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._script, self._execute, self._volatile, self._clock = script, execute, volatile, clock
        self._sandboxes: dict[str, SandboxSpec] = {}
        self._containers: dict[str, Container] = {}
        self._failures: dict[str, RuntimeFailure] = {}
        self._pid = 1000
        self._nursery: trio.Nursery | None = None
        self._feed = Feed()
        self.specs: dict[str, ContainerSpec] = {}
        self.resources: dict[str, Mapping[str, Any]] = {}
        self.calls: list[tuple[str, str]] = []  # (verb, id), in order

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carries out scripts until cancelled. Only needed with a script."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    # What tests do to containers

    def exit(self, id: str, code: int | None = 0, *, signal: int | None = None, message: str = "") -> None:
        """Ends a running container; `code` None stands for an exit that nobody could see."""
        self._end(id, exit_code=128 + signal if signal else code, signal=signal, message=message)

    def oom_kill(self, id: str, oom: OomKill) -> None:
        self._end(id, exit_code=137, signal=int(signals.SIGKILL), oom=oom)

    def fail_start(self, id: str, failure: RuntimeFailure) -> None:
        """The next start of this container raises `failure`."""
        self._failures[id] = failure

    def reboot(self) -> None:
        """Everything is gone, as after a power cut."""
        self._sandboxes.clear()
        self._containers.clear()
        self.specs.clear()

    def lose_connection(self) -> None:
        """Every reader of events is told everything once more."""
        for container in self._containers.values():
            self._feed.tell(container)

    def _end(self, id: str, **how: Any) -> None:
        container = self._containers[id]
        if container.status != "running":
            raise ValueError(f"container {id} is {container.status}")
        self._put(container._replace(status="exited", finished_at=self._clock(), **how))

    def _put(self, container: Container) -> None:
        self._containers[container.id] = container
        self._feed.tell(container)

    def _next_pid(self) -> int:
        self._pid += 1
        return self._pid

    async def _called(self, verb: str, id: str) -> None:
        self.calls.append((verb, id))
        await trio.lowlevel.checkpoint()

    # The seam

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        await self._called("create_sandbox", spec.id)
        kept = self._sandboxes.setdefault(spec.id, spec)
        return Sandbox(kept.id, "", kept.uid_base)

    def netns(self, sandbox: str) -> int:
        """A descriptor of /dev/null: setns(2) with it fails, so that no test can configure the machine's network."""
        if sandbox not in self._sandboxes:
            raise KeyError(sandbox)
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    async def remove_sandbox(self, id: str) -> None:
        await self._called("remove_sandbox", id)
        self._sandboxes.pop(id, None)
        for container in list(self._containers.values()):
            if container.sandbox == id and container.status == "running":
                self.exit(container.id, signal=signals.SIGKILL)

    async def start_container(self, spec: ContainerSpec) -> Container:
        await self._called("start_container", spec.id)
        if (there := self._containers.get(spec.id)) is not None:
            return there
        if spec.sandbox not in self._sandboxes:
            raise RuntimeFailure(
                f"cannot find sandbox {spec.sandbox}: it is not there (create it first)", reason="SandboxNotFound"
            )
        if (failure := self._failures.pop(spec.id, None)) is not None:
            raise failure
        self.specs[spec.id] = spec
        container = Container(spec.id, spec.sandbox, "running", pid=self._next_pid(), started_at=self._clock())
        self._put(container)
        self._follow_script(spec, container.pid)
        return container

    def _follow_script(self, spec: ContainerSpec, pid: int | None) -> None:
        script = self._script(spec)
        if script is None:
            return
        if self._nursery is None:
            raise RuntimeError("a FakeRuntime with a script needs its run() in a nursery")
        self._nursery.start_soon(self._end_later, spec.id, pid, script)

    async def _end_later(self, id: str, pid: int | None, script: Script) -> None:
        await trio.sleep(script.after)
        container = self._containers.get(id)
        if container is not None and container.status == "running" and container.pid == pid:
            self.exit(id, script.code)

    async def kill(self, container: str, signal: int, *, everyone: bool = False) -> None:
        await self._called("kill", container)
        there = self._containers.get(container)
        if there is not None and there.status == "running" and signal in _DEADLY:
            self.exit(container, signal=signal)

    async def remove_container(self, id: str, *, keep_upper: bool = False, keep_logs: bool = True) -> None:
        await self._called("remove_container", id)
        there = self._containers.get(id)
        if there is not None and there.status == "running":
            self.exit(id, signal=signals.SIGKILL)
        self._containers.pop(id, None)
        self.specs.pop(id, None)

    async def exec(self, spec: ExecSpec) -> ExecSession:
        await self._called("exec", spec.container)
        there = self._containers.get(spec.container)
        if there is None or there.status != "running":
            raise RuntimeFailure(
                f"cannot run a command in {spec.container}: it is not running (see its status)", reason="NotRunning"
            )
        code, output = self._execute(spec)
        return FakeExec(self._next_pid(), code, output, spec.tty)

    def open_stdin(self, container: str) -> int:
        spec = self.specs.get(container)
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC) if spec and (spec.stdin or spec.tty) else -1

    async def end_stdin(self, container: str) -> None:
        await self._called("end_stdin", container)

    async def state(self) -> RuntimeState:
        await trio.lowlevel.checkpoint()
        sandboxes = tuple(Sandbox(spec.id, "/proc/self", spec.uid_base) for spec in self._sandboxes.values())
        return RuntimeState(sandboxes, tuple(self._containers.values()), supervisor_pid=os.getpid())

    async def stats(self, ids: Sequence[str]) -> Mapping[str, Stats]:
        await trio.lowlevel.checkpoint()
        running = {id for id, container in self._containers.items() if container.status == "running"}
        return {
            id: Stats(1_000_000, 1 << 20, 2 << 20, 1, 4096, 8192, 10, 1, 5_000_000)
            for id in ids
            if id in running or id in self._sandboxes
        }

    async def update(self, id: str, resources: Mapping[str, Any]) -> None:
        await self._called("update", id)
        self.resources[id] = resources

    def events(self) -> AsyncIterator[Container]:
        return self._feed.read(self._containers.values())

    def volatile(self) -> str:
        return self._volatile
