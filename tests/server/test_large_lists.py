"""Lists of many objects: whole and in order in every form, piece by piece, and nobody waits for them."""

import gzip
import json
from typing import Any

import h11
import pytest
import trio

from orchestr.api.base import ObjectMeta
from orchestr.api.core import ConfigMap
from tests.server.daemon import Daemon
from tests.server.test_content import PARTIALS, TABLE

MAPS = "/api/v1/namespaces/default/configmaps"
NAMES = sorted(f"c{number}" for number in range(500))


@pytest.fixture
async def many(served: Daemon) -> Daemon:
    """500 ConfigMaps of 1 kB; every other one has the label odd."""
    async with trio.open_nursery() as nursery:
        for number in reversed(range(500)):
            labels = {"odd": "yes"} if number % 2 else {}
            meta = ObjectMeta(name=f"c{number}", namespace="default", labels=labels)
            nursery.start_soon(served.cluster.create, ConfigMap(metadata=meta, data={"a": "x" * 1000}))
    return served


async def whole(served: Daemon, path: str, **headers: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of one answer, whatever ends it."""
    connection = h11.Connection(h11.CLIENT)
    lines = [("host", "x"), *((name.replace("_", "-"), value) for name, value in headers.items())]
    async with await trio.open_unix_socket(served.socket) as stream:
        sent = connection.send(h11.Request(method="GET", target=path, headers=lines))
        await stream.send_all((sent or b"") + (connection.send(h11.EndOfMessage()) or b""))
        found, body = {}, b""
        while True:
            event: Any = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            elif isinstance(event, h11.Response):
                assert event.status_code == 200
                found = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return found, body


def names(items: list[dict[str, Any]]) -> list[str]:
    return [each["metadata"]["name"] for each in items]


async def test_as_they_are(many: Daemon) -> None:
    headers, body = await whole(many, MAPS)
    assert int(headers["content-length"]) == len(body) > 500_000
    assert names(json.loads(body)["items"]) == NAMES
    everywhere = json.loads((await whole(many, "/api/v1/configmaps"))[1])
    assert everywhere["items"] == json.loads(body)["items"]


async def test_as_views(many: Daemon) -> None:
    headers, body = await whole(many, MAPS, accept=TABLE)
    assert headers["transfer-encoding"] == "chunked"
    table = json.loads(body)
    assert [row["object"]["metadata"]["name"] for row in table["rows"]] == NAMES
    assert table["columnDefinitions"]
    partial = json.loads((await whole(many, MAPS, accept=PARTIALS))[1])
    assert (partial["kind"], names(partial["items"])) == ("PartialObjectMetadataList", NAMES)
    headers, text = await whole(many, f"{MAPS}?limit=150", accept="application/yaml")
    assert headers["content-type"] == "application/yaml"
    assert text.count(b"\n- ") == 150


@pytest.mark.parametrize("accept", ["application/json", TABLE])
async def test_packed(many: Daemon, accept: str) -> None:
    headers, packed = await whole(many, MAPS, accept=accept, accept_encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert int(headers["content-length"]) == len(packed)
    assert gzip.decompress(packed) == (await whole(many, MAPS, accept=accept))[1]


async def test_selected_and_in_pages(many: Daemon) -> None:
    found = json.loads((await whole(many, f"{MAPS}?labelSelector=odd%3Dyes"))[1])
    assert names(found["items"]) == [name for name in NAMES if int(name[1:]) % 2]
    seen, token = [], ""
    while True:
        piece = json.loads((await whole(many, f"{MAPS}?limit=120&continue={token}"))[1])
        seen += names(piece["items"])
        if not (token := piece["metadata"].get("continue", "")):
            break
    assert seen == NAMES


async def test_others_have_their_turn_between_the_pieces(many: Daemon) -> None:
    """A client that does not read its list holds up neither a write nor another list; what it then reads is of then."""
    async with await trio.open_unix_socket(many.socket) as slow:
        await slow.send_all(f"GET {MAPS} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        begun = await slow.receive_some(1000)
        for name in NAMES[:100]:
            assert (await many.request("DELETE", f"{MAPS}/{name}"))[0] == 200
        assert names(json.loads((await whole(many, MAPS))[1])["items"]) == NAMES[100:]
        while more := await slow.receive_some():
            begun += more
    assert names(json.loads(begun.partition(b"\r\n\r\n")[2])["items"]) == NAMES
