"""Random concurrent histories through HTTP against a model: a dict that every acknowledged write changes in its turn.

The revisions that the answers bear put all writes into one order. Replayed in that order, each must have answered what
the dict then holds, and a watcher must have been told of exactly these; any other watcher's view, whatever it selects
and whenever it began, must end as what is stored. ORCH_MODEL_SECONDS=1200 goes on for so long.
"""

import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import h11
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.daemon import Daemon, daemon

MAPS = "/api/v1/namespaces/default/configmaps"
NAMES = ("a", "b", "c")
VERBS = ("create", "replace", "stale", "merge", "json", "apply", "delete", "sweep", "watch", "select", "pages")
MEDIA = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}
REFUSED = (404, 409, 422)  # another was faster
Data = dict[str, str]
State = dict[str, Data]


class Step(NamedTuple):
    verb: str
    name: str
    value: str


steps = st.lists(
    st.builds(Step, st.sampled_from(VERBS), st.sampled_from(NAMES), st.sampled_from(("0", "1", "2"))), max_size=25
)


class Http:
    """One kept-alive connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream, self._state = stream, h11.Connection(h11.CLIENT)

    async def ask(self, method: str, path: str, body: Any = None, media: str = "application/json") -> tuple[int, Any]:
        data = b"" if body is None else json.dumps(body).encode()
        await self.send(method, path, data, media)
        status, text = (await self._event()).status_code, b""
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            text += event.data
        self._state.start_next_cycle()
        return status, json.loads(text)

    async def send(self, method: str, path: str, data: bytes, media: str = "application/json") -> None:
        headers = [("host", "x"), ("content-type", media), ("content-length", str(len(data)))]
        sent = [h11.Request(method=method, target=path, headers=headers), h11.Data(data=data), h11.EndOfMessage()]
        await self._stream.send_all(b"".join(self._state.send(event) or b"" for event in sent))

    async def began(self) -> None:
        assert (await self._event()).status_code == 200

    async def lines(self) -> AsyncIterator[Any]:
        """The lines of an answer that does not end."""
        rest = b""
        while isinstance(event := await self._event(), h11.Data):
            *whole, rest = (rest + bytes(event.data)).split(b"\n")
            for line in whole:
                yield json.loads(line)

    async def _event(self) -> Any:
        while (event := self._state.next_event()) is h11.NEED_DATA:
            self._state.receive_data(await self._stream.receive_some())
        return event


def changed(state: Data | None, step: Step) -> Data | None:
    """What a write makes of an object's data; None when there is none any more. The model."""
    match step.verb:
        case "create" | "replace" | "stale":
            return {"v": step.value}
        case "merge":
            return {**(state or {}), "m": step.value}
        case "json":
            return {**(state or {}), "j": step.value}
        case "apply":
            return {**(state or {}), "s": step.value}
    return None


@dataclass
class View:
    """What a watcher has been told."""

    state: State = field(default_factory=dict)
    events: list[tuple[int, str, str, Data]] = field(default_factory=list)  # revision, type, name, data

    def take(self, event: dict[str, Any]) -> None:
        type_, obj = event["type"], event["object"]
        name, data = obj["metadata"]["name"], obj.get("data", {})
        revision = int(obj["metadata"]["resourceVersion"])
        assert not self.events or type_ == "ADDED" or revision > self.events[-1][0]
        if type_ == "DELETED":
            del self.state[name]
        else:
            assert (type_ == "ADDED") == (name not in self.state)
            self.state[name] = data
        self.events.append((revision, type_, name, data))


@dataclass
class History:
    served: Daemon
    answers: dict[int, list[Step]] = field(default_factory=dict)  # by revision: one write, and those that left it so
    data: dict[int, Data] = field(default_factory=dict)  # by revision: what all of these answered
    views: list[tuple[str, View]] = field(default_factory=list)  # value that is selected ("" all), view

    async def work(self, todo: list[Step], watchers: trio.Nursery) -> None:
        async with await trio.open_unix_socket(self.served.socket) as stream:
            http = Http(stream)
            for step in todo:
                if step.verb in ("watch", "select"):
                    await self.begin(watchers, step.value if step.verb == "select" else "", listed=step.value == "1")
                elif step.verb == "pages":
                    await paged(http)
                else:
                    await self.act(http, step)

    async def act(self, http: Http, step: Step) -> None:
        code, answer = await sent(http, step)
        if code in REFUSED:
            return
        assert code in (200, 201), answer
        if step.verb in ("delete", "sweep"):
            return
        revision, data = int(answer["metadata"]["resourceVersion"]), answer.get("data", {})
        self.answers.setdefault(revision, []).append(step)
        assert self.data.setdefault(revision, data) == data

    async def begin(self, watchers: trio.Nursery, value: str, *, listed: bool) -> View:
        view = View()
        self.views.append((value, view))
        await watchers.start(self.follow, view, value, listed)
        return view

    async def follow(self, view: View, value: str, listed: bool, task_status: trio.TaskStatus[None]) -> None:
        """Until it is told of the last object that it can see."""
        selector = f"&labelSelector=v%3D{value}" if value else ""
        async with await trio.open_unix_socket(self.served.socket) as stream:
            http, since = Http(stream), "0"
            if listed:
                _, found = await http.ask("GET", f"{MAPS}?limit=500{selector}")
                since = found["metadata"]["resourceVersion"]
                view.state = {each["metadata"]["name"]: each.get("data", {}) for each in found["items"]}
            await http.send("GET", f"{MAPS}?watch=true&resourceVersion={since}{selector}", b"")
            await http.began()
            task_status.started()
            async with aclosing(http.lines()) as events:
                async for event in events:
                    view.take(event)
                    if event["object"]["metadata"]["name"] == (f"end{value}" if value else "last"):
                        return


