"""What the server asks of the machine. The daemon fills it from agent, runtime and images."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import trio

from orchestr.images.difference import Change
from orchestr.images.garbage import Freed, Watermarks
from orchestr.images.garbage import Usage as ImageUsage
from orchestr.images.seam import Image, Progress, Registry, Uses
from orchestr.runtime.seam import ExecSession
from orchestr.server.session import Session

if TYPE_CHECKING:
    from orchestr.images.build.builder import Builder
    from orchestr.images.build.state import Request as BuildRequest


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Which lines of a container's log; Kubernetes' PodLogOptions."""

    container: str | None = None  # None: the pod's only one, else its first
    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    previous: bool = False
    timestamps: bool = False
    limit_bytes: int | None = None
    stream: str | None = None  # "Stdout", "Stderr"; None: both


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run in a container, and which of its streams are wanted; without `args` what runs there already."""

    args: tuple[str, ...] = ()
    container: str | None = None  # None: as in LogOptions
    tty: bool = False
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True  # none with a tty
    env: Mapping[str, str] = field(default_factory=dict)  # beside the container's own
    user: str | None = None  # "redis", "redis:redis", "1000:1000"; None: the container's own
    directory: str | None = None  # where it begins; None: where the container does


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_nanocores: int
    memory_bytes: int
    pids: int
    read_bytes: int = 0  # from block devices, since the container started
    write_bytes: int = 0
    periods: int = 0  # of its cpu quota, in the window
    throttled_periods: int = 0  # those in which the quota was used up


@dataclass(frozen=True, slots=True)
class PodUsage:
    namespace: str
    name: str
    measured: datetime
    window: float  # seconds that the cpu value is an average over
    containers: Mapping[str, Usage]


class Images(Protocol):
    """Blocking calls: the server makes them in a thread."""

    def list(self) -> Sequence[Image]: ...

    def resolve(self, reference: str) -> Image: ...

    def load(self, path: str, name: str | None = None) -> Sequence[Image]: ...

    def save(self, references: Sequence[str], path: str, *, format: str = "oci-archive") -> None: ...

    def remove(self, reference: str, uses: Uses = ...) -> None: ...

    def prune(
        self, uses: Uses, *, everything: bool = False, until: float | None = None, dry: bool = False
    ) -> Freed: ...

    def difference(self, before: str, after: str, upper: str = "") -> Sequence[Change]: ...

    def mount(self, reference: str) -> str: ...

    def mounts(self) -> Mapping[str, Image]: ...

    def unmount(self, references: Sequence[str] | None) -> None: ...

    def usage(self, uses: Uses) -> ImageUsage: ...

    watermarks: Watermarks

    def tag(self, reference: str, name: str) -> None: ...


class Unreachable(Exception):
    """No connection to a port of a pod; the text is for the client."""


Connect = Callable[[int], Awaitable[trio.SocketStream]]  # to a port; Unreachable


class Node(Protocol):
    """Errors are ApiError, RuntimeFailure or ImageError; NotFound for a pod or container that is not there."""

    @property
    def images(self) -> Images: ...

    @property
    def registry(self) -> Registry: ...

    async def layers_of(self, namespace: str, pod: str, container: str | None) -> tuple[str, str]:
        """The image that a running container was made of, by digest, and its own directory over it."""
        ...

    async def uses(self) -> Uses:
        """Which images are in use."""
        ...

    @property
    def scratch(self) -> str:
        """Directory for archives on their way in and out."""
        ...

    @property
    def builder(self) -> "Builder": ...

    async def build(self, wanted: "BuildRequest", place: str, archive: str, progress: Progress) -> Image:
        """Builds an image; `archive` is the context, and `place` the directory of `builder.place()` that it lies in."""
        ...

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncGenerator[bytes]:
        """Whole lines with their newlines, many in a piece; with `follow` it ends when the pod is gone.

        `limit_bytes` is kept by the server.
        """
        ...

    async def exec(self, namespace: str, pod: str, command: Command) -> ExecSession: ...

    async def attach(self, namespace: str, pod: str, wanted: Command) -> Session: ...

    async def signal(self, namespace: str, pod: str, container: str | None, number: int) -> None:
        """To the first process of a running container."""
        ...

    async def processes(self, namespace: str, pod: str, container: str | None) -> Sequence[Mapping[str, Any]]:
        """What runs in a container: uid, pid and ppid as this machine numbers them, cpu, start, tty, time, command."""
        ...

    async def forward(self, namespace: str, pod: str) -> Connect:
        """How ports of a pod are reached, as its own programs reach them on localhost."""
        ...

    async def usage(self, namespace: str | None) -> Sequence[PodUsage]: ...

    def bootstrap(self, name: str, suite: str, packages: Sequence[str]) -> AsyncGenerator[Mapping[str, Any]]:
        """Builds an image from Debian packages; lines of progress, the last with "image" (its digest)."""
        ...

    async def system(self) -> Mapping[str, Any]:
        """running, pid, supervisorPid, resolverPid, socket, state, bridge, version, ..."""
        ...

    async def stop(self, *, everything: bool) -> None:
        """Asks the daemon to end, with all containers and every trace if `everything`; returns at once."""
        ...
