"""RemoteCluster: the Cluster seam over HTTP, to our daemon or to any Kubernetes API server."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from orchestr.api.base import Key, KubeObject, Model
from orchestr.api.errors import BadRequest, Conflict, NotFound, from_status
from orchestr.api.scheme import kind_of, load
from orchestr.client.paths import Address, address, path, with_query
from orchestr.client.pool import Lost, Pool
from orchestr.client.sync import APPLY_PATCH, MERGE_PATCH, STRICT
from orchestr.engine.cluster import EventType, Propagation, WatchEvent

K = TypeVar("K", bound=KubeObject)


def at(kind: type[KubeObject], key: Key | None = None, *, namespace: str | None = None, sub: str = "") -> str:
    """The path of an object, or of a collection."""
    where = key.namespace if key else namespace
    inside = where if kind.NAMESPACED else None
    return path(kind.PLURAL, inside, key.name if key else "", group=kind.GROUP, version=kind.VERSION, sub=sub)


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


class RemoteCluster:
    """Use as an async context manager: it keeps connections."""

    def __init__(self, host: str | Address) -> None:
        """`host`: a socket's path, a URL (ValueError else), or an Address such as kubeconfig.load gives."""
        self._pool = Pool(address(host))

    async def __aenter__(self) -> "RemoteCluster":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._pool.__aexit__(*exc)

    async def get(self, kind: type[K], key: Key) -> K | None:
        try:
            return load(kind, await self._pool.request("GET", at(kind, key)))
        except NotFound:
            return None

    async def list(
        self,
        kind: type[K],
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        owner: KubeObject | None = None,
    ) -> Sequence[K]:
        items, _ = await self._list(kind, namespace, labels)
        if owner is None:
            return items
        return [each for each in items if (ref := each.metadata.controller) and ref.uid == owner.metadata.uid]

    async def _list(
        self, kind: type[K], namespace: str | None, labels: Mapping[str, str] | None = None
    ) -> tuple[Sequence[K], int]:
        selector = ",".join(f"{name}={value}" for name, value in (labels or {}).items()) or None
        target = with_query(at(kind, namespace=namespace), {"labelSelector": selector})
        data = json.loads(await self._pool.request("GET", target))
        # An API server leaves kind and apiVersion out of the items of a typed list; the models have them as defaults.
        items = [kind.model_validate_json(_json(item)) for item in data["items"]]
        return items, int(data["metadata"].get("resourceVersion") or 0)  # what is measured has none

    @asynccontextmanager
    async def watch(
        self, kind: type[K], *, namespace: str | None = None, since: int | None = None
    ) -> AsyncIterator[AsyncIterator[WatchEvent[K]]]:
        events = self._events(kind, namespace, since)
        try:
            yield events
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    async def _events(self, kind: type[K], namespace: str | None, since: int | None) -> AsyncIterator[WatchEvent[K]]:
        """Goes on with a new request where the server ended the last one: it ends every watch some time."""
        if since is None:
            items, since = await self._list(kind, namespace)
            for item in items:
                yield WatchEvent(EventType.ADDED, item, int(item.metadata.resource_version or 0))
            yield WatchEvent(EventType.BOOKMARK, None, since)
        while True:
            query = {"watch": True, "allowWatchBookmarks": True, "resourceVersion": since}
            try:
                async with self._pool.lines(with_query(at(kind, namespace=namespace), query)) as lines:
                    async for line in lines:
                        event = _event(kind, line)
                        since = event.revision
                        if event.object is not None:
                            yield event
            except Lost:
                continue

    async def create(self, obj: K) -> K:
        target = at(type(obj), namespace=obj.metadata.namespace)
        return load(type(obj), await self._pool.request("POST", target, obj.canonical()))

    async def update(self, obj: K) -> K:
        return load(type(obj), await self._pool.request("PUT", at(type(obj), obj.key), obj.canonical()))

    async def patch(self, kind: type[K], key: Key, patch: Mapping[str, Any]) -> K:
        target = with_query(at(kind, key), STRICT)
        return load(kind, await self._pool.request("PATCH", target, _json(patch), MERGE_PATCH))

    async def apply(self, obj: Mapping[str, Any], *, manager: str, force: bool = False) -> KubeObject:
        kind = kind_of(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))
        metadata = obj.get("metadata") or {}
        if not metadata.get("name"):
            raise BadRequest(f"cannot apply {kind.__name__}: no name (give metadata.name)")
        key = Key(metadata.get("namespace") or ("default" if kind.NAMESPACED else ""), metadata["name"])
        target = with_query(at(kind, key), {"fieldManager": manager, "force": force or None})
        return load(kind, await self._pool.request("PATCH", target, _json(obj), APPLY_PATCH))

    async def patch_status(self, obj: K, status: Model) -> K:
        metadata = obj.metadata.but(resource_version=None)  # unconditional, but for the uid
        body = obj.but(metadata=metadata, status=status).canonical()
        try:
            return load(type(obj), await self._pool.request("PUT", at(type(obj), obj.key, sub="status"), body))
        except Conflict as error:  # another object of this name: the one that was meant is gone
            raise NotFound(error.message, details=error.details) from error

    async def delete(
        self,
        obj: KubeObject,
        *,
        propagation: Propagation = Propagation.BACKGROUND,
        grace: int | None = None,
    ) -> None:
        options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": str(propagation)}
        options["preconditions"] = {"uid": obj.metadata.uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            await self._pool.request("DELETE", at(type(obj), obj.key), _json(options))
        except (NotFound, Conflict):
            return  # gone, or another object by now


def _event(kind: type[K], line: bytes) -> WatchEvent[K]:
    data = json.loads(line)
    if data["type"] == "ERROR":
        raise from_status(data["object"], int(data["object"].get("code", 500)))
    type_ = EventType(data["type"])
    revision = int(data["object"]["metadata"]["resourceVersion"])
    if type_ is EventType.BOOKMARK:
        return WatchEvent(type_, None, revision)
    return WatchEvent(type_, kind.model_validate_json(_json(data["object"])), revision)