async def sent(http: Http, step: Step) -> tuple[int, Any]:
    path, data = f"{MAPS}/{step.name}", {"v": step.value}
    obj = {"metadata": {"name": step.name, "labels": data}, "data": data}
    match step.verb:
        case "create":
            return await http.ask("POST", MAPS, obj)
        case "replace":
            return await http.ask("PUT", path, obj)
        case "stale":
            code, seen = await http.ask("GET", path)
            if code != 200:
                return code, seen
            obj["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"]  # type: ignore[assignment]
            return await http.ask("PUT", path, obj)
        case "merge":
            return await http.ask("PATCH", path, {"data": {"m": step.value}}, MEDIA["merge"])
        case "json":
            steps = [{"op": "add", "path": "/data/j", "value": step.value}]
            return await http.ask("PATCH", path, steps, MEDIA["json"])
        case "apply":
            body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"s": step.value}}
            return await http.ask("PATCH", f"{path}?fieldManager=m&force=true", body, MEDIA["apply"])
        case "delete":
            return await http.ask("DELETE", path)
    return await http.ask("DELETE", f"{MAPS}?labelSelector=v%3D{step.value}")


async def paged(http: Http) -> None:
    """A list in pieces of one: in order, and no object twice."""
    names: list[str] = []
    token = ""
    while True:
        code, piece = await http.ask("GET", f"{MAPS}?limit=1&continue={token}")
        assert code == 200, piece
        names += [each["metadata"]["name"] for each in piece["items"]]
        token = piece["metadata"].get("continue", "")
        if not token:
            break
    assert names == sorted(set(names))


def replayed(history: History, whole: View) -> State:
    """The writes in the order of their revisions; every answer, and every event of the whole view, must fit."""
    state: State = {}
    for revision, type_, name, data in whole.events:
        if type_ == "DELETED":
            del state[name]
            continue
        found, answered = history.answers.pop(revision), history.data.pop(revision)
        assert answered == data
        assert {step.name for step in found} == {name}
        writers = [step for step in found if changed(state.get(name), step) == data]
        assert writers, (found, state.get(name), data)
        assert name not in state or any(step.verb != "create" for step in writers)
        for step in found:
            assert step in writers or changed(data, step) == data, (step, data)
        state[name] = data
    assert not history.answers, f"acknowledged, but no watcher was told: {history.answers}"
    return state


async def run(workers: list[list[Step]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with daemon(directory) as served:
            history = History(served)
            async with trio.open_nursery() as watchers:
                whole = await history.begin(watchers, "", listed=False)
                async with trio.open_nursery() as working:
                    for todo in workers:
                        working.start_soon(history.work, todo, watchers)
                async with await trio.open_unix_socket(served.socket) as stream:
                    http = Http(stream)
                    for value in ("0", "1", "2"):
                        await history.act(http, Step("create", f"end{value}", value))
                    await history.act(http, Step("create", "last", "9"))
                    _, found = await http.ask("GET", MAPS)
            stored = {each["metadata"]["name"]: each for each in found["items"]}
            data = {name: each.get("data", {}) for name, each in stored.items()}
            assert replayed(history, whole) == data
            for value, view in history.views:
                assert view.state == dict(selected(stored, value))


def selected(stored: dict[str, Any], value: str) -> Iterator[tuple[str, Data]]:
    for name, each in stored.items():
        if not value or each["metadata"].get("labels", {}).get("v") == value:
            yield name, each.get("data", {})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=4))
def test_all_answers_and_views_fit_one_order_of_the_writes(workers: list[list[Step]]) -> None:
    trio.run(run, workers)


@pytest.mark.skipif("ORCH_MODEL_SECONDS" not in os.environ, reason="for a long time; only when asked to")
@pytest.mark.timeout(0)
def test_for_long() -> None:
    ends = time.monotonic() + float(os.environ["ORCH_MODEL_SECONDS"])
    number = 0

    @settings(max_examples=500, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, min_size=1, max_size=5))
    def histories(workers: list[list[Step]]) -> None:
        nonlocal number
        if time.monotonic() < ends:
            number += 1
            trio.run(run, workers)

    while time.monotonic() < ends:
        histories()
    print(f"{number} histories")
