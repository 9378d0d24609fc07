"""What a bad request gets: a `Status` with the right code, one message, no traceback, and the next client unharmed."""

import json
import socket
from typing import Any

import pytest
import trio

from tests.server.daemon import Daemon, config_map, read

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "code"),
    [
        ("GET", "/nothing", None, {}, 404),
        ("GET", "/api/v1/nothings", None, {}, 404),
        ("GET", "/apis/none/v1/pods", None, {}, 404),
        ("GET", "/api/v2", None, {}, 404),
        ("GET", "/api/v1//pods", None, {}, 404),
        ("GET", f"{MAPS}/a/b/c", None, {}, 404),
        ("GET", f"{MAPS}/a/status", None, {}, 404),
        ("GET", "/api/v1/configmaps/a", None, {}, 404),
        ("GET", "/api/v1/namespaces/default/nodes", None, {}, 404),
        ("POST", "/api/v1/configmaps", config_map("a"), {}, 405),
        ("PUT", MAPS, config_map("a"), {}, 405),
        ("POST", "/version", None, {}, 405),
        ("GET", "/orchestr.dev/v1/apply", None, {}, 405),
        ("GET", "/orchestr.dev/v1/nothing", None, {}, 404),
        ("POST", MAPS, b"{", {}, 400),
        ("POST", MAPS, b"", {}, 400),
        ("POST", MAPS, b"\xff\xfe", {}, 400),
        ("POST", MAPS, b"[1]", {}, 400),
        ("POST", MAPS, b"null", {}, 400),
        ("POST", MAPS, b"[" * 100_000, {}, 400),
        ("POST", MAPS, b'{"a": NaN}', {}, 400),
        ("POST", f"{MAPS}?fieldValidation=Strict", b'{"metadata": {"name": "a"}, "data": {}, "data": {}}', {}, 400),
        ("POST", MAPS, {"metadata": []}, {}, 400),
        ("POST", MAPS, {**config_map("a"), "kind": "Secret"}, {}, 400),
        ("POST", MAPS, config_map("a", namespace="other"), {}, 400),
        ("PUT", f"{MAPS}/b", config_map("a"), {}, 400),
        ("POST", f"{MAPS}?fieldValidation=Strict", {**config_map("a"), "dta": {}}, {}, 400),
        ("POST", MAPS, {**config_map("a"), "data": 7}, {}, 422),
        ("POST", MAPS, config_map("No Label!"), {}, 422),
        ("POST", "/api/v1/namespaces/absent/configmaps", config_map("a", namespace="absent"), {}, 404),
        ("POST", f"{MAPS}?fieldValidation=Sometimes", config_map("a"), {}, 400),
        ("PATCH", f"{MAPS}/a", {}, {"content-type": "application/json-patch+json"}, 400),
        ("PATCH", f"{MAPS}/a", {}, {"content-type": "application/apply-patch+cbor"}, 415),
        ("POST", MAPS, b"k8s", {"content-type": "application/vnd.kubernetes.protobuf"}, 400),
        ("POST", MAPS, b"k8s\0\x0a\xff", {"content-type": "application/vnd.kubernetes.protobuf"}, 400),
        ("POST", MAPS, b"<a/>", {"content-type": "text/xml"}, 415),
        ("POST", MAPS, b"a: &a [1]\nb: *a", {"content-type": "application/yaml"}, 400),
        ("PATCH", f"{MAPS}/a", {}, MERGE, 404),
        ("GET", MAPS, None, {"accept": "image/png"}, 406),
        ("GET", f"{MAPS}?resourceVersionMatch=Exact", None, {}, 422),
        ("GET", f"{MAPS}?sendInitialEvents=true", None, {}, 422),
        ("GET", f"{MAPS}?limit=-1", None, {}, 400),
        ("GET", f"{MAPS}?labelSelector=a%3D%3D%3Db", None, {}, 400),
        ("GET", f"{MAPS}?labelSelector=%2C", None, {}, 400),
        ("GET", f"{MAPS}?fieldSelector=spec.color%3Dred", None, {}, 400),
        ("GET", f"{MAPS}?watch=perhaps", None, {}, 400),
        ("DELETE", f"{MAPS}/a", {"gracePeriodSeconds": "x"}, {}, 400),
        ("DELETE", f"{MAPS}/a", {"propagationPolicy": "Sideways"}, {}, 422),
        ("DELETE", f"{MAPS}/a", {"colour": "red"}, {}, 400),
        ("GET", "/api/v1/namespaces/default/pods/p/exec?command=true", None, {}, 400),
        ("GET", "/orchestr.dev/v1/images?name=absent", None, {}, 404),
    ],
)
async def test_status(served: Daemon, method: str, path: str, body: Any, headers: dict[str, str], code: int) -> None:
    status, error = await served.request(method, path, body, headers)
    assert (status, error["kind"], error["status"], error["code"]) == (code, "Status", "Failure", code), error
    assert error["message"]
    assert "Traceback" not in error["message"]


