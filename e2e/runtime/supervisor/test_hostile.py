"""Whoever speaks to the supervisor's socket without keeping to the rules loses the connection, and nobody else does."""
# ruff: noqa: ASYNC230 - a test may look at files, and waits for state that has no event

import os
import socket
import subprocess
import sys
from typing import Any

import pytest
import trio

from orchestr.runtime.supervisor.protocol import FRAME_LIMIT, Decoder, encode, rights

Machine = Any  # of conftest.py


def dial(machine: Machine) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(10)
    peer.connect(f"{machine.run}/supervisor.sock")
    return peer


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 100, (FRAME_LIMIT + 1).to_bytes(4, "big"), b"\0\0\0\2[]", b"\0\0\0\5hello", b"GET / HTTP/1.1\r\n\r\n"],
)
async def test_noise_loses_the_connection_alone(machine: Machine, data: bytes) -> None:
    await machine.sandbox()
    await machine.start("c", "sleep", "1000")
    with dial(machine) as peer:
        peer.sendall(data)
        assert await trio.to_thread.run_sync(peer.recv, 100) == b""
    assert (await machine.runtime.state()).containers[0].status == "running"
    await machine.runtime.stats(["c"])


@pytest.mark.parametrize(
    "body",
    [
        {"op": "nothing"},
        {"op": "start"},
        {"op": "start", "args": {"id": 1}},
        {"op": "create_sandbox", "args": {"id": "x", "hostname": "h", "cgroup": "/../../etc"}},
        {"op": "exec", "args": {"container": "c"}},
        {"op": "kill", "args": {"container": [], "signal": "x", "everyone": 0}},
        {"op": "hello", "args": {"seen": 3}},
        {"op": "stats", "args": []},
        {},
    ],
)
async def test_a_wrong_request_is_answered_with_an_error(machine: Machine, body: dict[str, Any]) -> None:
    with dial(machine) as peer:
        peer.sendall(encode({"id": 7, **body}))
        decoder = Decoder()
        messages = []
        while not messages:
            messages = decoder.feed(await trio.to_thread.run_sync(peer.recv, 65536), ())
    assert messages[0].body["id"] == 7
    assert messages[0].body["error"]["message"].startswith("cannot ")


async def test_unwanted_descriptors_are_closed(machine: Machine) -> None:
    supervisor = (await machine.runtime.state()).supervisor_pid
    await machine.runtime.stats([])
    before = machine.descriptors(supervisor)
    for _ in range(50):
        with dial(machine) as peer, open(os.devnull) as null:
            peer.sendmsg([encode({"id": 1, "op": "stats", "args": {"ids": []}}, 5)], rights([null.fileno()] * 5))
            await trio.to_thread.run_sync(peer.recv, 4096)
            peer.sendmsg([b"\0"], rights([null.fileno()] * 200))
            assert await trio.to_thread.run_sync(peer.recv, 4096) == b""
    await machine.eventually(lambda: machine.descriptors(supervisor) == before)


async def test_another_user_is_turned_away(machine: Machine) -> None:
    os.chmod(machine.base, 0o755)
    os.chmod(machine.run, 0o755)
    os.chmod(f"{machine.run}/supervisor.sock", 0o666)
    script = (
        "import os, socket; os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        f"s.connect({machine.run + '/supervisor.sock'!r}); print(s.recv(10))"
    )
    answer = await trio.to_thread.run_sync(lambda: subprocess.run([sys.executable, "-c", script], capture_output=True))
    assert answer.stdout == b"b''\n", answer.stderr
