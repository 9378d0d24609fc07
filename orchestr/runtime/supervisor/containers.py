"""Containers while they are kept: started, watched, ended, forgotten.

    start: record "launching" -> FIFOs (log, stdin) -> launch -> record running -> told
    exit:  pidfd readable -> oom, status -> record exited -> reaped -> rest killed -> log drained -> cgroup gone -> told

Each arrow can be the last thing that happens: the record is written before the child is reaped, and adoption carries
on with what the record says.
"""

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from orchestr.runtime import cgroups, launch, namespaces
from orchestr.runtime.seam import Container, ContainerSpec, LogSpec, RuntimeFailure, SandboxSpec
from orchestr.runtime.spawn import Launched
from orchestr.runtime.supervisor import classes, exits
from orchestr.runtime.supervisor.logfile import STREAMS
from orchestr.runtime.supervisor.logpump import SOON, LogPump
from orchestr.runtime.supervisor.loop import Loop
from orchestr.runtime.supervisor.oom import KernelLog, Watch, happened
from orchestr.runtime.supervisor.records import Record, Records, checked_id
from orchestr.runtime.supervisor.sandboxes import Sandboxes
from orchestr.runtime.supervisor.stdin import Stdin

_SETTLE = 0.004  # seconds between two looks at processes that were killed but still hold the cgroup
_PATIENCE = 500  # looks; then the exit is told although something unkillable (a dead NFS server) is left


class Tracked:
    """One container. Descriptors are -1 when there is none."""

    __slots__ = ("child", "console", "gone", "log", "looks", "oom", "pidfd", "record", "stdin", "waiting")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.child = True
        self.pidfd = self.console = -1
        self.log: LogPump | None = None
        self.stdin = Stdin()
        self.oom: Watch | None = None
        self.looks = 0
        self.gone = False  # its exit was told: no process, cgroup or pipe is left
        self.waiting: list[Callable[[], None]] = []  # called once, when it is gone

    @property
    def container(self) -> Container:
        return self.record.container

    @property
    def held(self) -> tuple[int, ...]:
        """What a client should keep open: see protocol.py."""
        if self.gone or self.pidfd < 0:
            return ()
        fifos = self.log.fifos if self.log else ()
        return (self.pidfd, *fifos, *(fd for fd in (self.stdin.writer, self.console) if fd >= 0))


