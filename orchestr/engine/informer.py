"""One list and one watch of a kind, shared by all controllers.

- Handlers are called as `(old, new)`, in the order of the changes, after the cache holds the new state; `old` is None
  for an object that is new, `new` is None for one that is gone. They are synchronous and must not fail.
- After a failure the watch resumes from the last revision; where that is too old (Expired) it lists anew and calls the
  handlers for the differences only. No change is lost; several changes of one object may be seen as one.
- `synced` is set once the first list is in the cache.
"""

import logging
import random
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from orchestr.api.base import Key, KubeObject
from orchestr.api.errors import Expired
from orchestr.engine.cache import Cache
from orchestr.engine.cluster import Cluster, EventType, WatchEvent
from orchestr.engine.queue import backoff

K = TypeVar("K", bound=KubeObject)
Handler = Callable[[K | None, K | None], None]

log = logging.getLogger(__name__)


class Informer(Generic[K]):
    """Watches one kind; see the promises above."""

    def __init__(self, cluster: Cluster, kind: type[K], *, detect: bool = False) -> None:
        self.kind = kind
        self.cache: Cache[K] = Cache(detect=detect)
        self.synced = trio.Event()
        self.revision: int | None = None  # of the last change in the cache
        self._cluster = cluster
        self._handlers: list[Handler[K]] = []
        self._changed = trio.lowlevel.ParkingLot()
        self._listed: dict[Key, K] | None = None  # while a list comes in

    def add_handler(self, handler: Handler[K]) -> None:
        """Hears of every object, also of those that are already there."""
        self._handlers.append(handler)
        for obj in self.cache:
            handler(None, obj)

    def clear(self) -> None:
        """For a kind that is gone: so are its objects."""
        self._replace({})
        self._changed.unpark_all()

    async def wait(self, reached: Callable[["Informer[K]"], bool]) -> None:
        """Until `reached` holds; it is asked after each change."""
        while not reached(self):
            await self._changed.park()

    async def run(self) -> None:
        """Keeps the cache up to date; never returns."""
        failures = 0
        while True:
            before = self.revision
            try:
                await self._follow()
            except Expired:
                self.revision = None
            except Exception as error:  # whatever a server does: report, wait, resume
                log.warning("cannot watch %s: %s (will try again)", self.kind.PLURAL, error)
            # A server closes a watch now and then; only one that brings nothing is tried more and more slowly.
            failures = 1 if self.revision != before else failures + 1
            await trio.sleep(backoff(failures, random.random(), base=0.02, limit=10))

    async def _follow(self) -> None:
        since = self.revision
        self._listed = {} if since is None else None
        async with self._cluster.watch(self.kind, since=since) as events:
            async for event in events:
                self._take(event)

    def _take(self, event: WatchEvent[K]) -> None:
        obj = event.object
        if obj is None:
            if self._listed is not None:
                self._replace(self._listed)
                self._listed = None
                self.synced.set()
            self.revision = event.revision
        elif self._listed is not None:
            self._listed[obj.key] = obj
            return
        else:
            self.revision = event.revision
            self._tell(obj.key, None if event.type is EventType.DELETED else obj)
        self._changed.unpark_all()

    def _replace(self, objects: dict[Key, K]) -> None:
        for key in self.cache.keys() - objects.keys():
            self._tell(key, None)
        for key, obj in objects.items():
            old = self.cache.get(key)
            if old is None or old.metadata.resource_version != obj.metadata.resource_version:
                self._tell(key, obj)

    def _tell(self, key: Key, new: K | None) -> None:
        old = self.cache.remove(key) if new is None else self.cache.put(new)
        if old is None and new is None:
            return
        for handler in self._handlers:
            handler(old, new)
