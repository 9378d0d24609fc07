"""The Cluster that a controller gets: reads from the informers' caches, writes to the real cluster.

- `get`, `list`, `orphans` and the `Index` reads of watched kinds cost no round trip and use indexes; other kinds are
  read from the cluster itself.
- Read your writes: each write of a watched kind leaves a `Seen` test with the key that is being reconciled, and the
  next run of that key first waits (`settle`, bounded) until the informers fulfil it. So no run acts on a state that is
  older than its own writes. A write by others is seen when its watch event arrives, as everywhere.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import trio

from orchestr.api.base import Key, KubeObject, Model
from orchestr.engine.cache import ORPHANS
from orchestr.engine.cluster import Cluster, Propagation, WatchEvent
from orchestr.engine.events import Recorder
from orchestr.engine.informer import Informer
from orchestr.engine.informers import Informers

K = TypeVar("K", bound=KubeObject)
S = TypeVar("S")
T = TypeVar("T")

SETTLE = 5.0  # seconds that a run waits at most for its predecessor's writes to come back

log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """A write that must have come back through the informer."""

    informer: Informer[Any]
    key: Key
    uid: str | None
    revision: int | None  # None: a deletion

    def reached(self, informer: Informer[Any]) -> bool:
        if self.revision is not None:
            return informer.revision is not None and informer.revision >= self.revision
        obj = informer.cache.get(self.key)
        return obj is None or obj.metadata.uid != self.uid or obj.metadata.deleting


async def settle(writes: Sequence[Seen], what: object, *, seconds: float = SETTLE) -> None:
    """Waits until all writes are seen, or the time is up; then the cluster refuses what is stale."""
    unseen = [write for write in writes if not write.reached(write.informer)]
    if not unseen:
        return
    with trio.move_on_after(seconds) as scope:
        for write in unseen:
            await write.informer.wait(write.reached)
    if scope.cancelled_caught:
        log.warning("%s goes on without having seen all its writes after %s s", what, seconds)


async def gather(call: Callable[[S], Awaitable[T]], items: Sequence[S]) -> tuple[list[T], list[Exception]]:
    """Calls all at once; results in no particular order, and errors instead of the first one raised."""
    results: list[T] = []
    errors: list[Exception] = []

    async def one(item: S) -> None:
        try:
            results.append(await call(item))
        except Exception as error:
            errors.append(error)

    if len(items) == 1:
        await one(items[0])
        return results, errors
    async with trio.open_nursery() as nursery:
        for item in items:
            nursery.start_soon(one, item)
    return results, errors


class CachedCluster:
    """ControllerCluster for one run of one key."""

    def __init__(
        self, live: Cluster, informers: Informers, recorder: Recorder, clock: Callable[[], datetime], component: str
    ) -> None:
        self._live, self._informers, self._recorder = live, informers, recorder
        self._clock, self._component = clock, component
        self.writes: list[Seen] = []

    def now(self) -> datetime:
        return self._clock()

    def record(self, obj: KubeObject, reason: str, message: str, *, warning: bool = False) -> None:
        self._recorder.record(obj, reason, message, warning=warning, component=self._component)

    # reads

    async def get(self, kind: type[K], key: Key) -> K | None:
        informer = self._informers.of(kind)
        return informer.cache.get(key) if informer else await self._live.get(kind, key)

    async def list(
        self,
        kind: type[K],
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        owner: KubeObject | None = None,
    ) -> Sequence[K]:
        informer = self._informers.of(kind)
        if informer is None:
            return await self._live.list(kind, namespace=namespace, labels=labels, owner=owner)
        uid = None if owner is None else owner.metadata.uid or ""
        return informer.cache.list(namespace=namespace, labels=labels, owner=uid)

    def watch(
        self, kind: type[K], *, namespace: str | None = None, since: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent[K]]]:
        return self._live.watch(kind, namespace=namespace, since=since)

    def all(self, kind: type[K], *, namespace: str | None = None) -> Sequence[K]:
        return self._informers.all(kind, namespace=namespace)

    def one(self, kind: type[K], key: Key) -> K | None:
        return self._informers.one(kind, key)

    def by(self, kind: type[K], index: str, value: Hashable) -> Sequence[K]:
        return self._informers.by(kind, index, value)

    def orphans(self, kind: type[K], namespace: str) -> Sequence[K]:
        return self._informers.by(kind, ORPHANS, namespace)

    # writes

    async def create(self, obj: K) -> K:
        return self._wrote(await self._live.create(obj))

    async def update(self, obj: K) -> K:
        return self._wrote(await self._live.update(obj))

    async def patch(self, kind: type[K], key: Key, patch: Mapping[str, Any]) -> K:
        return self._wrote(await self._live.patch(kind, key, patch))

    async def apply(self, obj: Mapping[str, Any], *, manager: str, force: bool = False) -> KubeObject:
        return self._wrote(await self._live.apply(obj, manager=manager, force=force))

    async def patch_status(self, obj: K, status: Model) -> K:
        if getattr(obj, "status", None) == status:
            return obj  # when the cache is behind, the change that it lacks wakes this key again
        return self._wrote(await self._live.patch_status(obj, status))

    async def delete(
        self, obj: KubeObject, *, propagation: Propagation = Propagation.BACKGROUND, grace: int | None = None
    ) -> None:
        await self._live.delete(obj, propagation=propagation, grace=grace)
        informer = self._informers.of(type(obj))
        if informer:
            self.writes.append(Seen(informer, obj.key, obj.metadata.uid, None))

    async def create_all(self, objects: Sequence[K]) -> Sequence[K]:
        made, start, size = [], 0, 1
        while start < len(objects):
            results, errors = await gather(self.create, objects[start : start + size])
            made += results
            if errors:
                raise errors[0]
            start, size = start + size, size * 2
        return made

    async def delete_all(self, objects: Sequence[KubeObject]) -> None:
        _, errors = await gather(self.delete, objects)
        if errors:
            raise errors[0]

    def _wrote(self, obj: K) -> K:
        informer = self._informers.of(type(obj))
        if informer and obj.metadata.resource_version:
            self.writes.append(Seen(informer, obj.key, obj.metadata.uid, int(obj.metadata.resource_version)))
        return obj
