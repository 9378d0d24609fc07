"""What a controller is: a module with WATCHES and `async def reconcile(cluster, key)`.

Its Events come from the name of its entry point, or from COMPONENT where the module has that.

A run ends in one of four ways (and only the engine knows about retries):
    return None          done; runs again when something it watches changes
    return After(s)      done for now; again after s seconds, or earlier when something changes
    raise any exception  failed; again with back-off and jitter (Conflict, AlreadyExists, NotFound: quietly)
    raise Hopeless(why)  only a change of the object can help; reported, not retried
"""

import hashlib
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from orchestr.api.base import Key, KubeObject
from orchestr.api.custom import Custom
from orchestr.engine.cluster import Cluster

K = TypeVar("K", bound=KubeObject)


class After(NamedTuple):
    seconds: float


class Hopeless(Exception):
    """The object cannot be reconciled until somebody changes it."""


class Related(NamedTuple):
    """Changes of `kind` put keys of the watched kind on the queue."""

    kind: type[KubeObject]
    keys: Callable[[Any, "Index"], Iterable[Key]]  # (changed object, cached reads) -> keys of the primary kind


class By(NamedTuple):
    """An index of `kind` (Custom: of every custom resource): each object is found under all of its values."""

    kind: type[KubeObject]
    name: str
    values: Callable[[Any], Iterable[Hashable]]


class Index(Protocol):
    """Synchronous reads of the informers' caches, for `Related.keys`. Frozen objects, of watched kinds only."""

    def all(self, kind: type[K], *, namespace: str | None = None) -> Sequence[K]: ...

    def one(self, kind: type[K], key: Key) -> K | None: ...

    def by(self, kind: type[K], index: str, value: Hashable) -> Sequence[K]:
        """The objects that the index `By(kind, index, ...)` has under `value`."""
        ...


class ControllerCluster(Cluster, Index, Protocol):
    """The Cluster that a controller gets: reads of watched kinds come from the informers' caches.

    It sees its own writes: the next run of a key waits until what the last one wrote has come back.
    """

    def now(self) -> datetime:
        """The wall clock, UTC."""
        ...

    def record(self, obj: KubeObject, reason: str, message: str, *, warning: bool = False) -> None:
        """Leaves an Event about the object. Never blocks and never fails; the same reason again only counts up."""
        ...

    def orphans(self, kind: type[K], namespace: str) -> Sequence[K]:
        """Objects of a watched kind that no controller owns."""
        ...

    async def create_all(self, objects: Sequence[K]) -> Sequence[K]:
        """Creates them in batches of 1, 2, 4, ...: a batch shares a commit, and the first error stops the rest.

        Raises that error once its batch has ended.
        """
        ...

    async def delete_all(self, objects: Sequence[KubeObject]) -> None:
        """Deletes them at once."""
        ...


class Watches:
    """What wakes a controller: its own kind, the kinds it owns (by controller reference), and related kinds."""

    def __init__(
        self,
        primary: type[KubeObject],
        *,
        owns: tuple[type[KubeObject], ...] = (),
        related: tuple[Related, ...] = (),
        reads: tuple[type[KubeObject], ...] = (),  # kinds that are read but wake nobody
        indexes: tuple[By, ...] = (),
        custom: Callable[[Any, "Index"], Iterable[Key]] | None = None,  # as Related.keys, of every custom resource
    ) -> None:
        self.custom = custom
        self.primary, self.owns, self.related, self.reads, self.indexes = primary, owns, related, reads, indexes

    @property
    def kinds(self) -> tuple[type[KubeObject], ...]:
        """Every kind that needs an informer, each once."""
        related = (each.kind for each in self.related)
        indexed = (each.kind for each in self.indexes if each.kind is not Custom)
        return tuple(dict.fromkeys((self.primary, *self.owns, *related, *self.reads, *indexed)))


class Controller(Protocol):
    """A module that fulfils this is a controller; it is found by its entry point in orchestr.controllers."""

    WATCHES: Watches
    reconcile: Callable[[ControllerCluster, Key], Awaitable[After | None]]


def child_name(owner: KubeObject, slot: int | str) -> str:
    """A name that derives from the owner's name, uid and slot: acting twice on a stale read collides.

    At most 63 characters (RFC 1123 label); ends in five hex digits.
    """
    digest = hashlib.sha256(f"{owner.metadata.uid}/{slot}".encode()).hexdigest()[:5]
    return f"{owner.metadata.name[:57].rstrip('-.')}-{digest}"
