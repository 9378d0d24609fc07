"""SupervisedRuntime: the Runtime seam over orch-supervisor.

`run` keeps one connection for as long as the daemon lives: it starts a supervisor when none answers and again when the
one there was is gone. What the supervisor knows is mirrored here, so that `state` and `netns` ask nobody. A request
that was under way when the supervisor went is asked again, which is why all but `exec` are idempotent.
"""

import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import trio

from orchestr.runtime import starter
from orchestr.runtime.changes import Feed
from orchestr.runtime.held import Held
from orchestr.runtime.link import Link, LinkLost, Reply, connect
from orchestr.runtime.seam import (
    Container,
    ContainerSpec,
    ExecSession,
    ExecSpec,
    RuntimeFailure,
    RuntimeState,
    Sandbox,
    SandboxSpec,
    Stats,
)
from orchestr.runtime.sessions import Sessions
from orchestr.runtime.supervisor import protocol, volatile, wire
from orchestr.runtime.supervisor.protocol import Message

_VANISHED = "exit status unknown: its record vanished from the run directory"


class SupervisedRuntime:
    """`run`: the instance's run directory. Use: `await nursery.start(runtime.run)`."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._link: Link | None = None
        self._connected = trio.Event()
        self._stopping = False
        self._supervisor_pid = 0
        self._containers: dict[str, Container] = {}
        self._held: dict[str, Held] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._netns: dict[str, int] = {}  # no entry: the host's own
        self._sessions = Sessions()
        self._feed = Feed()
        self._fresh_containers: set[str] = set()  # told since the last hello began
        self._fresh_sandboxes: set[str] = set()

    # The connection

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled, or `shutdown`. Containers and supervisor stay. RuntimeFailure when none can be started."""
        try:
            while not self._stopping:
                if await self._serve(task_status):
                    task_status = trio.TASK_STATUS_IGNORED
        finally:
            self._link = None
            self._connected.set()  # whoever waits is refused
            self._drop_descriptors()

    async def _serve(self, task_status: trio.TaskStatus[None]) -> bool:
        """One connection, from hello to its end; False when the supervisor went before it had said everything."""
        link = await self._open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.receive)
            try:
                await self._hello(link)
            except LinkLost:
                return False
            self._link = link
            self._connected.set()
            task_status.started()
        self._connected, self._link = trio.Event(), None
        self._sessions.lost()
        return True

    async def _open(self) -> Link:
        place = f"{self._run}/supervisor.sock"
        while True:
            try:
                return await connect(place, self._told)
            except OSError:
                await trio.to_thread.run_sync(starter.supervisor, self._run)

    async def _hello(self, link: Link) -> None:
        """Tells what only we saw, and learns everything."""
        before, self._fresh_containers, self._fresh_sandboxes = set(self._containers), set(), set()
        for id, held in self._held.items():
            if held.console >= 0:
                await link.call("console", {"container": id}, (held.console,))
        seen = {id: status for id, held in self._held.items() if (status := held.status()) is not None}
        reply = await link.call("hello", {"seen": seen})
        self._supervisor_pid = reply.ok["pid"]
        if reply.ok["version"] != protocol.VERSION:
            text = f"cannot talk to the supervisor: its protocol is {reply.ok['version']}, ours {protocol.VERSION}"
            raise RuntimeFailure(f"{text} (stop --all, then start)", reason="SupervisorVersion")
        for id in before - self._fresh_containers:
            self._vanished(id)
        for id in set(self._sandboxes) - self._fresh_sandboxes:
            self._forget_sandbox(id)

    def _vanished(self, id: str) -> None:
        container = self._containers.pop(id)
        self._release(id)
        if container.status == "running":
            self._feed.tell(container._replace(status="exited", exit_code=None, message=_VANISHED))

    def _drop_descriptors(self) -> None:
        for id in list(self._held):
            self._release(id)
        for fd in self._netns.values():
            os.close(fd)
        self._netns.clear()

    # What the supervisor tells

    def _told(self, message: Message) -> None:
        match message.body["event"]:
            case "container":
                self._learn(wire.container_from(message.body["container"]), message.fds)
            case "sandbox":
                self._learn_sandbox(message.body["sandbox"], message.fds)
            case "exec_exit":
                self._sessions.ended(message.body["exec"], message.body["status"])

    def _learn(self, container: Container, fds: Sequence[int]) -> None:
        self._fresh_containers.add(container.id)
        held = self._held.pop(container.id, None)
        if container.status == "running" and fds:
            self._held[container.id] = Held(
                container.pid or 0, fds
            )  # before the old ones are closed: the pipes live on
        if held is not None:
            held.close()
        if self._containers.get(container.id) != container:
            self._containers[container.id] = container
        self._feed.tell(container)

    def _learn_sandbox(self, data: Mapping[str, Any], fds: Sequence[int]) -> None:
        id = data["id"]
        self._fresh_sandboxes.add(id)
        self._forget_sandbox(id)
        if fds:
            self._netns[id] = fds[0]
        self._sandboxes[id] = Sandbox(id, f"/proc/{data['holder']}" if data["holder"] else "", data["uid_base"])

    def _forget_sandbox(self, id: str) -> None:
        self._sandboxes.pop(id, None)
        if (fd := self._netns.pop(id, None)) is not None:
            os.close(fd)

    def _release(self, id: str) -> None:
        if (held := self._held.pop(id, None)) is not None:
            held.close()

    async def _current(self) -> Link:
        while True:
            await self._connected.wait()
            if self._link is not None:
                return self._link
            if self._connected.is_set():  # not one that is new since the connection was lost, while this task waited
                raise RuntimeFailure("cannot ask the supervisor: this runtime has been stopped", reason="Stopped")

    async def _call(self, op: str, args: Mapping[str, Any]) -> Reply:
        while True:
            link = await self._current()
            try:
                return await link.call(op, args)
            except LinkLost:
                await trio.lowlevel.checkpoint()  # `run` notices too, and connects anew

    # The seam

    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox:
        await self._call("create_sandbox", wire.sandbox_to(spec))
        return self._sandboxes[spec.id]

    def netns(self, sandbox: str) -> int:
        if sandbox not in self._sandboxes:
            raise KeyError(sandbox)
        if sandbox in self._netns:
            return os.dup(self._netns[sandbox])
        return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    async def remove_sandbox(self, id: str) -> None:
        await self._call("remove_sandbox", {"sandbox": id})
        self._forget_sandbox(id)

    async def start_container(self, spec: ContainerSpec) -> Container:
        await self._call("start", wire.spec_to(spec))
        return self._containers[spec.id]

    async def kill(self, container: str, signal: int, *, everyone: bool = False) -> None:
        await self._call("kill", {"container": container, "signal": int(signal), "everyone": everyone})

    async def remove_container(self, id: str, *, keep_upper: bool = False, keep_logs: bool = True) -> None:
        left = (await self._call("end", {"container": id})).ok
        for kept, directory in ((keep_upper, left.get("upper")), (keep_logs, left.get("logs"))):
            if directory and not kept:
                await trio.to_thread.run_sync(_remove_tree, directory)
        await self._call("forget", {"container": id})
        self._containers.pop(id, None)
        self._release(id)

    async def exec(self, spec: ExecSpec) -> ExecSession:
        link = await self._current()
        try:
            return await self._sessions.start(link, spec)
        except LinkLost:
            raise RuntimeFailure(
                f"cannot run a command in {spec.container}: the supervisor went away (try again)",
                reason="SupervisorLost",
            ) from None

    def open_stdin(self, container: str) -> int:
        if (held := self._held.get(container)) is not None and held.console >= 0:
            return os.dup(held.console)
        try:
            return os.open(f"{self._run}/containers/{container}/stdin", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # it never was (ENOENT), or nobody reads it any more (ENXIO)
            return -1

    async def end_stdin(self, container: str) -> None:
        await self._call("end_stdin", {"container": container})

    async def state(self) -> RuntimeState:
        await self._current()
        containers = tuple(self._containers.values())
        living = {it.sandbox: f"/proc/{it.pid}" for it in containers if it.status == "running"}
        sandboxes = tuple(it._replace(pid_path=it.pid_path or living.get(it.id, "")) for it in self._sandboxes.values())
        return RuntimeState(sandboxes, containers, self._supervisor_pid)

    async def stats(self, ids: Sequence[str]) -> Mapping[str, Stats]:
        reply = await self._call("stats", {"ids": list(ids)})
        return {id: Stats(**stats) for id, stats in reply.ok.items()}

    async def update(self, id: str, resources: Mapping[str, Any]) -> None:
        await self._call("update", {"id": id, "resources": dict(resources)})

    def events(self) -> AsyncIterator[Container]:
        return self._feed.read(self._containers.values())

    def volatile(self) -> str:
        return volatile.place(self._run)

    async def shutdown(self, cgroup: str = "") -> None:
        """Ends every container and sandbox, then the supervisor, which clears its run directory. `run` returns.

        `cgroup`, the parent of the pods', goes too when it is empty.
        """
        self._stopping = True
        await self._call("shutdown", {"cgroup": cgroup})


def _remove_tree(directory: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    if os.path.lexists(directory):
        shutil.rmtree(directory)  # once more, to raise what stands in the way
