"""Sessions in WebSockets: every sub-protocol's way to say the same; refusals before the upgrade, ends after it."""

import base64
import json

import pytest
import trio

from orchestr.client.websocket import Opcode
from tests.server.daemon import Daemon
from tests.server.wire import websocket

POD = "/api/v1/namespaces/default/pods/web"
FAILS = f"{POD}/exec?command=sh&command=-c&command=echo+out;+exit+3&stdout=1"
CLOSED = (1000).to_bytes(2, "big")


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_the_end_is_a_status(served: Daemon, protocol: str) -> None:
    async with websocket(served.socket, FAILS, protocol) as client:
        assert client.protocol == protocol
        first, out, end, close = await client.messages()
    assert (first, out, close[:2]) == (b"\1", b"\1out\n", CLOSED)
    assert end[:1] == b"\3"
    assert json.loads(end[1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


@pytest.mark.parametrize("protocols", [["channel.k8s.io"], []])
async def test_older_forms_tell_a_failure_as_text(served: Daemon, protocols: list[str]) -> None:
    async with websocket(served.socket, FAILS, *protocols) as client:
        assert client.protocol == "".join(protocols)
        *_, end, _close = await client.messages()
    assert end == b"\3command terminated with non-zero exit code: exit status 3"
    async with websocket(served.socket, f"{POD}/exec?command=true", *protocols) as client:
        assert await client.messages() == [b"\1", CLOSED], "and of a success nothing"


async def test_text_forms_are_base64(served: Daemon) -> None:
    path = f"{POD}/exec?command=head&command=-c2&stdin=1&stdout=1"
    async with websocket(served.socket, path, "base64.channel.k8s.io") as client:
        await client.send(b"0" + base64.b64encode(b"\xff\0"), Opcode.TEXT)
        assert await client.messages() == [b"1", b"1" + base64.b64encode(b"\xff\0"), CLOSED]
    async with websocket(served.socket, path, "v4.base64.channel.k8s.io") as client:
        await client.send(b"0!", Opcode.TEXT)
        frames = await client.messages()
        assert frames[-1][:2] != CLOSED, "what is no base64 ends the session"
    with trio.fail_after(10):
        assert await served.node.sessions[1].wait() == 137


async def test_the_client_chooses_and_only_v5_ends_input(served: Daemon) -> None:
    path = f"{POD}/exec?command=cat&stdin=1&stdout=1"
    async with websocket(served.socket, path, "v9.channel.k8s.io", "v4.channel.k8s.io", "v5.channel.k8s.io") as client:
        assert client.protocol == "v4.channel.k8s.io"
    async with websocket(served.socket, path, "v5.channel.k8s.io") as client:
        await client.send(b"\0abc")
        await client.send(b"\xff\0")
        assert (await client.messages())[1:3] == [b"\1abc", b'\3{"metadata":{},"status":"Success"}']


async def test_refusals_come_before_the_upgrade(served: Daemon) -> None:
    for path, protocol, code, text in (
        (f"{POD}/exec", "v5.channel.k8s.io", 400, "no command"),
        (f"{POD}/exec?command=true", "v9.channel.k8s.io", 400, "no sub-protocol"),
        (f"{POD}/portforward", "v4.channel.k8s.io", 400, "no port"),
        (f"{POD}/portforward?ports=0", "v4.channel.k8s.io", 400, "is no port"),
        (POD.replace("web", "missing") + "/attach", "v5.channel.k8s.io", 404, "missing"),
        (f"{POD}/status", "v5.channel.k8s.io", 404, "cannot find"),
    ):
        key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        head = f"host: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n{key}sec-websocket-protocol: {protocol}\r\n"
        status, _, body = await served.raw(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        assert status == code, path
        assert text in json.loads(body)["message"]
    for part in ("exec", "attach", "portforward"):
        status, body = await served.request("POST", f"{POD}/{part}?command=true")
        assert (status, "Upgrade request required" in body["message"]) == (400, True)


async def test_attach_leaves_the_container_alone(served: Daemon) -> None:
    async with websocket(served.socket, f"{POD}/attach?stdin=1&stdout=1&tty=1", "v5.channel.k8s.io") as client:
        await client.send(b"\0abc")
        await client.send(b'\4{"Width":80,"Height":24}\n')
        await client.send(b'\4{"Width":-1}')
        assert [(await client.receive()), (await client.receive())][1].payload == b"\1abc"  # type: ignore[union-attr]
    with trio.fail_after(10):
        await served.node.attached[0].left.wait()
    assert served.node.attached[0].sizes == [(24, 80)]


@pytest.mark.parametrize(("protocol", "wanted"), [("binary.k8s.io", b"one\ntwo\n"), ("", b"one\ntwo\n")])
async def test_logs(served: Daemon, protocol: str, wanted: bytes) -> None:
    async with websocket(served.socket, f"{POD}/log", *([protocol] if protocol else [])) as client:
        *pieces, close = await client.messages()
    assert (b"".join(pieces), close[:2]) == (wanted, CLOSED)


async def test_logs_in_text_and_left_half_way(served: Daemon) -> None:
    async with websocket(served.socket, f"{POD}/log?follow=1", "base64.binary.k8s.io") as client:
        frame = await client.receive()
        assert frame is not None
        assert base64.b64decode(frame.payload).startswith(b"one\n")
    with trio.fail_after(10):
        await served.node.follow_ended.wait()
