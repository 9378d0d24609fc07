"""Random concurrent histories against a model: what the calls returned, what is stored, what watchers were told."""

import sqlite3
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr.api.base import ObjectMeta
from orchestr.api.core import ConfigMap
from orchestr.api.errors import AlreadyExists, Conflict, NotFound
from orchestr.engine import EventType, WatchEvent
from orchestr.store import LocalCluster
from tests.contract.clusters import local

NAMES = ("a", "b", "c")
steps = st.lists(
    st.tuples(
        st.sampled_from(["create", "update", "stale", "patch", "delete", "apply", "watch"]),
        st.sampled_from(NAMES),
        st.integers(0, 3),
    ),
    max_size=30,
)
State = dict[str, tuple[str, dict[str, str]]]  # name -> (resourceVersion, data)


@dataclass
class View:
    """What a watcher knows: replaying its events must give the stored state."""

    state: State = field(default_factory=dict)
    revision: int = 0

    def take(self, event: WatchEvent[ConfigMap]) -> None:
        obj = event.object
        if obj is None:
            self.revision = max(self.revision, event.revision)
            return
        name = obj.metadata.name
        if event.type is EventType.DELETED:
            assert name in self.state
            del self.state[name]
        else:
            assert (event.type is EventType.ADDED) == (name not in self.state)
            self.state[name] = (str(event.revision), dict(obj.data))
        assert obj.metadata.resource_version == str(event.revision)
        self.revision = max(self.revision, event.revision)


async def act(cluster: LocalCluster, what: str, name: str, value: int) -> None:
    obj = ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"v": str(value)})
    try:
        match what:
            case "create":
                made = await cluster.create(obj)
                assert made.data == obj.data
            case "update":
                assert (await cluster.update(obj)).data == obj.data
            case "stale":
                seen = await cluster.get(ConfigMap, obj.key)
                if seen is not None:
                    await trio.lowlevel.checkpoint()
                    await cluster.update(seen.but(data=obj.data))
            case "patch":
                assert (await cluster.patch(ConfigMap, obj.key, {"data": {"w": str(value)}})).data["w"] == str(value)
            case "apply":
                wire = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": str(value)}}
                await cluster.apply(wire, manager="m", force=True)
            case "delete":
                await cluster.delete(obj)
    except (AlreadyExists, NotFound, Conflict):
        pass


async def follow(cluster: LocalCluster, view: View) -> None:
    """Until it is told of the object that is created last."""
    async with cluster.watch(ConfigMap) as events:
        async for event in events:
            view.take(event)
            if "last" in view.state:
                return


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=4))
def test_every_view_replays_to_the_stored_state(workers: list[list[tuple[str, str, int]]]) -> None:
    trio.run(_history, workers)


async def _history(workers: list[list[tuple[str, str, int]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with local(Path(directory)) as cluster:
            views = [View()]

            async def work(todo: list[tuple[str, str, int]], watchers: trio.Nursery) -> None:
                for what, name, value in todo:
                    if what == "watch":
                        views.append(View())
                        watchers.start_soon(follow, cluster, views[-1])
                    else:
                        await act(cluster, what, name, value)

            async with trio.open_nursery() as watchers:
                watchers.start_soon(follow, cluster, views[0])
                async with trio.open_nursery() as working:
                    for todo in workers:
                        working.start_soon(work, todo, watchers)
                last = ConfigMap(metadata=ObjectMeta(name="last", namespace="default"))
                await cluster.create(last)
            state = stored(await cluster.list(ConfigMap))
            for view in views:
                assert view.state == state
        assert on_disk(Path(directory)) == state


def stored(objects: Iterable[ConfigMap]) -> State:
    return {each.metadata.name: (each.metadata.resource_version or "", dict(each.data)) for each in objects}


def on_disk(directory: Path) -> State:
    connection = sqlite3.connect(directory / "orch.db")
    rows = connection.execute("SELECT data FROM objects WHERE kind='configmaps'").fetchall()
    connection.close()
    return stored(ConfigMap.model_validate_json(data) for (data,) in rows)


@settings(max_examples=60, deadline=None)
@given(steps.map(lambda found: [step for step in found if step[0] != "watch"]))
def test_one_after_another_they_do_what_a_dict_does(todo: list[tuple[str, str, int]]) -> None:
    trio.run(_sequential, todo)


async def _sequential(todo: list[tuple[str, str, int]]) -> None:
    model: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as directory:
        async with local(Path(directory)) as cluster:
            for what, name, value in todo:
                before = cluster.revision
                await act(cluster, what, name, value)
                was = {key: dict(data) for key, data in model.items()}
                predict(model, what, name, str(value))
                now = {each.metadata.name: dict(each.data) for each in await cluster.list(ConfigMap)}
                assert now == model
                if what != "apply":  # which may change managedFields alone
                    assert (cluster.revision == before) == (was == model)


def predict(model: dict[str, dict[str, str]], what: str, name: str, value: str) -> None:
    there = name in model
    if (what == "create" and not there) or (what in ("update", "stale") and there):
        model[name] = {"v": value}
    elif what == "patch" and there:
        model[name]["w"] = value
    elif what == "apply":
        model.setdefault(name, {})["x"] = value
    elif what == "delete":
        model.pop(name, None)
