"""Logs, exec and images through the CLI's own client: bytes arrive whole, ends are told, nothing is left behind."""

import json
import select
from pathlib import Path
from typing import Any

import pytest
import trio

from orchestr.api.errors import ApiError, BadRequest, NotFound
from orchestr.client import Client
from orchestr.client.exec import ExecStream
from orchestr.client.websocket import Channel
from tests.server.daemon import Daemon


async def test_logs(served: Daemon) -> None:
    lines = await served.call(lambda client: list(client.logs("default", "web", tailLines=5, timestamps=True).lines()))
    assert lines == [b"one", b"two"]
    assert (served.node.asked[0].tail_lines, served.node.asked[0].timestamps) == (5, True)
    cut = await served.call(lambda client: client.logs("default", "web", limitBytes=5).read())
    assert cut == b"one\nt"
    with pytest.raises(NotFound):
        await served.call(lambda client: client.logs("default", "missing"))
    for options in ({"sinceSeconds": 1, "sinceTime": "2026-01-01T00:00:00Z"}, {"tailLines": "x"}, {"sinceTime": "now"}):
        with pytest.raises(BadRequest):
            await served.call(lambda client, options=options: client.logs("default", "web", **options))


async def test_following_ends_when_the_client_goes(served: Daemon) -> None:
    def first_line(client: Client) -> bytes:
        response = client.logs("default", "web", follow=True)
        try:
            return next(iter(response.lines()))
        finally:
            response.close()

    assert await served.call(first_line) == b"one"
    with trio.fail_after(5):
        await served.node.follow_ended.wait()


def pump(session: ExecStream) -> dict[Channel, bytes]:
    found = {Channel.STDOUT: b"", Channel.STDERR: b""}
    pieces = session.received()
    while True:
        for channel, data in pieces:
            found[channel] += data
        if session.closed:
            break
        readable, writable, _ = select.select([session], [session] if session.pending else [], [])
        if writable:
            session.flush()
        pieces = session.receive() if readable else []
    session.close()
    return found


async def test_exec_streams_and_exit_code(served: Daemon) -> None:
    def run(client: Client) -> tuple[ExecStream, dict[Channel, bytes]]:
        session = client.exec("default", "web", ["sh", "-c", "echo out; echo err >&2; exit 3"])
        return session, pump(session)

    session, found = await served.call(run)
    assert found == {Channel.STDOUT: b"out\n", Channel.STDERR: b"err\n"}
    assert (session.exit_code, session.error) == (3, "")


async def test_exec_carries_megabytes_both_ways(served: Daemon) -> None:
    data = bytes(range(256)) * 8192  # 2 MiB

    def run(client: Client) -> dict[Channel, bytes]:
        session = client.exec("default", "web", ["cat"], stdin=True)
        for start in range(0, len(data), 65536):
            session.send(data[start : start + 65536])
        session.end_stdin()
        return pump(session)

    found = await served.call(run)
    assert found[Channel.STDOUT] == data


async def test_exec_dies_with_its_client_and_is_refused_in_words(served: Daemon) -> None:
    def leave(client: Client) -> None:
        session = client.exec("default", "web", ["sleep", "600"])
        session.close()

    await served.call(leave)
    with trio.fail_after(5):
        assert await served.node.sessions[0].wait() == 137
    with pytest.raises(NotFound, match="missing"):
        await served.call(lambda client: client.exec("default", "missing", ["true"]))
    with pytest.raises(BadRequest, match="no command"):
        await served.call(lambda client: client.exec("default", "web", []))


async def test_images(served: Daemon) -> None:
    def load(client: Client) -> Any:
        return json.loads(client.stream("POST", "/orchestr.dev/v1/images/load?name=x", body=b"tar" * 2_000_000).read())

    loaded = await served.call(load)
    assert (loaded["kind"], loaded["items"][0]["names"]) == ("ImageList", ["local/redis"])
    assert len(served.node.images.loaded[0]) == 6_000_000
    saved = await served.call(
        lambda client: client.stream("GET", "/orchestr.dev/v1/images/save?name=local/redis").read()
    )
    assert len(saved) == 3_000_000
    one = await served.call(lambda client: client.get("/orchestr.dev/v1/images", {"name": "local/redis"}))
    assert one["digest"].startswith("sha256:")
    for call in (
        lambda client: client.get("/orchestr.dev/v1/images", {"name": "x"}),
        lambda client: client.stream("GET", "/orchestr.dev/v1/images/save?name=x"),
        lambda client: client.delete("/orchestr.dev/v1/images?name=x"),
    ):
        with pytest.raises(NotFound, match="only local/redis"):
            await served.call(call)


async def test_what_differs(served: Daemon) -> None:
    """Two images, or a container and an image or its own."""
    target = "/orchestr.dev/v1/images/diff"
    for query, path in (
        ({"name": ["a", "b"]}, "/a/b/"),
        ({"pod": "web"}, "/own/own/default-web-None"),
        ({"pod": "web", "name": ["a"], "namespace": "ns", "container": "c"}, "/a/own/ns-web-c"),
    ):
        found = await served.call(lambda client, query=query: client.get(target, query))
        assert found["items"] == [{"kind": "C", "path": path}]
    for wrong in ({"name": ["a"]}, {}, {"name": ["a", "b"], "pod": "c"}):
        with pytest.raises(ApiError, match="cannot compare"):
            await served.call(lambda client, query=wrong: client.get(target, query))


async def test_an_archive_is_sent_from_its_file(served: Daemon, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"0123456789" * 1_000_000)

    def load(client: Client) -> None:
        with open(tmp_path / "image.tar", "rb") as file:
            client.stream("POST", "/orchestr.dev/v1/images/load", body=file).read()

    await served.call(load)
    assert served.node.images.loaded[0] == b"0123456789" * 1_000_000


async def test_bootstrap_tells_its_progress(served: Daemon) -> None:
    wanted = json.dumps({"name": "redis", "suite": "bookworm", "packages": ["redis-server"]}).encode()

    def run(client: Client) -> list[Any]:
        return [json.loads(x) for x in client.stream("POST", "/orchestr.dev/v1/images/bootstrap", body=wanted).lines()]

    lines = await served.call(run)
    assert (lines[0], "image" in lines[-1]) == ({"step": "installing 1 packages"}, True)
    with pytest.raises(ApiError, match="cannot bootstrap"):
        await served.call(lambda client: client.stream("POST", "/orchestr.dev/v1/images/bootstrap", body=b"{}"))
