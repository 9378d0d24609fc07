"""The CLI's client against a real server: errors as ApiError, nobody there as NoDaemon, watches as generators."""

import socket
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api.errors import AlreadyExists, Expired, Invalid, NotFound
from orchestr.client import Client, NoDaemon, path
from orchestr.client.paths import address, with_query
from orchestr.client.websocket import Decoder, Opcode, ProtocolError, encode
from tests.server.daemon import Daemon, config_map

MAPS = path("configmaps", "default")


async def test_verbs(served: Daemon) -> None:
    def work(client: Client) -> None:
        made = client.create(MAPS, config_map("a", k="1"))
        assert client.get(f"{MAPS}/a") == made
        assert client.patch(f"{MAPS}/a", {"data": {"k": "2"}})["data"] == {"k": "2"}
        assert [each["metadata"]["name"] for each in client.items(MAPS, {"labelSelector": "app=a"})] == ["a"]
        with pytest.raises(AlreadyExists):
            client.create(MAPS, config_map("a"))
        assert client.delete(f"{MAPS}/a", {"gracePeriodSeconds": 0})["status"] == "Success"
        with pytest.raises(NotFound, match='configmaps "a" not found'):
            client.get(f"{MAPS}/a")
        with pytest.raises(Invalid) as error:
            client.apply_all([config_map("a"), {**config_map("b"), "dta": 1}])
        assert error.value.causes[0].field.startswith("items[1]")
        assert [each["action"] for each in client.apply_all([config_map("a")], prune={"app": "a"})] == ["created"]

    await served.call(work)


async def test_watch(served: Daemon) -> None:
    def work(client: Client) -> list[Any]:
        made = client.create(MAPS, config_map("a"))
        client.create(MAPS, config_map("b"))
        first = list(islice(client.watch(MAPS), 2))
        later = list(islice(client.watch(MAPS, since=made["metadata"]["resourceVersion"]), 1))
        with pytest.raises(Expired):
            next(client.watch(MAPS, since="999999"))
        return [event["object"]["metadata"]["name"] for event in first + later]

    assert await served.call(work) == ["a", "b", "b"]


def test_nobody_there(tmp_path: Path) -> None:
    client = Client(str(tmp_path / "orch.sock"), start="orch --instance x system start")
    with pytest.raises(NoDaemon, match=r"No such file.*start it: orch --instance x system start"):
        client.get("/version")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "orch.sock"))
        with pytest.raises(NoDaemon, match="refused"):
            client.get("/version")


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{"])
def test_an_answer_that_is_none(tmp_path: Path, answer: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def serve() -> None:
            sock, _ = listener.accept()
            sock.recv(65536)
            sock.sendall(answer)
            sock.close()

        thread = threading.Thread(target=serve)
        thread.start()
        client = Client(f"unix://{tmp_path}/s")
        with pytest.raises(NoDaemon):
            client.get("/version")
        client.close()
        thread.join()


def test_a_silent_daemon_times_out(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        client = Client(str(tmp_path / "s"), timeout=0.05)
        with pytest.raises(NoDaemon, match="no byte"):
            client.get("/version")
        client.close()


def test_imports_next_to_nothing() -> None:
    script = (
        "import sys; from orchestr.client import Client;"
        "print(*[m for m in ('http.client', 'trio', 'pydantic', 'ssl', 'hashlib') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert found == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [("/run/s", ("/run/s", 0)), ("unix:///run/s", ("/run/s", 0)), ("http://127.0.0.1:80/", ("127.0.0.1", 80))],
)
def test_hosts(host: str, expected: tuple[str, int]) -> None:
    assert address(host) == (*expected, None)


@pytest.mark.parametrize("host", ["https://x:y", "x", "", "http://x", "tcp://x:1"])
def test_hosts_refused(host: str) -> None:
    with pytest.raises(ValueError, match="cannot use host"):
        address(host)


def test_queries() -> None:
    assert with_query("/x", {"a": True, "b": None, "c": ["1", "ä b"]}) == "/x?a=true&c=1&c=%C3%A4%20b"
    assert path("deployments", "shop", "w/b", group="apps") == "/apis/apps/v1/namespaces/shop/deployments/w%2Fb"


def unmasked(frame: bytes) -> bytes:
    """The frame as a server would send it."""
    size = frame[1] & 0x7F
    start = 2 + {126: 2, 127: 8}.get(size, 0)
    mask, data = frame[start : start + 4], frame[start + 4 :]
    return bytes([frame[0], size]) + frame[2:start] + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


@given(st.lists(st.binary(max_size=300) | st.just(b"x" * 70_000), max_size=4), st.integers(1, 97))
def test_frames_survive_any_split(payloads: list[bytes], step: int) -> None:
    wire = b"".join(unmasked(encode(Opcode.BINARY, payload)) for payload in payloads)
    decoder, found = Decoder(), []
    step = max(step, len(wire) // 50)
    for start in range(0, len(wire), step):
        decoder.feed(wire[start : start + step])
        found += [frame.payload for frame in decoder.frames()]
    assert found == payloads


@given(st.binary(max_size=40))
def test_any_bytes_are_frames_or_refused(data: bytes) -> None:
    with suppress(ProtocolError):
        list(Decoder(data).frames())
