from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from orchestr.api.base import Key, ObjectMeta
from orchestr.api.config import ConfigMap
from orchestr.engine.cache import Cache, MutationDetected
from orchestr.engine.informer import Informer
from tests.engine.fake import FakeCluster, eventually

Seen = list[tuple[str | None, str | None]]


def config(name: str, value: str = "", namespace: str = "ns") -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace, labels={"app": value}), data={"v": value})


@pytest.fixture
def seen() -> Seen:
    return []


@pytest.fixture
async def informer(cluster: FakeCluster, seen: Seen) -> AsyncIterator[Informer[ConfigMap]]:
    await cluster.create(config("a", "1"))
    informer = Informer(cluster, ConfigMap, detect=True)
    informer.add_handler(lambda old, new: seen.append((old and old.data["v"], new and new.data["v"])))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(informer.run)
        await informer.synced.wait()
        yield informer
        nursery.cancel_scope.cancel()


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


async def test_handlers_get_old_and_new(
    autojump_clock: MockClock, cluster: FakeCluster, informer: Informer[ConfigMap], seen: Seen
) -> None:
    await cluster.update(config("a", "2").but(metadata=cluster.of(ConfigMap)[0].metadata))
    await cluster.delete(cluster.of(ConfigMap)[0])
    await eventually(lambda: len(seen) == 3)
    assert seen == [(None, "1"), ("1", "2"), ("2", None)]
    assert len(informer.cache) == 0


async def test_after_expiry_it_lists_anew_and_tells_the_differences_only(autojump_clock: MockClock, seen: Seen) -> None:
    cluster = FakeCluster()
    for name in ("kept", "gone"):
        await cluster.create(config(name, name))
    informer = Informer(cluster, ConfigMap)
    informer.add_handler(lambda old, new: seen.append((old and old.data["v"], new and new.data["v"])))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(informer.run)
        await informer.synced.wait()
        cluster.hold(ConfigMap)
        seen.clear()
        await cluster.delete(cluster.objects[ConfigMap][Key("ns", "gone")])
        await cluster.create(config("new", "new"))
        cluster.expire()
        await eventually(lambda: len(seen) == 2)
        assert seen == [("gone", None), (None, "new")]
        assert informer.cache.keys() == {Key("ns", "kept"), Key("ns", "new")}
        nursery.cancel_scope.cancel()


async def test_a_failing_watch_is_resumed_without_loss(autojump_clock: MockClock, seen: Seen) -> None:
    cluster = FakeCluster()
    watch, failures = cluster.watch, iter([OSError("reset"), ValueError("not decodable")])

    def failing(kind: Any, **options: Any) -> Any:
        if (error := next(failures, None)) is not None:
            raise error
        return watch(kind, **options)

    cluster.watch = failing  # type: ignore[method-assign]
    informer = Informer(cluster, ConfigMap)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(informer.run)
        await cluster.create(config("a"))
        await informer.synced.wait()
        assert len(informer.cache) == 1
        nursery.cancel_scope.cancel()


def test_lists_use_every_filter() -> None:
    cache: Cache[ConfigMap] = Cache()
    for namespace in ("x", "y"):
        for value in ("1", "2"):
            cache.put(config(f"c{value}", value, namespace))
    assert [obj.key for obj in cache.list(namespace="y", labels={"app": "2"})] == [Key("y", "c2")]
    cache.put(config("c2", "1", "y"))
    assert cache.list(namespace="y", labels={"app": "2"}) == []
    assert len(cache.list(labels={"app": "1"})) == 3
    cache.remove(Key("y", "c2"))
    assert len(cache.list()) == 3
    assert cache.list(owner="nobody") == []


def test_an_index_of_ones_own_follows_changes() -> None:
    cache: Cache[ConfigMap] = Cache()
    cache.put(config("a", "1"))
    cache.add_index("value", lambda obj: obj.data.values())
    cache.put(config("a", "2"))
    assert cache.by("value", "1") == []
    assert [obj.metadata.name for obj in cache.by("value", "2")] == ["a"]


def test_a_changed_object_is_detected() -> None:
    cache: Cache[ConfigMap] = Cache(detect=True)
    obj = config("a")
    cache.put(obj)
    cache.verify()
    obj.data["v"] = "changed"  # type: ignore[index]
    with pytest.raises(MutationDetected, match="configmap/a"):
        cache.verify()


async def test_a_watch_that_ends_at_once_is_not_tried_in_a_busy_loop(autojump_clock: MockClock) -> None:
    cluster, tries = FakeCluster(), []

    @asynccontextmanager
    async def closing(kind: Any, **options: Any) -> AsyncIterator[AsyncIterator[Any]]:
        tries.append(trio.current_time())

        async def nothing() -> AsyncIterator[Any]:
            for event in ():
                yield event

        yield nothing()

    cluster.watch = closing  # type: ignore[method-assign,assignment]
    with trio.move_on_after(100):
        await Informer(cluster, ConfigMap).run()
    assert 10 < len(tries) < 40
