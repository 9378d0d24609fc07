"""Limits of requests and connections: what is too large, too slow or too much costs nobody else anything."""

import json
import socket
from contextlib import suppress
from typing import Any

import pytest
import trio

from orchestr.server import body, listen
from orchestr.server.turns import Turns
from tests.server.daemon import Daemon, config_map, read
from tests.server.secured import Secured

MAPS = "/api/v1/namespaces/default/configmaps"
GROUP = "/apis/rbac.authorization.k8s.io/v1"


async def grant(https: Secured, user: str, *verbs: str) -> None:
    """Lets the user do this with ConfigMaps."""
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": list(verbs)}]
    name = f"grant-{user}"
    assert (await https.local.request("POST", f"{GROUP}/clusterroles", {"metadata": {"name": name}, "rules": rules}))[
        0
    ] == 201
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subjects = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}]
    bound = {"metadata": {"name": name}, "roleRef": ref, "subjects": subjects}
    assert (await https.local.request("POST", f"{GROUP}/clusterrolebindings", bound))[0] == 201


async def secure(https: Secured, user: str = "") -> Any:
    """A connection that has asked nothing yet."""
    plain = await trio.open_tcp_stream("127.0.0.1", https.port)
    stream = trio.SSLStream(plain, https.client(user), server_hostname="localhost", https_compatible=True)
    await stream.do_handshake()
    return stream


@pytest.mark.parametrize("length", ["declared", "chunked"])
async def test_a_body_that_is_too_large(served: Daemon, length: str) -> None:
    """Refused as soon as it is known; the connection is not read to its end."""
    head = f"POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    async with await trio.open_unix_socket(served.socket) as stream:
        if length == "declared":
            await stream.send_all(f"{head}content-length: {100 << 20}\r\n\r\n".encode())
        else:
            await stream.send_all(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
            piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            for _ in range(body.LIMIT // 0x10000 + 1):
                await stream.send_all(piece)
        status, _, text = await read(stream)
    assert (status, json.loads(text)["reason"]) == (413, "RequestEntityTooLarge")
    assert (await served.request("POST", MAPS, config_map("a")))[0] == 201


async def test_a_whole_file_of_an_ordinary_user_has_the_limit_of_one_object(https: Secured) -> None:
    await grant(https, "jane", "patch", "create")
    big = {"kind": "List", "items": [config_map(f"m{i}", k="x" * 500_000) for i in range(8)]}
    path = "/orchestr.dev/v1/apply?manager=x"
    assert (await https.call("POST", path, big, client=https.client("jane")))[0] == 413
    assert (await https.local.request("POST", path, big))[0] == 200


async def test_a_body_that_does_not_come(served: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "PATIENCE", 0.2)
    head = f"POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{"
    status, _, text = await served.raw(head.encode())
    assert (status, json.loads(text)["reason"]) == (408, "Timeout")


async def test_a_head_that_does_not_come(https: Secured) -> None:
    """Slow-loris: bytes that trickle do not keep a connection for longer."""
    https.connections.config.keep_alive_timeout = 0.3
    stream = await secure(https)
    with trio.fail_after(10):
        await stream.send_all(b"GET /livez HTTP/1.1\r\n")
        await ends(stream, b"x: y\r\n")


async def ends(stream: Any, data: bytes) -> None:
    """Sends the data again and again, until the server has closed."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while True:
            await stream.send_all(data)
            with trio.move_on_after(0.05):
                if not await stream.receive_some():
                    break
    await trio.aclose_forcefully(stream)


async def test_more_connections_than_there_may_be(https: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that idle longest make room; a request in flight is not ended by others who come."""
    slots = trio.CapacityLimiter(6)
    found = https.connections
    found.slots[True] = slots
    await grant(https, "jane", "watch", "list")
    watching = await secure(https, "jane")
    await watching.send_all(f"GET {MAPS}?watch=1&resourceVersion=0 HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert (await watching.receive_some()).startswith(b"HTTP/1.1 200")
    idle = [await secure(https) for _ in range(5)]
    with trio.fail_after(10):
        for _ in range(20):
            assert (await https.call("GET", "/livez"))[0] == 200
        assert (await https.local.request("POST", MAPS, config_map("seen")))[0] == 201
        text = b""
        while b'"seen"' not in text:
            text += await watching.receive_some()
        await ends(idle[0], b"")  # it waited longest
    for stream in (*idle, watching):
        await trio.aclose_forcefully(stream)


async def test_one_user_does_not_starve_another(https: Secured) -> None:
    """Bodies that do not end hold all turns of one user; others are served, and the user is told to come again."""
    https.access.turns = Turns(at_once=2, together=8, line=1)
    for user in ("loud", "quiet"):
        await grant(https, user, "create", "get")
    slow = [await secure(https, "loud") for _ in range(3)]
    for stream in slow:
        await stream.send_all(f"POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n".encode())
    with trio.fail_after(10):
        while True:
            status, answer = await https.call("GET", f"{MAPS}/none", client=https.client("loud"))
            if status == 429:
                break
            assert status == 404  # their bodies have not been waited for yet
        assert (answer["reason"], answer["details"]) == ("TooManyRequests", {"retryAfterSeconds": 1})
        assert (await https.call("POST", MAPS, config_map("a"), client=https.client("quiet")))[0] == 201
        assert (await https.call("GET", MAPS, client=https.client("root", "system:masters")))[0] == 200
        for stream in slow:
            await trio.aclose_forcefully(stream)
        while (await https.call("GET", f"{MAPS}/a", client=https.client("loud")))[0] != 200:
            pass


async def test_websockets_count(https: Secured) -> None:
    https.access.turns = Turns(streams=1)
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/exec", "configmaps"], "verbs": ["*"]}]
    role = {"metadata": {"name": "e"}, "rules": rules}
    assert (await https.local.request("POST", f"{GROUP}/clusterroles", role))[0] == 201
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "e"}
    subjects = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}]
    bound = {"metadata": {"name": "e"}, "roleRef": ref, "subjects": subjects}
    assert (await https.local.request("POST", f"{GROUP}/clusterrolebindings", bound))[0] == 201
    watching = await secure(https, "jane")
    await watching.send_all(f"GET {MAPS}?watch=1&resourceVersion=0 HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert (await watching.receive_some()).startswith(b"HTTP/1.1 200")
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        "sec-websocket-protocol": "v5.channel.k8s.io",
    }
    path = "/api/v1/namespaces/default/pods/web/exec?command=true&stdout=1"
    status, answer = await https.call("GET", path, client=https.client("jane"), headers=headers)
    assert (status, "too many streams" in str(answer)) == (429, True)
    await trio.aclose_forcefully(watching)


def test_a_backlog_is_long_enough() -> None:
    """Two thousand clients may connect at once."""
    assert listen.CONNECTIONS >= 2048
    assert socket.SOMAXCONN >= 1024
