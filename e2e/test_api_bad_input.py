"""Bad requests to a real daemon, by its socket and by https: a `Status` for each, and the daemon goes on as before.

The table is that of tests/server. What only a real daemon can show comes after it: bodies and heads without end,
clients that say nothing more, a watch on a version that is compacted away.
"""

import base64
import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.daemon import Answer, Daemon
from tests.server.bad import APPLY, CASES, CONFIGURATION, DEPLOYMENTS, HAVE, MAPS, SPEC, WEB

HISTORY = 2048  # revisions that the daemon keeps at least
Connect = Callable[[], http.client.HTTPConnection]


@pytest.fixture
def unharmed(shared: Daemon) -> Iterator[Daemon]:
    """The daemon is the same process afterwards, and its log has no new bug."""
    log, before = Path(shared.state, "daemon.log"), shared.daemon_pid
    length = len(log.read_text())
    yield shared
    assert shared.daemon_pid == before
    new = log.read_text()[length:]
    assert "request failed" not in new, new
    assert "Traceback" not in new, new


@pytest.fixture(params=["socket", "https"])
def connect(unharmed: Daemon, request: pytest.FixtureRequest, tmp_path: Path) -> Connect:
    if request.param == "socket":
        return lambda: Answer(f"{unharmed.run}/orch.sock")
    config = yaml.safe_load(unharmed.orch("kubeconfig").expect().out)
    server = config["clusters"][0]["cluster"]["server"].removeprefix("https://")
    context = ssl.create_default_context(cadata=_pem(config["clusters"][0]["cluster"]["certificate-authority-data"]))
    user, file = config["users"][0]["user"], tmp_path / "client.pem"
    file.write_text(_pem(user["client-certificate-data"]) + _pem(user["client-key-data"]))
    context.load_cert_chain(file)
    return lambda: http.client.HTTPSConnection(server, context=context, timeout=60)


def _pem(data: str) -> str:
    return base64.b64decode(data).decode()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, Any]:
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def still_serves(connect: Connect) -> bool:
    connection = connect()
    try:
        return ask(connection, "GET", "/version")[0] == 200
    finally:
        connection.close()


def test_every_bad_request_gets_its_status(connect: Connect) -> None:
    """The whole table on one kept-alive connection; what was there before is there after it, untouched."""
    connection = connect()
    data = json.dumps(CONFIGURATION).encode()
    ask(connection, "PATCH", f"{HAVE}?fieldManager=one&force=true", data, content_type=APPLY)
    ask(
        connection,
        "POST",
        DEPLOYMENTS,
        json.dumps({"metadata": {"name": "web"}, "spec": SPEC | {"replicas": 0}}).encode(),
    )
    before = ask(connection, "GET", HAVE)[1]
    wrong = [
        case.wrong(*ask(connection, case.method, case.path, case.data, content_type=case.media, **case.headers))
        for case in CASES
    ]
    assert not "".join(wrong), "\n".join(filter(None, wrong))
    assert ask(connection, "GET", HAVE)[1] == before
    assert ask(connection, "GET", f"{MAPS}/new")[0] == 404
    for path in (HAVE, WEB):
        assert ask(connection, "DELETE", path)[0] == 200
    connection.close()


def test_a_body_of_100_mb(connect: Connect) -> None:
    """413 long before its end, or an end of the connection: the daemon reads no 100 MB."""
    connection, size = connect(), 100 * 1024 * 1024
    connection.putrequest("POST", MAPS)
    connection.putheader("content-length", str(size))
    connection.endheaders()
    with contextlib.suppress(OSError):  # the daemon has heard enough
        for _ in range(0, size, 1 << 16):
            connection.send(b" " * (1 << 16))
    try:
        code = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        code = 413
    assert code == 413
    connection.close()
    assert still_serves(connect)


@pytest.mark.parametrize("lines", [b"x: y\r\n" * 100_000, b"x: " + b"y" * 2_000_000 + b"\r\n"], ids=["many", "long"])
def test_a_head_without_end(connect: Connect, lines: bytes) -> None:
    """400 or 431, or an end of the connection; never 200."""
    connection = connect()
    connection.connect()
    sock: socket.socket = connection.sock
    data = b""
    with contextlib.suppress(OSError):
        sock.sendall(b"GET /version HTTP/1.1\r\nhost: x\r\n" + lines + b"\r\n")
        data = sock.recv(4096)
    assert not data or data.split()[1] in (b"400", b"431"), data[:200]
    connection.close()
    assert still_serves(connect)


def test_clients_that_stop_in_the_middle(connect: Connect) -> None:
    """200 clients with half a head or half a body hold up nobody; when they go, nothing is written."""
    body = json.dumps({"metadata": {"name": "half"}, "data": {"a": "x" * 1000}}).encode()
    head = f"POST {MAPS} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n".encode()
    halves = [connect() for _ in range(200)]
    for number, each in enumerate(halves):
        each.connect()
        each.sock.sendall(head if number % 2 else head + b"\r\n" + body[:-1])
    connection = connect()
    assert all(ask(connection, "GET", "/version")[0] == 200 for _ in range(20))
    for each in halves:
        each.close()
    assert ask(connection, "GET", f"{MAPS}/half")[0] == 404
    connection.close()


def busy(number: int, round_: int) -> dict[str, Any]:
    metadata = {"name": f"busy{number}", "namespace": "default", "labels": {"busy": ""}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"n": str(round_)}}


def test_a_watch_on_a_compacted_version(unharmed: Daemon) -> None:
    """So many changes later 410 Expired, before the stream begins; a list and a watch from there go on."""
    first = unharmed.get(f"{MAPS}?limit=1")["metadata"]["resourceVersion"]
    for round_ in range(5):
        items = [busy(number, round_) for number in range(HISTORY // 4 + 100)]
        status, body = unharmed.request("POST", "/orchestr.dev/v1/apply?manager=e2e", {"kind": "List", "items": items})
        assert status == 200, body[:300]
    status, body = unharmed.request("GET", f"{MAPS}?watch=true&resourceVersion={first}")
    answer = json.loads(body)
    assert (status, answer["kind"], answer["reason"], answer["code"]) == (410, "Status", "Expired", 410)
    now = unharmed.get(MAPS)["metadata"]["resourceVersion"]
    assert unharmed.request("GET", f"{MAPS}?watch=true&timeoutSeconds=1&resourceVersion={now}")[0] == 200
    assert unharmed.request("DELETE", f"{MAPS}?labelSelector=busy")[0] == 200
