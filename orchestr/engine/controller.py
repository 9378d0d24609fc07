"""What a controller is: a module with WATCHES and `async def reconcile(cluster, key)`.

A run ends in one of four ways (and only the engine knows about retries):
    return None          done; runs again when something it watches changes
    return After(s)      done for now; again after s seconds, or earlier when something changes
    raise any exception  failed; again with exponential back-off and jitter (a Conflict or AlreadyExists is retried quietly)
    raise Hopeless(why)  only a change of the object can help; reported, not retried
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Protocol

from orchestr.api.base import Key, KubeObject
from orchestr.engine.cluster import Cluster


class After(NamedTuple):
    seconds: float


class Hopeless(Exception):
    """The object cannot be reconciled until somebody changes it."""


class Related(NamedTuple):
    """Changes of `kind` put keys of the watched kind on the queue."""

    kind: type[KubeObject]
    keys: Callable[[KubeObject, "Index"], Iterable[Key]]  # (changed object, cached reads) -> keys of the primary kind


class Index(Protocol):
    """Synchronous reads of the informers' caches, for `Related.keys`. Frozen objects."""

    def all(self, kind: type[KubeObject], *, namespace: str | None = None) -> Iterable[Any]: ...


class Watches:
    """What wakes a controller: its own kind, the kinds it owns (by controller reference), and related kinds."""

    def __init__(
        self,
        primary: type[KubeObject],
        *,
        owns: tuple[type[KubeObject], ...] = (),
        related: tuple[Related, ...] = (),
        reads: tuple[type[KubeObject], ...] = (),  # kinds that are read but wake nobody
    ) -> None:
        self.primary, self.owns, self.related, self.reads = primary, owns, related, reads


class Controller(Protocol):
    """A module that fulfils this is a controller; it is found by its entry point in orchestr.controllers."""

    WATCHES: Watches
    reconcile: Callable[[Cluster, Key], Awaitable[After | None]]


def child_name(owner: KubeObject, slot: int | str) -> str:
    """A name that derives from the owner's name, uid and slot: acting twice on a stale read collides.

    At most 63 characters (RFC 1123 label); ends in five hex digits.
    """
    digest = hashlib.sha256(f"{owner.metadata.uid}/{slot}".encode()).hexdigest()[:5]
    return f"{owner.metadata.name[:57].rstrip('-.')}-{digest}"
