"""What a build needs from outside the images: somebody who runs RUN, and somebody who is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestr.images.seam import ImageError


class BuildError(ImageError):
    """What is wrong with a Dockerfile, or what failed; the text begins with its place, "Dockerfile:3: "."""


@dataclass(frozen=True, slots=True)
class Mounted:
    """Something a RUN sees beside its root."""

    target: str
    source: str = ""  # path on this machine, whose owners are the container's ids; "": a tmpfs
    readonly: bool = True
    size: int = 0  # bytes of a tmpfs, 0: no limit of its own


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One RUN: a process without privilege in a root made of `lower` (top first) and `upper`."""

    args: tuple[str, ...]
    env: tuple[str, ...]  # "K=V"
    cwd: str
    user: str  # "name:group", looked up in the root
    lower: tuple[str, ...]
    upper: str  # holds upper/ and work/ afterwards; ids as the container sees them
    binds: tuple[str, ...] = ()  # directories of the machine, shown read-only at the same place
    mounts: tuple[Mounted, ...] = ()
    network: bool = True  # False: loopback only
    shm: int = 64 << 20


Output = Callable[[bytes], None]  # pieces of what a RUN prints, as they come


class Runner(Protocol):
    def stubs(self, spec: RunSpec) -> tuple[str, ...]:
        """Places in the root where `run` mounts something, for the mount points that it leaves."""
        ...

    async def run(self, spec: RunSpec, output: Output) -> int:
        """The exit code; whatever ran is gone when it returns or raises. BuildError when it cannot be started."""
        ...


class Puller(Protocol):
    async def __call__(self, reference: str) -> None:
        """Brings an image. ImageError."""
        ...


Told = Callable[[Mapping[str, Any]], None]  # {"step", ...}, {"output", ...}, {"warning", ...}
