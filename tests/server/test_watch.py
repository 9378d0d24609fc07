"""Watches over the socket: nothing skipped, resumed where they ended, refused when too old, harmless when slow."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from orchestr.api.base import Key
from orchestr.api.core import ConfigMap
from tests.server.daemon import Daemon, config_map

MAPS = "/api/v1/namespaces/default/configmaps"


class Lines:
    """The chunked lines of a watch."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream, self.data, self.ended = stream, b"", False

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self.data:
            with trio.fail_after(10):
                more = await self.stream.receive_some()
            assert more, "the connection ended"
            self.data += more
        found, _, self.data = self.data.partition(mark)
        return found

    async def head(self) -> int:
        return int((await self._until(b"\r\n\r\n")).split()[1])

    async def chunk(self) -> list[Any]:
        size = int(await self._until(b"\r\n"), 16)
        while len(self.data) < size + 2:
            self.data += await self.stream.receive_some()
        body, self.data = self.data[:size], self.data[size + 2 :]
        self.ended = size == 0
        return [json.loads(line) for line in body.splitlines()]

    async def events(self, count: int) -> list[tuple[str, str]]:
        found: list[Any] = []
        while len(found) < count:
            found += await self.chunk()
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in found]


@asynccontextmanager
async def watching(served: Daemon, query: str, path: str = MAPS) -> AsyncIterator[Lines]:
    async with await trio.open_unix_socket(served.socket) as stream:
        await stream.send_all(f"GET {path}?watch=true&{query} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        lines = Lines(stream)
        assert await lines.head() == 200
        yield lines


async def test_lists_first_then_follows(served: Daemon) -> None:
    await served.request("POST", MAPS, config_map("a"))
    async with watching(served, "") as lines:
        assert await lines.events(1) == [("ADDED", "a")]
        await served.request("POST", MAPS, config_map("b"))
        await served.request("DELETE", f"{MAPS}/a")
        assert await lines.events(2) == [("ADDED", "b"), ("DELETED", "a")]


async def test_resumes_where_it_ended(served: Daemon) -> None:
    _, first = await served.request("POST", MAPS, config_map("a"))
    for name in ("b", "c"):
        await served.request("POST", MAPS, config_map(name))
    async with watching(served, f"resourceVersion={first['metadata']['resourceVersion']}") as lines:
        assert await lines.events(2) == [("ADDED", "b"), ("ADDED", "c")]


async def test_too_old_is_410(served: Daemon) -> None:
    made = await served.cluster.create(ConfigMap.model_validate(config_map("a")))
    for number in range(500):
        await served.cluster.patch(ConfigMap, Key("default", "a"), {"data": {"n": str(number)}})
    status, error = await served.request("GET", f"{MAPS}?watch=true&resourceVersion={made.metadata.resource_version}")
    assert (status, error["reason"]) == (410, "Expired")
    status, error = await served.request("GET", f"{MAPS}?watch=true&resourceVersion=99999999")
    assert (status, error["reason"]) == (410, "Expired")


async def test_a_slow_watcher_holds_up_nobody_and_is_told(served: Daemon) -> None:
    async with watching(served, "") as lines:
        big = "x" * 20_000  # fills the socket's buffer long before 600 changes
        await served.cluster.create(ConfigMap.model_validate(config_map("a")))
        with trio.fail_after(20):
            for number in range(600):
                await served.cluster.patch(ConfigMap, Key("default", "a"), {"data": {"n": str(number), "big": big}})
        events: list[Any] = []
        while not events or events[-1]["type"] != "ERROR":
            events += await lines.chunk()
        assert events[-1]["object"]["code"] == 410
        revisions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events[:-1]]
        assert revisions == list(range(revisions[0], revisions[0] + len(revisions)))


async def test_selectors_turn_changes_into_comings_and_goings(served: Daemon) -> None:
    async with watching(served, "labelSelector=app%3Da") as lines:
        await served.request("POST", MAPS, config_map("b"))
        await served.request("POST", MAPS, config_map("a"))
        merge = {"content-type": "application/merge-patch+json"}
        await served.request("PATCH", f"{MAPS}/a", {"metadata": {"labels": {"app": "z"}}}, merge)
        await served.request("PATCH", f"{MAPS}/b", {"metadata": {"labels": {"app": "a"}}}, merge)
        assert await lines.events(3) == [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "b")]


async def test_initial_events_end_with_a_bookmark(served: Daemon) -> None:
    await served.request("POST", MAPS, config_map("a"))
    query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with watching(served, query) as lines:
        events = await lines.chunk() + await lines.chunk()
        assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
        assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_timeout_ends_it_cleanly(served: Daemon) -> None:
    async with watching(served, "timeoutSeconds=1") as lines:
        while not lines.ended:
            await lines.chunk()


async def test_field_selector_and_other_namespaces(served: Daemon) -> None:
    async with watching(served, "fieldSelector=metadata.name%3Da", "/api/v1/configmaps") as lines:
        for name in ("b", "a"):
            await served.request("POST", "/api/v1/namespaces/kube-system/configmaps", config_map(name, "kube-system"))
        assert await lines.events(1) == [("ADDED", "a")]
