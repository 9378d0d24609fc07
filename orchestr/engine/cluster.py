"""The Cluster seam: how everything above the store reads and writes objects.

Promises, the same for `LocalCluster` (store/) and `RemoteCluster` (client.py); tests/contract/ runs against both:
- What is handed out is frozen. A write returns the object as stored (uid, resourceVersion, defaults filled in).
- A write is whole or not at all, and durable when the call returns.
- `update` and `patch` with a resourceVersion are optimistic: a newer object in the store raises Conflict.
- A write that changes nothing writes nothing: same resourceVersion, no watch event.
- `watch` first yields ADDED for what exists (unless `since` is given), then a BOOKMARK whose object is None, then every
  change in order, none skipped. When `since` is too old it raises Expired, and the caller lists anew.
- Errors are those of orchestr.api.errors; a name that does not exist is None from `get`, NotFound from a write.
Not promised: that a read sees a write of another process before that write's watch event.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from orchestr.api.base import Key, KubeObject, Model

K = TypeVar("K", bound=KubeObject)


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


class WatchEvent(NamedTuple, Generic[K]):
    type: EventType
    object: K | None  # None for a BOOKMARK; the last state for DELETED
    revision: int  # resourceVersion of the change


class Propagation(StrEnum):
    BACKGROUND = "Background"
    FOREGROUND = "Foreground"
    ORPHAN = "Orphan"


class Cluster(Protocol):
    async def get(self, kind: type[K], key: Key) -> K | None: ...

    async def list(
        self,
        kind: type[K],
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        owner: KubeObject | None = None,
    ) -> Sequence[K]:
        """All of a kind: of one namespace, with all these labels, controlled by `owner`."""
        ...

    def watch(
        self, kind: type[K], *, namespace: str | None = None, since: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent[K]]]: ...

    async def create(self, obj: K) -> K: ...

    async def update(self, obj: K) -> K:
        """Replaces all but status. Conflict when obj carries a resourceVersion that is not the stored one."""
        ...

    async def patch(self, kind: type[K], key: Key, patch: Mapping[str, Any]) -> K:
        """JSON merge patch (RFC 7386) on the wire form; a metadata.resourceVersion inside makes it optimistic."""
        ...

    async def apply(self, obj: Mapping[str, Any], *, manager: str, force: bool = False) -> KubeObject:
        """Server-side apply of a wire object: fields that `manager` applied before and left out now vanish."""
        ...

    async def patch_status(self, obj: K, status: Model) -> K:
        """Replaces the status of the stored object with this uid; NotFound when it is gone. No change: no write."""
        ...

    async def delete(
        self,
        obj: KubeObject,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        grace: int | None = None,
    ) -> None:
        """Asks for deletion of the object with this uid. Already gone is fine. grace in seconds, None: the kind's own.

        A pod with containers only gets a deletionTimestamp: the agent ends it, then deletes with grace=0.
        """
        ...