async def test_a_bug_is_logged_in_one_line_and_told_without_details(
    served: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> dict[str, Any]:
        raise RuntimeError("secret\nof the house")

    served.node.system = broken  # type: ignore[method-assign]
    status, error = await served.request("GET", "/orchestr.dev/v1/system")
    assert (status, error["reason"], "secret" in error["message"]) == (500, "InternalError", False)
    assert [len(record.getMessage().splitlines()) for record in caplog.records] == [1]


async def test_malformed_http_ends_the_connection_only(served: Daemon) -> None:
    for data in (b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 400_000 + b" HTTP/1.1\r\n\r\n"):
        status, _, _ = await served.raw(data)
        assert 400 <= status < 500
    assert (await served.request("GET", "/version"))[0] == 200


@pytest.mark.parametrize("size", [3 * 1024 * 1024 + 1, 40 * 1024 * 1024])
async def test_oversized_body(served: Daemon, size: int) -> None:
    async with await trio.open_unix_socket(served.socket) as stream:
        await stream.send_all(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (MAPS.encode(), size))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pour, stream, size)
            status, _, body = await read(stream)
            assert (status, json.loads(body)["reason"]) == (413, "RequestEntityTooLarge")
            nursery.cancel_scope.cancel()
    assert (await served.request("GET", "/version"))[0] == 200


async def _pour(stream: trio.SocketStream, size: int) -> None:
    try:
        for _ in range(0, size, 65536):
            await stream.send_all(b" " * 65536)
    except trio.BrokenResourceError:
        pass


async def test_chunked_body_without_a_length_is_limited_too(served: Daemon) -> None:
    async with await trio.open_unix_socket(served.socket) as stream:
        await stream.send_all(b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % MAPS.encode())
        piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        for _ in range(4):
            await stream.send_all(piece)
        await stream.send_all(b"0\r\n\r\n")
        status, _, _ = await read(stream)
        assert status == 413


async def test_a_slow_client_holds_up_nobody(served: Daemon) -> None:
    """Half heads and half bodies stay open; all others are served meanwhile."""
    slow = [await trio.open_unix_socket(served.socket) for _ in range(50)]
    for number, stream in enumerate(slow):
        half = (
            b"GET /versi"
            if number % 2
            else b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{" % MAPS.encode()
        )
        await stream.send_all(half)
    with trio.fail_after(5):
        for _ in range(20):
            assert (await served.request("GET", "/version"))[0] == 200
    for stream in slow:
        await stream.aclose()


async def test_200_idle_connections(served: Daemon) -> None:
    idle = [await trio.open_unix_socket(served.socket) for _ in range(200)]
    for stream in idle:
        await stream.send_all(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await read(stream))[0] == 200
    with trio.fail_after(5):
        assert (await served.request("POST", MAPS, config_map("a")))[0] == 201
    for stream in idle:  # still good
        await stream.send_all(b"GET /version HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await read(stream))[0] == 200
        await stream.aclose()


async def test_a_stranger_is_forbidden(served: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestr.server import auth, listen

    def nobody(sock: socket.socket) -> auth.Peer:
        return auth.Peer(1, 65534, 65534)

    monkeypatch.setattr(listen, "peer", nobody)
    status, error = await served.request("GET", "/version")
    assert (status, error["reason"]) == (403, "Forbidden")
    assert "group orch" in error["message"]


async def test_the_status_line_has_its_words(served: Daemon) -> None:
    """Nobody needs them in HTTP, but programs show them to people."""
    for path, line in (("/version", b"HTTP/1.1 200 OK"), (f"{MAPS}/none", b"HTTP/1.1 404 Not Found")):
        async with await trio.open_unix_socket(served.socket) as stream:
            await stream.send_all(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            assert (await stream.receive_some()).split(b"\r\n")[0] == line
