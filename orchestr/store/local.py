"""LocalCluster: the Cluster seam on the store, for everything inside the daemon; and raw reads for the HTTP server.

Reads are answered from memory without waiting: `get`, `list`, `rows` and `watch` never touch the disk and never decode.
Every write is one function in the writer thread, admission included.

For the HTTP server, besides the seam:
    row(kind, key) -> Row | None            Row.data is the canonical JSON to serve, Row.object the decoded object
    rows(kind, namespace=, labels=, at=) -> Rows  the rows and the revision of one instant
    changes(kind, namespace=, since=)       an iterator of Change: type, old and new Row, revision
    modify(kind, key, change, ...)          any patch: `change` maps the wire form to the new wire form
    remove(kind, key, ...)                  deletion by name with preconditions, NotFound when there is none
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from random import Random
from typing import Any, NamedTuple, TypeVar, cast

import trio

from orchestr.api import scheme
from orchestr.api.base import Key, KubeObject, Model
from orchestr.api.core import Pod, Service
from orchestr.api.custom import Custom
from orchestr.api.errors import BadRequest, Conflict
from orchestr.engine.cluster import EventType, Propagation, WatchEvent
from orchestr.store import lifecycle, policies, webhooks
from orchestr.store.applying import Applied, apply, apply_all
from orchestr.store.attempt import Ask, Attempt, Question, attempted
from orchestr.store.bootstrap import bootstrap
from orchestr.store.caller import caller
from orchestr.store.definitions import DEFINITIONS, Catalogue
from orchestr.store.guard import guarded
from orchestr.store.matching import Connect
from orchestr.store.mergepatch import merge_patch
from orchestr.store.past import taken_back
from orchestr.store.ports import claims
from orchestr.store.refusals import not_found
from orchestr.store.site import Site
from orchestr.store.sqlite import Quarantined
from orchestr.store.store import KEEP, Store, open_store
from orchestr.store.table import Change, Row, kind_name, served
from orchestr.store.transaction import Decide, Tx
from orchestr.store.watch import Watcher

K = TypeVar("K", bound=KubeObject)
T = TypeVar("T")

Measure = Callable[[str | None], Awaitable[Sequence[KubeObject]]]
ATTEMPTS = 64  # of one write; each has one more webhook answered, or a newer object
KINDS = {kind_name(kind): kind for kind in scheme.KINDS}


class Rows(NamedTuple):
    rows: list[Row]
    revision: int  # of the instant they were read at


class LocalCluster:
    """Fulfils engine.Cluster; made by `open_cluster`."""

    def __init__(self, store: Store, site: Site) -> None:
        self._store, self._site = store, site
        self._measured: dict[type[KubeObject], Measure] = {}
        self.decide: Decide | None = None  # set by whoever knows roles and bindings

    @property
    def revision(self) -> int:
        """The newest published revision."""
        return self._store.revision

    @property
    def quarantined(self) -> Sequence[Quarantined]:
        """Rows that could not be read at the start; they are kept aside in the database."""
        return self._store.quarantined

    def measure(self, kind: type[KubeObject], by: Measure) -> None:
        """From now on `list` gives what `by` finds in a namespace (None: in all), for a kind that is never stored."""
        self._measured[kind] = by

    # reads

    def row(self, kind: type[KubeObject], key: Key) -> Row | None:
        found = self._store.table.get(kind_name(kind), key)
        return found and served(found, kind)

    def rows(
        self,
        kind: type[KubeObject],
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        at: int | None = None,
    ) -> Rows:
        """The rows of now, or those of the revision `at`. Raises Expired when that is too long ago."""
        found = self._store.table.rows(kind_name(kind), namespace)
        if at is not None and at < self._store.revision:
            found = taken_back(found, self._store.rings.since(kind_name(kind), at), namespace)
        if kind.STORED is not None:
            found = [served(row, kind) for row in found]
        if labels:
            found = [row for row in found if labels.items() <= row.object.metadata.labels.items()]
        return Rows(found, self._store.revision if at is None else at)

    def changes(self, kind: type[KubeObject], *, namespace: str | None = None, since: int) -> Watcher:
        """Changes after the revision `since`. Raises Expired, now or when it falls behind."""
        watcher = self._store.watch(kind_name(kind), namespace, since)
        return watcher if kind.STORED is None else watcher.showing(kind)

    async def get(self, kind: type[K], key: Key) -> K | None:
        row = self.row(kind, key)
        return cast(K, row.object) if row else None

    async def list(
        self,
        kind: type[K],
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        owner: KubeObject | None = None,
    ) -> Sequence[K]:
        if (measure := self._measured.get(kind)) is not None:
            return [cast(K, obj) for obj in await measure(namespace)]
        if owner is None:
            return [cast(K, row.object) for row in self.rows(kind, namespace=namespace, labels=labels).rows]
        uid, name = owner.metadata.uid, kind_name(kind)
        objects = [row.object for row in self._store.table.owned(uid or "") if row.kind == name]
        found = [
            obj
            for obj in objects
            if (controller := obj.metadata.controller) and controller.uid == uid
            if namespace is None or obj.metadata.namespace == namespace
            if (labels or {}).items() <= obj.metadata.labels.items()
        ]
        return [cast(K, obj) for obj in sorted(found, key=lambda obj: obj.key)]

    def watch(
        self, kind: type[K], *, namespace: str | None = None, since: int | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchEvent[K]]]:
        return _events(self, kind, namespace, since)

    # writes

    async def create(self, obj: K, *, manager: str | None = None, dry_run: bool = False) -> K:
        row = await self._write(lambda tx: lifecycle.create(tx, self._site, obj, manager), dry_run)
        return cast(K, served(row, type(obj)).object)

    async def update(self, obj: K, *, manager: str | None = None, dry_run: bool = False) -> K:
        def run(tx: Tx) -> Row:
            row = _found(tx, type(obj), obj.key)
            return lifecycle.replace(tx, self._site, row, obj, manager)

        return cast(K, served(await self._write(run, dry_run), type(obj)).object)

    async def patch(
        self,
        kind: type[K],
        key: Key,
        patch: Mapping[str, Any],
        *,
        manager: str | None = None,
        dry_run: bool = False,
    ) -> K:
        def change(wire: dict[str, Any]) -> Any:
            return merge_patch(wire, patch)

        return await self.modify(kind, key, change, manager=manager, dry_run=dry_run)

    async def modify(
        self,
        kind: type[K],
        key: Key,
        change: Callable[[dict[str, Any]], Any],
        *,
        part: str = "",
        manager: str | None = None,
        dry_run: bool = False,
        decode: Callable[[Mapping[str, Any]], KubeObject] = scheme.decode,
    ) -> K:
        """Stores what `change` makes of the wire form (its own copy), or of it what the sub-resource `part` shows.

        A metadata.resourceVersion or uid that `change` puts in is a precondition. Raises what `change` and `decode`
        raise; both run in the writer's thread.
        """

        def run(tx: Tx) -> Row:
            row = _found(tx, kind, key)
            wire = change(current(row, kind))
            new = decode(wire) if isinstance(wire, Mapping) else None
            if new is None or scheme.gvk(type(new)) != scheme.gvk(kind) or new.metadata.name != key.name:
                raise BadRequest(f"cannot patch {kind.__name__} {key}: the patch may not change kind or name")
            if part == "status":
                return lifecycle.replace_status(tx, row, new, manager)
            return lifecycle.replace(tx, self._site, row, new, manager, part=part)

        return cast(K, served(await self._write(run, dry_run), kind).object)

    async def apply(
        self, obj: Mapping[str, Any], *, manager: str, force: bool = False, dry_run: bool = False
    ) -> KubeObject:
        return (await self.apply_one(obj, manager=manager, force=force, dry_run=dry_run)).object

    async def apply_one(
        self, obj: Mapping[str, Any], *, manager: str, force: bool = False, dry_run: bool = False, part: str = ""
    ) -> Applied:
        """`apply` that also tells whether the object was created; with `part` it is a sub-resource that is applied."""

        def run(tx: Tx) -> Applied:
            return apply(tx, self._site, obj, manager=manager, force=force, part=part)

        return await self._write(run, dry_run)

    async def apply_all(
        self,
        items: Sequence[Mapping[str, Any]],
        *,
        manager: str,
        force: bool = False,
        dry_run: bool = False,
        prune: Mapping[str, str] | None = None,
    ) -> Sequence[Applied]:
        """The whole set in one transaction or nothing of it; results in the order of the items, then the pruned.

        With `prune`, a label selector that may be empty, deletes what `manager` applied before in the namespaces of
        the set and is not in it. Raises one error for all items; its causes say `items[INDEX].FIELD`.
        """

        def run(tx: Tx) -> Sequence[Applied]:
            return apply_all(tx, self._site, items, manager=manager, force=force, prune=prune)

        return await self._write(run, dry_run)

    async def patch_status(self, obj: K, status: Model, *, dry_run: bool = False) -> K:
        def run(tx: Tx) -> Row:
            row = tx.get(type(obj), obj.key)
            if row is None or row.object.metadata.uid != obj.metadata.uid:
                raise not_found(type(obj), obj.metadata.name)
            return lifecycle.set_status(tx, row, status)

        return cast(K, served(await self._write(run, dry_run), type(obj)).object)

    async def delete(
        self,
        obj: KubeObject,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        grace: int | None = None,
    ) -> None:
        def run(tx: Tx) -> None:
            row = tx.get(type(obj), obj.key)
            if row is not None and obj.metadata.uid in (None, row.object.metadata.uid):
                lifecycle.delete(tx, row, propagation=propagation, grace=grace)

        await self._write(run)

    async def remove(
        self,
        kind: type[K],
        key: Key,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        grace: int | None = None,
        uid: str | None = None,
        revision: str | None = None,
        dry_run: bool = False,
    ) -> tuple[K, bool]:
        """Deletes by name: (the object as it was last, whether it is gone). NotFound; Conflict with a precondition."""

        def run(tx: Tx) -> tuple[Row, bool]:
            row = _found(tx, kind, key)
            lifecycle.check(row, uid=uid, revision=revision)
            left = lifecycle.delete(tx, row, propagation=propagation, grace=grace)
            return left or row, left is None

        row, gone = await self._write(run, dry_run)
        return cast(K, served(row, kind).object), gone

    async def connect(self, pod: Key, sub: str, options: Mapping[str, Any]) -> None:
        """Asks policies and webhooks about a stream (exec, attach, portforward). Raises what refuses it, NotFound."""

        def run(tx: Tx) -> None:
            subject = Connect(tx, _found(tx, Pod, pod).object, sub, options)
            policies.review(subject)
            webhooks.review(subject)

        if policies.there(self._store.table) or webhooks.there(self._store.table):
            await self._write(run)

    async def _write(self, run: Callable[[Tx], T], dry_run: bool = False) -> T:
        run = guarded(run, self.decide, dry_run=dry_run)
        if not webhooks.there(self._store.table):
            return await self._store.write(run, dry_run=dry_run)
        return await self._attempt(run, dry_run)

    async def _attempt(self, run: Callable[[Tx], T], dry_run: bool) -> T:
        """Asks webhooks outside of the transaction, and runs it again with what they answered."""
        from orchestr.store.callouts import ask  # TLS and HTTP, which few need

        attempt, who = Attempt(), caller()

        def attempted_(tx: Tx) -> T:
            with attempted(tx, attempt):
                return run(tx)

        async def answer(question: Question) -> None:
            attempt.answers[question.key] = await ask(question, who, self._service, dry_run=dry_run)

        for _ in range(ATTEMPTS):
            try:
                return await self._store.write(attempted_, dry_run=dry_run)
            except Ask as needed:
                async with trio.open_nursery() as nursery:
                    for question in needed.questions:
                        nursery.start_soon(answer, question)
        raise Conflict("the object changes while webhooks are asked about it; please try again")

    def _service(self, namespace: str, name: str, port: int) -> tuple[str, int]:
        """Where a Service answers."""
        row = self.row(Service, Key(namespace, name))
        if row is None:
            raise LookupError(f'service "{name}" not found')
        assert isinstance(row.object, Service)
        spec = row.object.spec
        if port not in {each.port for each in spec.ports} or not spec.cluster_ip or spec.headless:
            raise LookupError(f'no service port {port} found for service "{name}"')
        return spec.cluster_ip, port


def current(row: Row, kind: type[KubeObject]) -> dict[str, Any]:
    """The wire form of a stored object, its own copy; of a custom resource, what its schema knows today."""
    wire: dict[str, Any] = json.loads(served(row, kind).data)
    return kind.pruned(wire)[0] if issubclass(kind, Custom) else wire


def _found(tx: Tx, kind: type[KubeObject], key: Key) -> Row:
    row = tx.get(kind, key)
    if row is None:
        raise not_found(kind, key.name)
    return row


@asynccontextmanager
async def _events(
    cluster: LocalCluster, kind: type[K], namespace: str | None, since: int | None
) -> AsyncIterator[AsyncIterator[WatchEvent[K]]]:
    rows = cluster.rows(kind, namespace=namespace) if since is None else None
    changes = cluster.changes(kind, namespace=namespace, since=rows.revision if rows else since or 0)
    events = _decoded(rows, changes)
    try:
        yield cast(AsyncIterator[WatchEvent[K]], events)
    finally:
        await events.aclose()


async def _decoded(rows: Rows | None, changes: Watcher) -> Any:
    if rows is not None:
        for row in rows.rows:
            yield WatchEvent(EventType.ADDED, row.object, row.revision)
        yield WatchEvent(EventType.BOOKMARK, None, rows.revision)
    async for change in changes:
        yield _event(change)


def _event(change: Change) -> WatchEvent[KubeObject]:
    return WatchEvent(change.type, change.new.object, change.revision)


@asynccontextmanager
async def open_cluster(
    path: str,
    *,
    node: str,
    services4: IPv4Network,
    services6: IPv6Network,
    clock: Callable[[], datetime],
    uid: Callable[[], str],
    chance: Random,
    keep: int = KEEP,
) -> AsyncIterator[LocalCluster]:
    """The cluster in the database at `path`, with the built-in namespaces. Raises StoreError.

    `clock` gives the time in UTC, `uid` a new uid; `keep` is how many revisions a watch can look back.
    """
    site, catalogue = Site(node, services4, services6, uid, chance), Catalogue()

    def decode(kind: str, data: bytes) -> KubeObject:
        if kind not in KINDS:
            return catalogue.decode(kind, data)
        obj = scheme.load(KINDS[kind], data)
        if kind == DEFINITIONS:
            catalogue.learn(obj)
        return obj

    async with open_store(path, decode=decode, clock=clock, claims=claims, keep=keep) as store:
        cluster = LocalCluster(store, site)
        catalogue.load(store.table)
        store.observe(catalogue.changed)
        for obj in bootstrap():
            if await cluster.get(type(obj), obj.key) is None:
                await cluster.create(obj)
        try:
            yield cluster
        finally:
            catalogue.close()
