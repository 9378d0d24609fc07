"""One controller at work: informers' changes become keys, workers reconcile them, failures wait longer each time."""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any

import trio

from orchestr.api.base import Key, KubeObject
from orchestr.api.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound
from orchestr.engine.cached import CachedCluster, Seen, settle
from orchestr.engine.controller import Controller, Hopeless, Related
from orchestr.engine.informers import Informers
from orchestr.engine.metrics import Metrics
from orchestr.engine.queue import BackoffQueue

log = logging.getLogger(__name__)


class Loop:
    """Runs one controller with `workers` tasks; a key is never worked on by two at a time."""

    def __init__(
        self,
        name: str,
        controller: Controller,
        informers: Informers,
        session: Callable[[str], CachedCluster],
        queue: BackoffQueue[Key],
        *,
        workers: int,
    ) -> None:
        self.name, self.controller, self.queue = name, controller, queue
        self._metrics = Metrics()
        self._informers, self._session, self._workers = informers, session, workers
        primary = controller.WATCHES.primary
        self._kind, self._namespaced = primary.model_fields["kind"].default, primary.NAMESPACED
        self._unseen: dict[Key, list[Seen]] = {}  # what the last run of a key wrote
        self._listen()

    @property
    def metrics(self) -> Metrics:
        self._metrics.depth, self._metrics.delayed = len(self.queue), self.queue.delayed
        return self._metrics

    async def run(self) -> None:
        """Never returns. Starts to work when every kind that the controller reads is in the cache."""
        for kind in self.controller.WATCHES.kinds:
            await self._informers.add(kind).synced.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.queue.run)
            for _ in range(self._workers):
                nursery.start_soon(self._work)

    # changes become keys

    def _listen(self) -> None:
        watches = self.controller.WATCHES
        for kind in watches.kinds:
            self._informers.add(kind, watches.indexes)
        self._informers.add(watches.primary).add_handler(self._primary)
        for kind in watches.owns:
            self._informers.add(kind).add_handler(self._owned)
        for related in watches.related:
            self._informers.add(related.kind).add_handler(self.related(related))

    def _primary(self, old: KubeObject | None, new: KubeObject | None) -> None:
        obj = new or old
        if obj is not None:
            self.queue.add(obj.key)

    def _owned(self, old: KubeObject | None, new: KubeObject | None) -> None:
        for obj in (old, new):
            owner = obj.metadata.controller if obj else None
            if obj and owner and owner.kind == self._kind:
                self.queue.add(Key(obj.key.namespace if self._namespaced else "", owner.name))

    def related(self, related: Related) -> Callable[[Any, Any], None]:
        """What an informer of a related kind has to call."""

        def handle(old: KubeObject | None, new: KubeObject | None) -> None:
            for obj in (old, new):
                try:
                    for key in related.keys(obj, self._informers) if obj else ():
                        self.queue.add(key)
                except Exception:  # must not stop the informer, which others share
                    log.exception("cannot tell what %s changes for controller %s", obj and obj.ref, self.name)

        return handle

    # workers

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._run(key)
            finally:
                self.queue.done(key)

    async def _run(self, key: Key) -> None:
        await settle(self._unseen.pop(key, ()), f"{self.name} {key}")
        cluster = self._session(getattr(self.controller, "COMPONENT", self.name))
        start = perf_counter()
        try:
            after = await self.controller.reconcile(cluster, key)
        except Exception as error:  # a controller may fail in any way; the daemon lives on
            self._failed(cluster, key, error)
        else:
            self.queue.forget(key)
            if after is not None:
                self.queue.add_after(key, after.seconds)
        finally:
            self._metrics.runs += 1
            self._metrics.seconds += perf_counter() - start
            if cluster.writes:
                self._unseen[key] = cluster.writes

    def _failed(self, cluster: CachedCluster, key: Key, error: Exception) -> None:
        if isinstance(error, Hopeless):
            self._metrics.hopeless += 1
            self.queue.forget(key)
            log.error("%s cannot reconcile %s: %s (change the object)", self.name, key, error)
            self._report(cluster, key, f"cannot reconcile: {error} (change the object)")
            return
        seconds = self.queue.add_failed(key)
        if isinstance(error, Conflict | AlreadyExists | NotFound):
            self._metrics.conflicts += 1
            log.debug("%s raced on %s: %s", self.name, key, error)
            return
        if isinstance(error, Forbidden):  # a quota: the object's own condition says so, and it may last
            log.debug("%s was refused on %s: %s", self.name, key, error)
            return
        self._metrics.failures += 1
        trace = None if isinstance(error, ApiError) else error  # a refusal says all in its message
        log.warning("%s failed on %s, again in %.3f s: %s", self.name, key, seconds, error, exc_info=trace)
        self._report(cluster, key, f"cannot reconcile: {error or type(error).__name__} (will be tried again)")

    def _report(self, cluster: CachedCluster, key: Key, message: str) -> None:
        obj = self._informers.one(self.controller.WATCHES.primary, key)
        if obj is not None:
            cluster.record(obj, "FailedReconcile", message, warning=True)