class Containers:
    def __init__(self, loop: Loop, records: Records, sandboxes: Sandboxes, tell: Callable[[Container], None]) -> None:
        self._loop, self._records, self._sandboxes, self._tell = loop, records, sandboxes, tell
        self._kernel_log = KernelLog()
        self.all: dict[str, Tracked] = {}

    def get(self, id: str) -> Tracked:
        if (tracked := self.all.get(id)) is None:
            raise RuntimeFailure(f"cannot find container {id}: it is not there (list them)", reason="ContainerNotFound")
        return tracked

    def of_sandbox(self, sandbox: str) -> list[Tracked]:
        return [tracked for tracked in self.all.values() if tracked.container.sandbox == sandbox]

    def start(self, spec: ContainerSpec, sandbox: SandboxSpec, ns: namespaces.Namespaces) -> Tracked:
        """RuntimeFailure when it cannot be; then nothing is left. The same id again is the container that is there."""
        if (there := self.all.get(checked_id(spec.id))) is not None:
            return there
        cgroup = launch.cgroup_of(spec, sandbox)
        self._refuse_shared(spec.id, cgroup)
        self._records.new(spec)
        created = Container(spec.id, spec.sandbox, "created")
        resources = (spec.oci.get("linux") or {}).get("resources") or {}
        classed = classes.place(resources, sandbox)
        tracked = Tracked(Record(created, cgroup, 0, self._records.boot, classed))
        self._records.write(tracked.record)
        try:
            if spec.log is not None:
                tracked.log = self._open_log(tracked, spec.log)
            if spec.stdin and not spec.tty:
                tracked.stdin.make(self._records.directory(spec.id), once=spec.stdin == "once")
            launched = self._launch(tracked, spec, sandbox, ns)
        except BaseException:
            self._discard(tracked)
            raise
        started = Container(spec.id, spec.sandbox, "running", pid=launched.pid, started_at=time.time())
        tracked.pidfd, tracked.console = launched.pidfd, launched.console
        self._change(tracked, started, start_time=exits.start_time(launched.pid))
        self.all[spec.id] = tracked
        self.watch(tracked)
        self._tell(started)
        return tracked

    def _refuse_shared(self, id: str, cgroup: str) -> None:
        """A cgroup is named by the head of its container's id: two with the same would be killed as one."""
        for other in self.all.values():
            if other.record.cgroup == cgroup and not other.gone:
                text = f"cannot start {id}: its cgroup is the one of {other.container.id}"
                raise RuntimeFailure(f"{text} (choose ids that differ in the beginning)", reason="InvalidId")

    def _open_log(self, tracked: Tracked, spec: LogSpec) -> LogPump:
        if spec.max_bytes < 1 or spec.max_files < 1:
            raise RuntimeFailure("cannot keep the log: max_bytes and max_files must be 1 or more", reason="InvalidLog")
        try:
            directory = self._records.directory(tracked.container.id)
            return LogPump(self._loop, spec, directory, lambda why: self._log_held_up(tracked, why))
        except OSError as error:
            text = f"cannot open the log of {tracked.container.id} in {spec.directory}: {error.strerror}"
            raise RuntimeFailure(f"{text} (check the directory)", reason="LogError") from error

    def _launch(
        self, tracked: Tracked, spec: ContainerSpec, sandbox: SandboxSpec, ns: namespaces.Namespaces
    ) -> Launched:
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        out, err = tracked.log.ends() if tracked.log and not spec.tty else (null, null)
        in_ = tracked.stdin.take() if spec.stdin and not spec.tty else null
        shared = -1
        try:
            if spec.pid_of and ns.pid < 0 and not sandbox.host_pid:
                shared = self._pid_namespace(spec)
                ns = ns._replace(pid=shared)
            return launch.launch(_scored(spec), sandbox, ns, (in_, out, err))
        finally:
            for fd in {null, in_, out, err, shared} - {-1}:
                os.close(fd)

    def _pid_namespace(self, spec: ContainerSpec) -> int:
        """Of the container that it is to share it with."""
        other = self.get(spec.pid_of)
        try:
            fd = os.open(f"/proc/{other.container.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _not_running(spec) from error
        if other.container.status != "running" or select.select([other.pidfd], [], [], 0)[0]:
            os.close(fd)
            raise _not_running(spec)
        return fd

    def _discard(self, tracked: Tracked) -> None:
        """After a start that failed."""
        if tracked.log:
            tracked.log.close()
        tracked.stdin.close()
        cgroups.remove(tracked.record.cgroup)
        self._records.forget(tracked.container.id)

    def reopen_log(self, tracked: Tracked) -> None:
        """After adoption; an exited container that still has its FIFOs was not drained."""
        directory = self._records.directory(tracked.container.id)
        whole = self._records.spec(tracked.container.id)
        spec = whole.log
        if whole.stdin == "once" and tracked.container.status != "exited":
            tracked.stdin.reopen(directory)
        if spec is not None and os.path.exists(f"{directory}/{STREAMS[0]}"):
            tracked.log = LogPump(self._loop, spec, directory, lambda why: self._log_held_up(tracked, why))

    def learn(self, id: str, exit: exits.Exit) -> None:
        """An exit that was recorded as unknown was seen by somebody after all."""
        tracked = self.all.get(id)
        if tracked and tracked.gone and tracked.container.exit_code is None and exit.status is not None:
            self._change(tracked, tracked.container._replace(exit_code=exit.code, signal=exit.signal, message=""))
            self._tell(tracked.container)

    def watch(self, tracked: Tracked) -> None:
        """Joins the loop: exit, log, out of memory."""
        if tracked.log:
            tracked.log.watch()
        if tracked.log and tracked.console >= 0:
            tracked.log.watch_console(tracked.console)
        self._loop.add(tracked.pidfd, select.EPOLLIN, lambda _events: self._exited(tracked))
        tracked.oom = Watch(self._loop, tracked.record.cgroup, self._kernel_log)

    def _change(self, tracked: Tracked, container: Container, start_time: int | None = None) -> None:
        start = tracked.record.start_time if start_time is None else start_time
        tracked.record = tracked.record._replace(container=container, start_time=start)
        self._records.write(tracked.record)

    def _log_held_up(self, tracked: Tracked, why: str) -> None:
        container = tracked.container
        if container.status == "exited" and container.exit_code is None:
            return  # its message says something graver
        self._change(tracked, container._replace(message=why))
        if container.status == "running" or tracked.gone:
            self._tell(tracked.container)

    def _exited(self, tracked: Tracked) -> None:
        exit = self._status(tracked)
        if exit is None:
            return
        self._loop.remove(tracked.pidfd)
        self.finish(tracked, exit)

    def _status(self, tracked: Tracked) -> exits.Exit | None:
        if tracked.child:
            return exits.peek_child(tracked.pidfd)
        return exits.of_stranger(tracked.pidfd, tracked.container.pid or 0, tracked.record.start_time)

    def finish(self, tracked: Tracked, exit: exits.Exit) -> None:
        """Records the exit and clears up. `exit` of None: nobody could see it."""
        oom = tracked.oom.close() if tracked.oom else happened(tracked.record.cgroup, self._kernel_log)
        tracked.oom = None
        message = "" if exit.status is not None else _unseen(tracked)
        self._change(
            tracked,
            tracked.container._replace(
                status="exited",
                finished_at=time.time(),
                exit_code=exit.code,
                signal=exit.signal,
                oom=oom,
                message=message,
            ),
        )
        if tracked.child and tracked.pidfd >= 0:
            exits.reap(tracked.pidfd)
        self.settle(tracked)

    def settle(self, tracked: Tracked) -> None:
        """Until nothing of it is left: kills the rest, removes the cgroup, drains the log; then tells the exit."""
        tracked.looks += 1
        if not _cleared(tracked.record.cgroup) and tracked.looks < _PATIENCE:
            self._loop.later(_SETTLE, lambda: self.settle(tracked))
            return
        self.unclass(tracked.record)
        if tracked.log and not tracked.log.drain():
            if tracked.log.behind:  # a reader is to have it all before the end is told
                self._loop.later(SOON, lambda: self.settle(tracked))
                return
            self._loop.later(1.0, lambda: self._drain_later(tracked))
        elif tracked.log:
            self._close_log(tracked)
        tracked.stdin.close()
        for fd in (tracked.pidfd, tracked.console if not tracked.log else -1):
            if fd >= 0:
                os.close(fd)
        tracked.pidfd, tracked.gone = -1, True
        self._tell(tracked.container)
        waiting, tracked.waiting = tracked.waiting, []
        for call in waiting:
            call()

    def _drain_later(self, tracked: Tracked) -> None:
        """The disk was full at the container's end: its pipes are kept until they could be emptied."""
        if tracked.log and tracked.log.drain():
            self._close_log(tracked)
        elif tracked.log:
            self._loop.later(1.0, lambda: self._drain_later(tracked))

    def _close_log(self, tracked: Tracked) -> None:
        if tracked.log:
            tracked.log.close()
            tracked.log = None
        if tracked.console >= 0:
            os.close(tracked.console)
            tracked.console = -1

    def kill(self, id: str, number: int, everyone: bool) -> None:
        tracked = self.all.get(id)
        if tracked is None or tracked.container.status != "running":
            return
        if everyone and number == signal.SIGKILL:
            cgroups.kill_all(tracked.record.cgroup)
        elif everyone:
            for pid in cgroups.processes(tracked.record.cgroup):
                _signal(pid, number)
        else:
            _send(tracked.pidfd, number)

    def end_stdin(self, id: str) -> None:
        tracked = self.get(id)
        if tracked.stdin.writer >= 0:
            tracked.stdin.end(self._records.directory(id))
            self._tell(tracked.container)  # whoever holds the writer lets it go

    def end(self, id: str, then: Callable[[], None]) -> None:
        """Kills what runs and calls `then` when nothing is left of it; at once when there is nothing."""
        tracked = self.all.get(id)
        if tracked is None or tracked.gone:
            then()
            return
        tracked.waiting.append(then)
        self.kill(id, signal.SIGKILL, everyone=False)
        self.kill(id, signal.SIGKILL, everyone=True)

    def forget(self, id: str) -> None:
        """Drops the record; what a full disk kept in the pipes is lost with it."""
        tracked = self.all.pop(id, None)
        if tracked is not None:
            self._close_log(tracked)
            self._records.forget(id)

    def leftovers(self, id: str) -> dict[str, str]:
        """Directories that outlive the container until somebody deletes them: `upper` and `logs`."""
        if id not in self.all:
            return {}
        spec = self._records.spec(id)
        return {"upper": spec.rootfs.upper, **({"logs": spec.log.directory} if spec.log else {})}

    def update(self, id: str, resources: Mapping[str, Any]) -> None:
        tracked = self.get(id)
        record = classes.update(tracked.record, self._sandboxes, resources)
        if record != tracked.record:
            tracked.record = record
            self._records.write(record)

    def unclass(self, record: Record) -> None:
        classes.remove(record, self._sandboxes)


def _not_running(spec: ContainerSpec) -> RuntimeFailure:
    text = f"cannot start {spec.id}: {spec.pid_of}, whose processes it is to see, is not running"
    return RuntimeFailure(f"{text} (see its status)", reason="NotRunning")


def _scored(spec: ContainerSpec) -> ContainerSpec:
    """The supervisor's own place in the kernel's choice of victims is not for its containers."""
    process = {"oomScoreAdj": 0, **(spec.oci.get("process") or {})}
    return spec._replace(oci={**spec.oci, "process": process})


def _cleared(cgroup: str) -> bool:
    """Kills what is left in it and removes it; False when that takes a little longer."""
    if cgroups.processes(cgroup):
        cgroups.kill_all(cgroup)
        return False
    try:
        cgroups.remove(cgroup, patience=0)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _send(pidfd: int, number: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return  # it just ended


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _unseen(tracked: Tracked) -> str:
    """Why nobody can say how it ended."""
    if tracked.pidfd >= 0:  # watched to its end
        return "exit status unknown: it was an earlier supervisor's child, and Linux before 6.15 does not tell others"
    return "exit status unknown: it ended while no supervisor was running"
