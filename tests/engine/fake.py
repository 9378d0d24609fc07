"""An in-memory Cluster that keeps the promises of the seam, and a kubelet that makes pods of it run.

Watch events can be held back (`hold`), so that tests reach the moments in which a cache is older than the store.
"""

import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import trio

from orchestr.api.base import Condition, Key, KubeObject, Model
from orchestr.api.errors import AlreadyExists, Conflict, Expired, NotFound
from orchestr.api.pod import ContainerState, ContainerStateRunning, ContainerStatus, Pod, PodIP
from orchestr.engine import EventType, Propagation, WatchEvent

START = datetime(2026, 1, 1, tzinfo=UTC)


def virtual_clock() -> datetime:
    """The wall clock that belongs to trio's, which tests may let jump."""
    return START + timedelta(seconds=trio.current_time())


def merge(into: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(into) if isinstance(into, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


class FakeCluster:
    def __init__(self, clock: Callable[[], datetime] = virtual_clock) -> None:
        self.objects: dict[type[KubeObject], dict[Key, KubeObject]] = {}
        self.revision = 0
        self.writes: list[tuple[str, str]] = []  # (verb, kind/name) of every write that changed something
        self.before_create: Callable[[KubeObject], None] = lambda obj: None  # raises to refuse
        self.admit: Callable[[KubeObject], KubeObject] = lambda obj: obj
        self.after_write: Callable[[], None] = lambda: None
        self.floor = 0  # watches since an older revision are Expired
        self._clock = clock
        self._log: list[tuple[type[KubeObject], WatchEvent[Any]]] = []
        self._news = trio.lowlevel.ParkingLot()
        self._held: dict[type[KubeObject], int] = {}

    # reads

    def of(self, kind: type[Any], namespace: str | None = None) -> list[Any]:
        return [obj for key, obj in self.objects.get(kind, {}).items() if namespace in (None, key.namespace)]

    async def get(self, kind: type[Any], key: Key) -> Any:
        await trio.lowlevel.checkpoint()
        return self.objects.get(kind, {}).get(key)

    async def list(
        self,
        kind: type[Any],
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        owner: KubeObject | None = None,
    ) -> Sequence[Any]:
        await trio.lowlevel.checkpoint()
        return [
            obj
            for obj in self.of(kind, namespace)
            if (labels or {}).items() <= obj.metadata.labels.items()
            and (owner is None or ((ref := obj.metadata.controller) and ref.uid == owner.metadata.uid))
        ]

    @asynccontextmanager
    async def watch(
        self, kind: type[Any], *, namespace: str | None = None, since: int | None = None
    ) -> AsyncIterator[AsyncIterator[WatchEvent[Any]]]:
        yield self._events(kind, namespace, since)

    async def _events(
        self, kind: type[Any], namespace: str | None, since: int | None
    ) -> AsyncIterator[WatchEvent[Any]]:
        await trio.lowlevel.checkpoint()
        if since is not None and since < self.floor:
            raise Expired("too old")
        floor = self.floor
        position = len(self._log) if since is None else self._position(since)
        if since is None:
            revision = self.revision
            for obj in self.of(kind, namespace):
                yield WatchEvent(EventType.ADDED, obj, int(obj.metadata.resource_version))
            yield WatchEvent(EventType.BOOKMARK, None, revision)
        while True:
            while position < min(len(self._log), self._held.get(kind, len(self._log))):
                which, event = self._log[position]
                position += 1
                if which is kind and namespace in (None, event.object.key.namespace):
                    yield event
            if floor != self.floor:
                raise Expired("compacted")
            await self._news.park()

    def _position(self, since: int) -> int:
        return next((i for i, (_, event) in enumerate(self._log) if event.revision > since), len(self._log))

    def hold(self, kind: type[Any]) -> None:
        """Watches of this kind get no news until `release`."""
        self._held[kind] = len(self._log)

    def release(self, kind: type[Any]) -> None:
        self._held.pop(kind, None)
        self._news.unpark_all()

    def expire(self) -> None:
        """Drops the history and ends all watches."""
        self.floor = self.revision + 1
        self._news.unpark_all()

    # writes

    async def create(self, obj: Any) -> Any:
        await trio.lowlevel.checkpoint()
        self.before_create(obj)
        objects = self.objects.setdefault(type(obj), {})
        if obj.key in objects:
            raise AlreadyExists(f"{obj.ref} already exists")
        meta = obj.metadata.but(uid=str(uuid.uuid4()), creation_timestamp=self._now(), generation=1)
        return self._store(EventType.ADDED, self.admit(obj.but(metadata=meta)), "create")

    async def update(self, obj: Any) -> Any:
        await trio.lowlevel.checkpoint()
        old = self._stored(obj, obj.metadata.resource_version)
        status = {"status": old.status} if hasattr(old, "status") else {}
        return self._replace(old, self.admit(obj.but(**status)), "update")

    async def patch(self, kind: type[Any], key: Key, patch: Mapping[str, Any]) -> Any:
        await trio.lowlevel.checkpoint()
        old = self.objects.get(kind, {}).get(key)
        if old is None:
            raise NotFound(f"{key} not found")
        wanted = patch.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != old.metadata.resource_version:
            raise Conflict(f"{key} changed")
        return self._replace(old, self.admit(kind.model_validate(merge(old.wire(), patch))), "patch")

    async def apply(self, obj: Mapping[str, Any], *, manager: str, force: bool = False) -> KubeObject:
        raise NotImplementedError

    async def patch_status(self, obj: Any, status: Model) -> Any:
        await trio.lowlevel.checkpoint()
        old = self._stored(obj, None)
        wire = old.but(status=status).wire()  # as stored: times lose their microseconds
        return self._replace(old, type(obj).model_validate(wire), "status")

    async def delete(
        self, obj: KubeObject, *, propagation: Propagation = Propagation.BACKGROUND, grace: int | None = None
    ) -> None:
        await trio.lowlevel.checkpoint()
        old = self.objects.get(type(obj), {}).get(obj.key)
        if old is None or old.metadata.uid != obj.metadata.uid:
            return
        graceful = isinstance(old, Pod) and old.spec.node_name and not old.finished and grace != 0
        if graceful:
            if not old.metadata.deleting:
                marked = old.metadata.but(deletion_timestamp=self._now())
                self._store(EventType.MODIFIED, old.but(metadata=marked), "delete")
            return
        del self.objects[type(obj)][obj.key]
        self._store(EventType.DELETED, old, "delete")
        for child in [c for objs in self.objects.values() for c in objs.values()]:  # garbage collection
            if (ref := child.metadata.controller) and ref.uid == old.metadata.uid:
                await self.delete(child)

    def _stored(self, obj: KubeObject, version: str | None) -> Any:
        old = self.objects.get(type(obj), {}).get(obj.key)
        if old is None or old.metadata.uid != obj.metadata.uid:
            raise NotFound(f"{obj.ref} not found")
        if version and version != old.metadata.resource_version:
            raise Conflict(f"{obj.ref} changed")
        return old

    def _replace(self, old: Any, new: Any, verb: str) -> Any:
        same = new.metadata.but(resource_version=old.metadata.resource_version)
        if new.but(metadata=same) == old:
            return old
        if getattr(new, "spec", None) != getattr(old, "spec", None):
            same = same.but(generation=(old.metadata.generation or 0) + 1)
        return self._store(EventType.MODIFIED, new.but(metadata=same), verb)

    def _store(self, type_: EventType, obj: Any, verb: str) -> Any:
        self.revision += 1
        obj = obj.but(metadata=obj.metadata.but(resource_version=str(self.revision)))
        if type_ is not EventType.DELETED:
            self.objects.setdefault(type(obj), {})[obj.key] = obj
        self.writes.append((verb, obj.ref))
        self._log.append((type(obj), WatchEvent(type_, obj, self.revision)))
        self._news.unpark_all()
        self.after_write()
        return obj

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)


class FakeKubelet:
    """Runs pods that have no gate: ready after `delay` seconds, gone after `grace` once deleted."""

    def __init__(self, cluster: FakeCluster, *, delay: float = 1, grace: float = 1) -> None:
        self._cluster, self.delay, self.grace = cluster, delay, grace
        self.outcome: Callable[[Pod], str | None] = lambda pod: None  # "Succeeded" or "Failed" ends it
        self.healthy: Callable[[Pod], bool] = lambda pod: True
        self._seen: set[tuple[str | None, bool]] = set()
        self._address = 0

    async def run(self) -> None:
        async with trio.open_nursery() as nursery, self._cluster.watch(Pod) as events:
            async for event in events:
                pod = event.object
                if pod is None or event.type is EventType.DELETED or pod.spec.scheduling_gates:
                    continue
                mark = (pod.metadata.uid, pod.metadata.deleting)
                if mark not in self._seen:
                    self._seen.add(mark)
                    nursery.start_soon(self._end if pod.metadata.deleting else self._start, pod)

    async def _start(self, pod: Pod) -> None:
        await trio.sleep(self.delay)
        current = self._cluster.objects[Pod].get(pod.key)
        if current is None or current.metadata.uid != pod.metadata.uid or current.metadata.deleting:
            return
        if current.status.phase not in (None, "Pending"):
            return
        self._address += 1
        outcome = self.outcome(pod)
        await self.set(pod, outcome or "Running", ready=outcome is None and self.healthy(pod))

    async def set(self, pod: Pod, phase: str, *, ready: bool) -> None:
        now = virtual_clock().replace(microsecond=0)
        current = self._cluster.objects[Pod][pod.key]
        running = ContainerState(running=ContainerStateRunning(started_at=now))
        status = current.status.but(
            phase=phase,
            start_time=current.status.start_time or now,
            conditions=(Condition(type="Ready", status=str(ready), last_transition_time=now),),
            pod_ips=current.status.pod_ips
            or (PodIP(ip=f"10.88.0.{self._address}"), PodIP(ip=f"fd00::{self._address:x}")),
            container_statuses=(ContainerStatus(name="main", state=running),) if phase == "Running" else (),
        )
        await self._cluster.patch_status(current, status)

    async def _end(self, pod: Pod) -> None:
        await trio.sleep(self.grace)
        await self._cluster.delete(pod, grace=0)


async def eventually(check: Callable[[], object], *, within: float = 3600) -> None:
    """Until `check` holds; with the autojump clock, as far as time must go. Fails after `within` virtual seconds."""
    with trio.move_on_after(within):
        while not check():  # noqa: ASYNC110 - any change of state may be what is waited for
            await trio.sleep(0.01)
        return
    raise AssertionError(f"did not hold within {within} s")
