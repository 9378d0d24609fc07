"""The ContentStore seam: a reference in, layer directories and an image's configuration out.

Promises: content is immutable and named by its digest, verified before a byte is used; a layer is unpacked once and
shared; what is half written is never visible. Errors are ImageError and its children.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class ImageError(Exception):
    """Text as "cannot VERB OBJECT: CAUSE (WHAT TO DO)"."""


class ImageNotFound(ImageError):
    """No such image here; the text names what is there and how to get the image. `hint`: a name that was meant,
    perhaps, and those that there are."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class ImageCorrupt(ImageError):
    """Digest mismatch, hostile archive, unreadable layout."""


class RegistryFailure(ImageError):
    """A registry did not give or take an image. `kind`: denied, absent, unreachable, corrupt, full (the disk here), or
    refused for another reason."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The part of an OCI image configuration (image-spec config.md) that running needs."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()  # "K=V"
    working_dir: str = "/"
    user: str = ""
    stop_signal: str = ""
    exposed_ports: tuple[str, ...] = ()  # "80/tcp"
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    healthcheck: Mapping[str, Any] | None = None  # Docker's extension


@dataclass(frozen=True, slots=True)
class Image:
    digest: str  # of the manifest, "sha256:..."
    names: tuple[str, ...]  # references in the store that point to it
    config: ImageConfig
    lower: tuple[str, ...]  # unpacked layer directories, top first, as overlay lowerdirs
    size: int  # bytes of the compressed layers
    created: str  # RFC 3339
    raw_config: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[str, ...] = ()  # digests of the layer blobs, bottom first
    binds: tuple[str, ...] = ()  # directories of the machine shown read-only at the same place: /usr of local/host


@dataclass(frozen=True, slots=True)
class Uses:
    """What may not go: the references that pods and workloads name, and the manifests that containers run from."""

    names: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()


class ContentStore(Protocol):
    def resolve(self, reference: str) -> Image:
        """The image a reference names: "redis", "redis:7", "name@sha256:...", "local/host". ImageNotFound else.

        Quick (no unpacking, no hashing) and thread-safe: it is called at every container start.
        """
        ...

    def local(self, reference: str) -> bool:
        """Is it this machine's own: loaded or built here, or below `local/`?"""
        ...

    def list(self) -> Sequence[Image]: ...

    def load(self, path: str, name: str | None = None) -> Sequence[Image]:
        """oci-archive, docker-archive (tar, also compressed) or an OCI layout directory."""
        ...

    def save(self, references: Sequence[str], path: str, *, format: str = "oci-archive") -> None: ...

    def remove(self, reference: str, uses: Uses = Uses()) -> None: ...


Progress = Callable[[Mapping[str, Any]], None]  # {"layers": [[digest, size]]}, {"layer", "done"}, {"layer", "here"}
Logins = Sequence[Mapping[str, Any]]  # documents like Docker's config.json; the first that knows the registry counts


class Registry(Protocol):
    """Images from and to elsewhere. ImageError, RegistryFailure."""

    async def pull(self, reference: str, logins: Logins = (), progress: Progress = ...) -> Image: ...

    async def push(self, reference: str, logins: Logins = (), progress: Progress = ...) -> str:
        """The digest under which it is there."""
        ...
