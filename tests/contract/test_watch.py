"""What every Cluster promises about watches."""

from collections.abc import AsyncIterator

from orchestr.api.base import Key, ObjectMeta
from orchestr.api.core import ConfigMap, Namespace
from orchestr.engine import Cluster, EventType, WatchEvent

Told = tuple[EventType, str]


def config(name: str, namespace: str = "default", **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data=data)


async def take(events: AsyncIterator[WatchEvent[ConfigMap]], number: int) -> list[WatchEvent[ConfigMap]]:
    return [await anext(events) for _ in range(number)]


def told(events: list[WatchEvent[ConfigMap]]) -> list[Told]:
    return [(event.type, event.object.metadata.name if event.object else "") for event in events]


async def test_what_exists_then_a_bookmark_then_every_change_in_order(cluster: Cluster) -> None:
    first = await cluster.create(config("a"))
    async with cluster.watch(ConfigMap) as events:
        assert told(await take(events, 2)) == [(EventType.ADDED, "a"), (EventType.BOOKMARK, "")]
        await cluster.create(config("b"))
        await cluster.update(first.but(data={"k": "v"}))
        await cluster.delete(first)
        got = await take(events, 3)
    assert told(got) == [(EventType.ADDED, "b"), (EventType.MODIFIED, "a"), (EventType.DELETED, "a")]
    assert [event.revision for event in got] == sorted({event.revision for event in got})
    last = got[-1].object
    assert last is not None
    assert last.data == {"k": "v"}
    assert last.metadata.resource_version == str(got[-1].revision)


async def test_since_tells_only_what_came_later(cluster: Cluster) -> None:
    first = await cluster.create(config("a"))
    await cluster.create(config("b"))
    async with cluster.watch(ConfigMap, since=int(first.metadata.resource_version or 0)) as events:
        assert told(await take(events, 1)) == [(EventType.ADDED, "b")]


async def test_a_watch_of_one_namespace_tells_nothing_of_others(cluster: Cluster) -> None:
    await cluster.create(Namespace(metadata=ObjectMeta(name="other")))
    await cluster.create(config("a", "other"))
    async with cluster.watch(ConfigMap, namespace="other") as events:
        await take(events, 2)
        await cluster.create(config("b"))
        await cluster.create(config("c", "other"))
        assert told(await take(events, 1)) == [(EventType.ADDED, "c")]


async def test_a_write_that_changes_nothing_makes_no_event(cluster: Cluster) -> None:
    await cluster.create(config("a", k="v"))
    async with cluster.watch(ConfigMap) as events:
        await take(events, 2)
        await cluster.patch(ConfigMap, Key("default", "a"), {"data": {"k": "v"}})
        await cluster.create(config("b"))
        assert told(await take(events, 1)) == [(EventType.ADDED, "b")]
