"""Leaves Events (core/v1) about objects, as client-go's `tools/record` does.

- `record` never blocks, never fails and never holds up a reconcile; a task writes the Events.
- The same reason about the same object by the same component is one Event whose count and lastTimestamp rise and whose
  message is the latest; its name derives from these, so that a restarted daemon goes on counting.
- Bounded: at most PENDING different Events wait; what comes on top is dropped and counted in `dropped`. Writes come in
  rounds, at most one per PAUSE, so that a loud controller cannot flood the store.
- Lost in a crash: what was not written yet. Events are hints for people; no controller may act on them.
"""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import trio

from orchestr.api.base import Key, KubeObject, ObjectMeta, timestamp
from orchestr.api.errors import AlreadyExists, ApiError, NotFound
from orchestr.api.event import Event, EventSource
from orchestr.api.meta import ObjectReference
from orchestr.engine.cluster import Cluster

PENDING, KNOWN = 1000, 4096
PAUSE = 0.5  # seconds between two rounds of writes
MESSAGE = 1024  # characters, Kubernetes' limit

log = logging.getLogger(__name__)


class Subject(NamedTuple):
    """What makes two Events the same."""

    uid: str
    reason: str
    type: str  # Normal, Warning
    component: str


@dataclass(slots=True)
class Pending:
    obj: KubeObject
    message: str
    first: datetime
    last: datetime
    count: int = 1


class Recorder:
    """Collects and writes Events; `run` must be running for them to be written."""

    def __init__(self, cluster: Cluster, *, clock: Callable[[], datetime]) -> None:
        self._cluster, self._clock = cluster, clock
        self._pending: dict[Subject, Pending] = {}
        self._counts: OrderedDict[Subject, int] = OrderedDict()  # of what is stored; least recently used first
        self._filled = trio.Event()
        self.dropped = 0

    def record(self, obj: KubeObject, reason: str, message: str, *, warning: bool = False, component: str = "") -> None:
        subject = Subject(obj.metadata.uid or "", reason, "Warning" if warning else "Normal", component)
        now, pending = self._clock(), self._pending.get(subject)
        if pending is not None:
            pending.message, pending.last, pending.count = message[:MESSAGE], now, pending.count + 1
        elif len(self._pending) >= PENDING:
            self.dropped += 1
        else:
            self._pending[subject] = Pending(obj, message[:MESSAGE], now, now)
            self._filled.set()

    async def run(self) -> None:
        """Writes what was recorded, all of a round at once; never returns."""
        while True:
            await self._filled.wait()
            self._filled = trio.Event()
            pending, self._pending = self._pending, {}
            async with trio.open_nursery() as nursery:
                for subject, item in pending.items():
                    nursery.start_soon(self._write, subject, item)
            await trio.sleep(PAUSE)

    async def _write(self, subject: Subject, item: Pending) -> None:
        try:
            await self._count_up(subject, item)
        except ApiError as error:  # a namespace that ends refuses, say
            log.debug("cannot write event %s about %s: %s", subject.reason, item.obj.ref, error)
        except Exception:  # an Event is never worth the daemon
            log.exception("cannot write event %s about %s", subject.reason, item.obj.ref)

    async def _count_up(self, subject: Subject, item: Pending) -> None:
        event = _event(subject, item)
        known = self._counts.pop(subject, None)
        if known is None:
            try:
                await self._cluster.create(event)
            except AlreadyExists:
                stored = await self._cluster.get(Event, event.key)
                known = stored.count or 1 if stored else 0
        if known is not None:
            await self._raise(event, item, known)
        self._counts[subject] = (known or 0) + item.count
        while len(self._counts) > KNOWN:
            self._counts.popitem(last=False)

    async def _raise(self, event: Event, item: Pending, known: int) -> None:
        news = {"count": known + item.count, "lastTimestamp": timestamp(item.last), "message": item.message}
        try:
            await self._cluster.patch(Event, event.key, news)
        except NotFound:  # expired meanwhile
            await self._cluster.create(event.but(count=known + item.count))


def _event(subject: Subject, item: Pending) -> Event:
    digest = hashlib.sha256("/".join(subject).encode()).hexdigest()[:16]
    obj, meta = item.obj, item.obj.metadata
    return Event(
        metadata=ObjectMeta(name=f"{meta.name[:236]}.{digest}", namespace=_namespace(obj.key)),
        involved_object=ObjectReference(
            api_version=obj.api_version,
            kind=obj.kind,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
        ),
        reason=subject.reason,
        message=item.message,
        type=subject.type,
        count=item.count,
        first_timestamp=item.first,
        last_timestamp=item.last,
        source=EventSource(component=subject.component),
        reporting_component=subject.component,
    )


def _namespace(key: Key) -> str:
    return key.namespace or "default"  # as Kubernetes does for objects without one
