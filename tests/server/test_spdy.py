"""SPDY: frames in any pieces, sessions and forwarded ports over it, in a WebSocket and alone."""

import json
from collections import defaultdict
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from orchestr.server import spdy
from tests.server.daemon import Daemon
from tests.server.wire import Spdy, upgraded, websocket

POD = "/api/v1/namespaces/default/pods/web"
NAMES = st.text(st.sampled_from("abcdefgh-"), min_size=1, max_size=12)


@given(st.lists(st.dictionaries(NAMES, st.text(max_size=20), max_size=4), max_size=5), st.integers(1, 40))
def test_headers_in_any_pieces(opened: list[dict[str, str]], size: int) -> None:
    client, decoder = Spdy(), spdy.Decoder()
    frames = b"".join(client.open(**headers)[1] for headers in opened)
    events = [event for at in range(0, len(frames), size) for event in decoder.feed(frames[at : at + size])]
    wanted = [{name: value.split("\0")[0] for name, value in headers.items()} for headers in opened]
    assert events == [spdy.Opened(2 * index + 1, headers, False) for index, headers in enumerate(wanted)]


@given(st.lists(st.tuples(st.integers(1, 9), st.binary(max_size=50), st.booleans()), max_size=8), st.integers(1, 40))
def test_data_in_any_pieces(sent: list[tuple[int, bytes, bool]], size: int) -> None:
    decoder = spdy.Decoder()
    frames = b"".join(spdy.data(stream, data, end=end) for stream, data, end in sent)
    found: dict[int, bytes] = defaultdict(bytes)
    ends: dict[int, int] = defaultdict(int)
    for at in range(0, len(frames), size):
        for event in decoder.feed(frames[at : at + size]):
            assert isinstance(event, spdy.Data)
            found[event.stream] += event.data
            ends[event.stream] += event.end
    for stream in {stream for stream, _, _ in sent}:
        assert found[stream] == b"".join(data for number, data, _ in sent if number == stream)
        assert ends[stream] == sum(end for number, _, end in sent if number == stream)


@given(st.binary(max_size=200))
def test_what_makes_no_sense_is_refused_and_nothing_else_happens(data: bytes) -> None:
    try:
        list(spdy.Decoder().feed(data))
    except spdy.SpdyError:
        return


class Peer:
    """A client's connection."""

    def __init__(self, transport: Any) -> None:
        self.transport, self.spdy = transport, Spdy()
        self.data: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.pings: list[int] = []

    async def open(self, **headers: str) -> int:
        number, frame = self.spdy.open(**headers)
        await self.send(frame)
        return number

    async def send(self, frame: bytes) -> None:
        await (self.transport.send_all(frame) if hasattr(self.transport, "send_all") else self.transport.send(frame))

    async def until(self, *ended: int) -> None:
        with trio.fail_after(20):
            while not set(ended) <= self.ended:
                await self.step()

    async def step(self) -> None:
        data = await self._receive()
        assert data, "the server has closed"
        for event in self.spdy.events(data):
            if isinstance(event, spdy.Data):
                self.data[event.stream] += event.data
                self.ended |= {event.stream} if event.end else set()
            elif isinstance(event, spdy.Ping):
                self.pings.append(event.number)

    async def _receive(self) -> bytes:
        if hasattr(self.transport, "send_all"):
            return bytes(await self.transport.receive_some())
        frame = await self.transport.receive()
        return frame.payload if frame else b""


@pytest.mark.parametrize("code", [0, 3])
async def test_exec(served: Daemon, code: int) -> None:
    path = f"{POD}/exec?command=sh&command=-c&command=cat;echo+err+%3E%262;exit+{code}&stdin=1&stdout=1&stderr=1"
    async with upgraded(served.socket, path, "v9", "v4.channel.k8s.io") as (stream, headers):
        assert headers["x-stream-protocol-version"] == "v4.channel.k8s.io"
        peer = Peer(stream)
        error, stdin, out, err = [await peer.open(streamtype=kind) for kind in ("error", "stdin", "stdout", "stderr")]
        await peer.send(spdy.data(stdin, b"abc") + spdy.ping(7) + spdy.data(stdin, b"def", end=True))
        await peer.until(error, out, err)
    assert (peer.data[out], peer.data[err], peer.pings) == (b"abcdef", b"err\n", [7])
    assert json.loads(peer.data[error])["status"] == ("Failure" if code else "Success")


