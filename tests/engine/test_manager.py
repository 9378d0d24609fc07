from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from orchestr.api.base import Key, ObjectMeta
from orchestr.api.config import ConfigMap, Secret
from orchestr.api.errors import Conflict, Forbidden, NotFound
from orchestr.api.event import Event
from orchestr.engine import After, ControllerCluster, Hopeless, Related, Watches, registry
from orchestr.engine.manager import Manager
from tests.engine.fake import FakeCluster, eventually, virtual_clock

Reconcile = Callable[[ControllerCluster, Key], Awaitable[After | None]]


def config(name: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="ns"))


@asynccontextmanager
async def managed(cluster: FakeCluster, controllers: Mapping[str, Reconcile], **watches: Any) -> AsyncIterator[Manager]:
    modules: Any = {
        name: SimpleNamespace(WATCHES=Watches(ConfigMap, **watches), reconcile=reconcile)
        for name, reconcile in controllers.items()
    }
    manager = Manager(cluster, modules, clock=virtual_clock, chance=lambda: 0, detect=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(manager.run)
        yield manager
        manager.verify()
        nursery.cancel_scope.cancel()


async def test_a_controller_that_raises_is_retried_reported_and_harms_no_other(autojump_clock: MockClock) -> None:
    cluster, tries, fine = FakeCluster(), [], []

    async def bad(cluster: ControllerCluster, key: Key) -> None:
        tries.append(trio.current_time())
        if len(tries) < 4:
            raise RuntimeError("boom")

    async def good(cluster: ControllerCluster, key: Key) -> None:
        fine.append(key)

    await cluster.create(config("a"))
    async with managed(cluster, {"bad": bad, "good": good}) as manager:
        await eventually(lambda: len(tries) == 4 and cluster.of(Event) and cluster.of(Event)[0].count == 3)
        assert [round(b - a, 3) for a, b in pairwise(tries)] == [0.005, 0.01, 0.02]
        assert fine == [Key("ns", "a")]
        event = cluster.of(Event)[0]
        assert (event.count, event.type, event.reason) == (3, "Warning", "FailedReconcile")
        assert "boom" in event.message
        assert (manager.metrics["bad"].failures, manager.metrics["bad"].runs) == (3, 4)


async def test_hopeless_is_reported_and_waits_for_a_change(autojump_clock: MockClock) -> None:
    cluster, runs = FakeCluster(), []

    async def reconcile(cluster: ControllerCluster, key: Key) -> None:
        runs.append(key)
        raise Hopeless("no such thing")

    await cluster.create(config("a"))
    async with managed(cluster, {"x": reconcile}):
        await eventually(lambda: cluster.of(Event))
        await trio.sleep(1000)
        assert len(runs) == 1
        await cluster.patch(ConfigMap, Key("ns", "a"), {"data": {"v": "1"}})
        await eventually(lambda: len(runs) == 2)


async def test_after_runs_again_and_idle_is_idle(autojump_clock: MockClock) -> None:
    cluster, runs = FakeCluster(), []

    async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
        runs.append(trio.current_time())
        return After(30) if len(runs) == 1 else None

    await cluster.create(config("a"))
    async with managed(cluster, {"x": reconcile}) as manager:
        await eventually(lambda: len(runs) == 2)
        assert runs[1] - runs[0] == pytest.approx(30)
        await trio.sleep(10_000)
        assert len(runs) == 2
        assert manager.idle


@pytest.mark.parametrize("error", [Conflict("raced"), NotFound("deleted meanwhile")])
async def test_a_race_is_retried_quietly(error: Exception, autojump_clock: MockClock) -> None:
    cluster, runs = FakeCluster(), []

    async def reconcile(cluster: ControllerCluster, key: Key) -> None:
        runs.append(key)
        if len(runs) == 1:
            raise error

    await cluster.create(config("a"))
    async with managed(cluster, {"x": reconcile}) as manager:
        await eventually(lambda: len(runs) == 2)
        await trio.sleep(10)
        assert cluster.of(Event) == []
        assert manager.metrics["x"].conflicts == 1


async def test_a_run_waits_until_its_predecessors_writes_are_seen(autojump_clock: MockClock) -> None:
    cluster, seen = FakeCluster(), []

    async def reconcile(cluster: ControllerCluster, key: Key) -> None:
        secrets = await cluster.list(Secret, namespace="ns")
        seen.append(len(secrets))
        if not secrets:
            await cluster.create(Secret(metadata=ObjectMeta(name="s", namespace="ns")))

    await cluster.create(config("a"))
    cluster.hold(Secret)
    async with managed(cluster, {"x": reconcile}, reads=(Secret,)):
        await eventually(lambda: cluster.of(Secret))
        await cluster.patch(ConfigMap, Key("ns", "a"), {"data": {"v": "1"}})
        await wait_all_tasks_blocked()
        assert seen == [0]
        cluster.release(Secret)
        await eventually(lambda: len(seen) == 2)
        assert seen == [0, 1]


async def test_a_deletion_that_is_not_seen_holds_up_the_next_run_but_not_for_ever(autojump_clock: MockClock) -> None:
    cluster, seen = FakeCluster(), []
    secret = await cluster.create(Secret(metadata=ObjectMeta(name="s", namespace="ns")))

    async def reconcile(cluster: ControllerCluster, key: Key) -> None:
        seen.append(trio.current_time())
        await cluster.delete(secret)

    await cluster.create(config("a"))
    async with managed(cluster, {"x": reconcile}, reads=(Secret,)):
        cluster.hold(Secret)
        await eventually(lambda: not cluster.of(Secret))
        await cluster.patch(ConfigMap, Key("ns", "a"), {"data": {"v": "1"}})
        await eventually(lambda: len(seen) == 2)
        assert seen[1] - seen[0] == pytest.approx(5, abs=0.1)


async def test_the_first_refusal_stops_a_batch(autojump_clock: MockClock) -> None:
    cluster, errors = FakeCluster(), []
    cluster.before_create = _room_for(cluster, 3)

    async def reconcile(cluster: ControllerCluster, key: Key) -> None:
        try:
            await cluster.create_all([Secret(metadata=ObjectMeta(name=f"s{i}", namespace="ns")) for i in range(50)])
        except Forbidden as error:
            errors.append(str(error))

    await cluster.create(config("a"))
    async with managed(cluster, {"x": reconcile}, reads=(Secret,)):
        await eventually(lambda: errors)
        assert len(cluster.of(Secret)) == 3
        assert cluster.tries == 1 + 2 + 4  # type: ignore[attr-defined]


def _room_for(cluster: FakeCluster, room: int) -> Callable[[Any], None]:
    cluster.tries = 0  # type: ignore[attr-defined]

    def check(obj: Any) -> None:
        if isinstance(obj, Secret):
            cluster.tries += 1  # type: ignore[attr-defined]
            if len(cluster.of(Secret)) >= room:
                raise Forbidden("exceeded quota")

    return check


async def test_a_kind_that_is_not_served_holds_up_only_who_watches_it(autojump_clock: MockClock) -> None:
    cluster, fine, stuck = FakeCluster(), [], []
    watch = cluster.watch

    def unserved(kind: Any, **options: Any) -> Any:
        if kind is Secret:
            raise LookupError("no such kind")
        return watch(kind, **options)

    async def good(cluster: ControllerCluster, key: Key) -> None:
        fine.append(key)

    async def needs(cluster: ControllerCluster, key: Key) -> None:
        stuck.append(key)

    cluster.watch = unserved  # type: ignore[method-assign]
    await cluster.create(config("a"))
    modules: Any = {
        "good": SimpleNamespace(WATCHES=Watches(ConfigMap), reconcile=good),
        "needs": SimpleNamespace(WATCHES=Watches(ConfigMap, reads=(Secret,)), reconcile=needs),
    }
    with trio.move_on_after(100):
        await Manager(cluster, modules, clock=virtual_clock).run()
    assert (fine, stuck) == ([Key("ns", "a")], [])


def test_a_controller_that_cannot_be_loaded_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ImportError("no module")

    good = SimpleNamespace(WATCHES=None, reconcile=None)
    points = [
        SimpleNamespace(name="broken", value="x", load=broken),
        SimpleNamespace(name="empty", value="y", load=SimpleNamespace),
        SimpleNamespace(name="good", value="z", load=lambda: good),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    assert registry.controllers() == {"good": good}


async def test_a_related_that_raises_stops_nobody(autojump_clock: MockClock) -> None:
    cluster, runs = FakeCluster(), []

    async def reconcile(cluster: ControllerCluster, key: Key) -> None:
        runs.append(key)

    def keys(obj: Any, index: Any) -> list[Key]:
        raise RuntimeError("boom")

    async with managed(cluster, {"x": reconcile}, related=(Related(Secret, keys),)):
        await cluster.create(Secret(metadata=ObjectMeta(name="s", namespace="ns")))
        await cluster.create(config("a"))
        await eventually(lambda: runs)
