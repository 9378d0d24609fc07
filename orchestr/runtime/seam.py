"""The Runtime seam: what the agent asks for and what it is told. No system call is known above this line.

Promises, the same for `SupervisedRuntime` (over orch-supervisor) and `FakeRuntime` (in memory):
- A container outlives the daemon and the supervisor. `state()` after a restart of either tells the truth: a process
  that lives is `running` with the same pid; an exit that nobody could see has `exit_code` None, never 0.
- Every exit is told at least once through `events()` and again after a reconnect, until the container is removed.
- `create_*` and `remove_*` are idempotent: the same id again is fine; removing what is gone is fine. What fails half
  way leaves nothing behind.
- Ids are chosen by the caller: a pod's uid for a sandbox; anything unique for a container.
Errors are RuntimeFailure: text as "cannot VERB OBJECT: CAUSE (WHAT TO DO)".

NamedTuples, not dataclasses: orch-supervisor imports this, and dataclasses would cost it 10 ms and `inspect`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol


class RuntimeFailure(Exception):
    """The runtime cannot do it; `reason` is a CamelCase word fit for a status field."""

    def __init__(self, message: str, *, reason: str = "RuntimeError", exit_code: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason  # StartError, ExecutableNotFound (exit_code 127), NotExecutable (126), NotIdmappable, ...
        self.exit_code = exit_code


class SandboxSpec(NamedTuple):
    """The namespaces that the containers of a pod share."""

    id: str
    hostname: str
    cgroup: str  # "orch/ns_pod_uid", relative to each hierarchy's root; containers get children of it
    domainname: str = ""
    host_users: bool = False  # no user namespace
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_pid: bool = False  # one pid namespace for all containers (a pausing, reaping pid 1)
    uid_base: int = 0  # first host id of the pod's range; ignored with host_users
    uid_count: int = 65536
    sysctls: Mapping[str, str] = {}  # namespaced ones only
    resources: Mapping[str, Any] = {}  # OCI LinuxResources of the pod's own cgroup


class Rootfs(NamedTuple):
    """An overlay: read-only layer directories, top first, and a directory for the upper and work dirs."""

    lower: tuple[str, ...]
    upper: str  # directory made by the runtime when missing; kept until remove_container(keep_upper=False)
    readonly: bool = False


class LogSpec(NamedTuple):
    directory: str  # made when missing; holds the container's log files
    max_bytes: int = 10 * 1024 * 1024  # of one file
    max_files: int = 3
    hold: bool = (
        False  # somebody comes who must see all: nothing is removed that he has not read (supervisor/loghold.py)
    )


class ContainerSpec(NamedTuple):
    id: str
    sandbox: str
    # config.json (runtime-spec 1.2) without root and without namespaces: those come from the sandbox. A bind mount with
    # option "idmap" is mapped to the sandbox's user namespace. uid/gid in process.user are the container's.
    oci: Mapping[str, Any]
    rootfs: Rootfs
    log: LogSpec | None  # None: stdout and stderr go nowhere
    init: bool = False  # a tiny reaping init as pid 1
    tty: bool = False
    # What a terminal-less container reads: "" nothing, "open" a pipe that never ends, "once" one that `end_stdin` ends.
    stdin: Literal["", "open", "once"] = ""
    pid_of: str = ""  # id of a running container of the sandbox whose pid namespace it shares; "" for its own


class OomKill(NamedTuple):
    limit: int | None  # bytes
    peak: int | None  # bytes
    victim: str | None  # "python pid 41", None when unknown


class Container(NamedTuple):
    """What is known of a container now."""

    id: str
    sandbox: str
    status: Literal["created", "running", "exited"]
    pid: int | None = None  # on the host
    started_at: float | None = None  # seconds since the epoch
    finished_at: float | None = None
    exit_code: int | None = None  # 128+n after signal n; None while running, and when nobody could see the exit
    signal: int | None = None
    oom: OomKill | None = None
    message: str = ""  # why exit_code is unknown, why the start failed


class Sandbox(NamedTuple):
    id: str
    pid_path: str  # a /proc/PID whose ns/ has the sandbox's namespaces, "" when none lives
    uid_base: int


class RuntimeState(NamedTuple):
    sandboxes: tuple[Sandbox, ...]
    containers: tuple[Container, ...]
    supervisor_pid: int


class ExecSpec(NamedTuple):
    container: str
    args: tuple[str, ...]
    env: Mapping[str, str] | None = None  # beside the container's own, and over it
    cwd: str | None = None
    user: str | None = None
    tty: bool = False


class ExecSession(Protocol):
    """A process in a container. Descriptors belong to the caller, who closes them; -1 where there is none.

    With a tty `stdout` is the pty's master for both ways, and stderr is -1.
    """

    pid: int
    stdin: int
    stdout: int
    stderr: int

    async def wait(self) -> int:
        """Exit code, 128+n after signal n."""
        ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def kill(self, signal: int) -> None: ...


class Stats(NamedTuple):
    cpu_ns: int
    memory_bytes: int  # working set: usage less inactive file pages
    memory_peak_bytes: int
    pids: int
    read_bytes: int = 0  # from block devices, since the start
    write_bytes: int = 0
    periods: int = 0  # of the cpu quota, since the start
    throttled_periods: int = 0  # those in which it was used up
    throttled_ns: int = 0


class Runtime(Protocol):
    async def create_sandbox(self, spec: SandboxSpec) -> Sandbox: ...

    def netns(self, sandbox: str) -> int:
        """A new descriptor of the sandbox's network namespace; the caller closes it. KeyError when unknown."""
        ...

    async def remove_sandbox(self, id: str) -> None:
        """Ends whatever still runs in it and removes its cgroups and namespaces."""
        ...

    async def start_container(self, spec: ContainerSpec) -> Container:
        """Creates and starts; returns when the process has been exec'd. RuntimeFailure when it cannot be."""
        ...

    async def kill(self, container: str, signal: int, *, everyone: bool = False) -> None:
        """Signals pid 1 of the container, or every process in its cgroup. A container that exited is fine."""
        ...

    async def remove_container(self, id: str, *, keep_upper: bool = False, keep_logs: bool = True) -> None:
        """Kills what still runs, removes cgroup, mounts, state; waits until they are gone."""
        ...

    async def exec(self, spec: ExecSpec) -> ExecSession: ...

    def open_stdin(self, container: str) -> int:
        """A new non-blocking descriptor for what a running container reads: its terminal's master, which also gives
        what the terminal prints, or a pipe's end. -1 when it reads nothing (any more). The caller closes it."""
        ...

    async def end_stdin(self, container: str) -> None:
        """Tells the end to a container with stdin "once", when the last descriptor is closed; to others nothing."""
        ...

    async def state(self) -> RuntimeState: ...

    async def stats(self, ids: Sequence[str]) -> Mapping[str, Stats]:
        """Of containers and sandboxes; ids that are gone are left out."""
        ...

    async def update(self, id: str, resources: Mapping[str, Any]) -> None:
        """Changes the cgroup limits (OCI LinuxResources) of a running container or sandbox."""
        ...

    def events(self) -> AsyncIterator[Container]:
        """A container each time its status changed; after a lost connection everything is told once more."""
        ...

    def volatile(self) -> str:
        """A 0700 directory on a tmpfs of this instance, for secrets: it does not survive a reboot, nor touch a disk."""
        ...