async def test_a_client_that_goes_takes_its_command_with_it(served: Daemon) -> None:
    async with upgraded(served.socket, f"{POD}/exec?command=sleep&command=600&stdout=1", "v4.channel.k8s.io") as (
        stream,
        _,
    ):
        peer = Peer(stream)
        for kind in ("error", "stdout"):
            await peer.open(streamtype=kind)
    with trio.fail_after(10):
        assert await served.node.sessions[0].wait() == 137


async def test_refusals(served: Daemon) -> None:
    for part, protocol, code, text in (
        ("exec", "v4.channel.k8s.io", 400, "no command"),
        ("exec?command=true", "v1", 403, "no protocol in common"),
        ("status", "v4.channel.k8s.io", 404, ""),
    ):
        head = f"host: x\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\nx-stream-protocol-version: {protocol}\r\n"
        data = f"POST {POD}/{part} HTTP/1.1\r\n{head}content-length: 0\r\n\r\n"
        status, _, body = await served.raw(data.encode())
        assert (status if part != "status" else 404) == code
        assert text in json.loads(body)["message"]


@pytest.fixture
async def echo(served: Daemon, nursery: trio.Nursery) -> int:
    """A server that answers when the client has ended its direction; its port."""

    async def answer(stream: trio.SocketStream) -> None:
        data = b""
        async for piece in stream:
            data += piece
        await stream.send_all(data[::-1])

    listeners = await nursery.start(trio.serve_tcp, answer, 0)
    return int(listeners[0].socket.getsockname()[1])


async def exchange(peer: Peer, port: int, served: Daemon) -> None:
    """Three connections at once, one of them to a port where nobody listens, one thrown away."""
    pairs = []
    for request, wanted in enumerate((port, 1, port, port)):
        numbers = [
            await peer.open(streamtype=kind, port=str(wanted), requestid=str(request)) for kind in ("error", "data")
        ]
        pairs.append(numbers)
    for number, text in zip([data for _, data in pairs], (b"abc", b"", b"lost", bytes(300_000)), strict=True):
        await peer.send(spdy.data(number, text))
    await peer.send(spdy.reset(pairs[2][1]))
    for index in (0, 3):
        await peer.send(spdy.data(pairs[index][1], b"end", end=True))
    await peer.until(*pairs[0], *pairs[1], *pairs[3])
    assert peer.data[pairs[0][1]] == b"dnecba"
    assert peer.data[pairs[3][1]] == b"dne" + bytes(300_000)
    assert (peer.data[pairs[0][0]], peer.data[pairs[1][0]]) == (b"", b"nobody listens on port 1")


async def test_port_forward(served: Daemon, echo: int) -> None:
    async with upgraded(served.socket, f"{POD}/portforward", "portforward.k8s.io") as (stream, headers):
        assert headers["x-stream-protocol-version"] == "portforward.k8s.io"
        await exchange(Peer(stream), echo, served)


async def test_port_forward_in_a_websocket(served: Daemon, echo: int) -> None:
    async with websocket(served.socket, f"{POD}/portforward", "SPDY/3.1+portforward.k8s.io") as client:
        assert client.protocol == "spdy/3.1+portforward.k8s.io"
        await exchange(Peer(client), echo, served)


async def test_port_forward_by_channels(served: Daemon, nursery: trio.Nursery) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all((await stream.receive_some()).upper())

    listeners = await nursery.start(trio.serve_tcp, answer, 0)
    port = int(listeners[0].socket.getsockname()[1])
    async with websocket(served.socket, f"{POD}/portforward?ports={port},1", "v4.channel.k8s.io") as client:
        await client.send(b"\0abc")
        found: dict[int, bytes] = defaultdict(bytes)
        for message in (await client.messages())[:-1]:
            found[message[0]] += message[1:]
    number = port.to_bytes(2, "little")
    assert found == {0: number + b"ABC", 1: number, 2: b"\1\0", 3: b"\1\0nobody listens on port 1"}
