"""Runs every controller: informers, work queues, workers and the event recorder in one nursery.

- A controller that raises is logged, reported as an Event and retried with back-off; it never ends the others.
- A controller starts once all kinds that it watches are in the cache; a kind that the cluster does not serve holds up
  only the controllers that watch it.
- Nothing polls: without changes and without delayed keys no task of the engine wakes.
"""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import trio

from orchestr.engine.cached import CachedCluster
from orchestr.engine.cluster import Cluster
from orchestr.engine.controller import Controller
from orchestr.engine.customs import Customs
from orchestr.engine.events import Recorder
from orchestr.engine.informers import Informers
from orchestr.engine.loop import Loop
from orchestr.engine.metrics import Metrics
from orchestr.engine.queue import BackoffQueue
from orchestr.engine.registry import controllers as by_entry_point

WORKERS = 8  # per controller; their writes share commits of the store


def utc_now() -> datetime:
    return datetime.now(UTC)


class Manager:
    """All controllers of a daemon. `detect` finds changes of cached objects, for tests."""

    def __init__(
        self,
        cluster: Cluster,
        controllers: Mapping[str, Controller] | None = None,
        *,
        workers: int = WORKERS,
        clock: Callable[[], datetime] = utc_now,
        chance: Callable[[], float] = random.random,
        detect: bool = False,
    ) -> None:
        self._cluster, self._clock = cluster, clock
        self.informers = Informers(cluster, detect=detect)
        self.recorder = Recorder(cluster, clock=clock)
        self._loops = [
            Loop(name, controller, self.informers, self._session, BackoffQueue(chance=chance), workers=workers)
            for name, controller in (by_entry_point() if controllers is None else controllers).items()
        ]

        self._customs = Customs(self.informers, self._loops)

    @property
    def metrics(self) -> Mapping[str, Metrics]:
        return {loop.name: loop.metrics for loop in self._loops}

    @property
    def idle(self) -> bool:
        """No key waits for a worker or is being worked on; delayed ones may be left."""
        return not any(loop.queue.busy for loop in self._loops)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled. Started once its tasks are; the caches may fill later."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.recorder.run)
            for loop in self._loops:
                nursery.start_soon(loop.run)
            for informer in self.informers:
                nursery.start_soon(informer.run)
            nursery.start_soon(self._customs.run)
            task_status.started()

    def verify(self) -> None:
        """Raises MutationDetected when a cached object was changed in place; only with `detect`."""
        for informer in self.informers:
            informer.cache.verify()

    def _session(self, component: str) -> CachedCluster:
        return CachedCluster(self._cluster, self.informers, self.recorder, self._clock, component)
