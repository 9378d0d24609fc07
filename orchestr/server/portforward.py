"""pods/NAME/portforward: connections into a pod's network.

Over SPDY (also in a WebSocket) a client opens two streams for a connection, with the headers `port`, `requestid` and
`streamtype` data or error; its text on the error stream is why there is none. Each may end its direction alone.
Over v4.channel.k8s.io there is one connection for each port asked for: channel 2i its bytes, 2i+1 its error, both
begin with the port in two bytes, the lower first. Over v5.channel.k8s.io, which is orch's own here, the client may end
its direction of a channel, as in exec.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio
from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from orchestr.api.errors import BadRequest
from orchestr.server.channels import Channels, agreed
from orchestr.server.node import Connect, Node, Unreachable
from orchestr.server.session import Piece
from orchestr.server.spdylink import Bytes, Gone, Link, Stream

PROTOCOL = "portforward.k8s.io"
TUNNEL = f"SPDY/3.1+{PROTOCOL}"
CHANNELS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io", "")
OFFERED = dict.fromkeys((TUNNEL, *CHANNELS), True)
PIECE = 64 * 1024  # bytes read at a time
WAITING = 1024  # halves of connections whose other half has not come


def ports(query: QueryParams) -> list[int]:
    """Of Kubernetes' PodPortForwardOptions. BadRequest."""
    found = [each for value in query.getlist("ports") for each in value.split(",") if each]
    if not found:
        raise BadRequest("cannot forward: no port (give ports=...)")
    return [port_of(text) for text in found]


def port_of(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:6]) < 1 << 16:
        raise BadRequest(f"cannot forward: {text[:16]!r} is no port (give a number from 1 to 65535)")
    return int(text)


async def serve(node: Node, socket: WebSocket, namespace: str, pod: str) -> None:
    """Raises what goes wrong before the WebSocket is accepted."""
    protocol = agreed(socket.scope["subprotocols"], OFFERED)
    if protocol is None:
        raise BadRequest(f"cannot forward: no sub-protocol in common (offer {TUNNEL})")
    wanted = ports(socket.query_params) if protocol != TUNNEL else []
    connect = await node.forward(namespace, pod)
    stopping: trio.Event = socket.scope["state"]["stopping"]
    if protocol == TUNNEL:
        await socket.accept(subprotocol=protocol)
        await forward(Tunnel(socket), connect, stopping)
        with suppress(RuntimeError):  # the client has closed
            await socket.close(1000)
    else:
        await _channels(Channels(socket, protocol), wanted, connect, stopping)


class Tunnel(Bytes):
    """SPDY in the binary messages of a WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def receive(self) -> bytes:
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            if data := message.get("bytes"):
                return bytes(data)
        return b""

    async def send(self, data: bytes) -> None:
        try:
            await self._socket.send_bytes(data)
        except RuntimeError as error:  # closed
            raise trio.ClosedResourceError from error


async def forward(transport: Bytes, connect: Connect, stopping: trio.Event) -> None:
    """Until the client goes or the daemon stops."""
    link = Link(transport)
    async with trio.open_nursery() as nursery:
        pairs = _Pairs(nursery, connect)
        nursery.start_soon(_stop, stopping, link, nursery.cancel_scope)
        await link.run(pairs.opened)
        nursery.cancel_scope.cancel()


async def _stop(stopping: trio.Event, link: Link, scope: trio.CancelScope) -> None:
    await stopping.wait()
    await link.close()
    scope.cancel()


class _Pairs:
    """Streams until both of a connection are there."""

    def __init__(self, nursery: trio.Nursery, connect: Connect) -> None:
        self._nursery, self._connect = nursery, connect
        self._halves: dict[str, dict[str, Stream]] = {}

    def opened(self, stream: Stream) -> None:
        request = stream.headers.get("requestid") or str(stream.number)  # before 1.2 they came in turns
        kind = stream.headers.get("streamtype", "")
        if kind not in ("data", "error") or (request not in self._halves and len(self._halves) >= WAITING):
            self._nursery.start_soon(stream.end)
            return
        halves = self._halves.setdefault(request, {})
        halves[kind] = stream
        if len(halves) == 2:
            del self._halves[request]
            self._nursery.start_soon(connection, halves["data"], halves["error"], self._connect)


async def connection(data: Stream, error: Stream, connect: Connect) -> None:
    """One forwarded connection, from its two streams to its end."""
    try:
        try:
            async with await connect(port_of(data.headers.get("port", ""))) as peer:
                await _both(data, peer)
        except (Unreachable, BadRequest) as why:
            await error.send(str(why).encode())
        await data.end()
        await error.end()
    except Gone:
        return


async def _both(data: Stream, peer: trio.SocketStream) -> None:
    """Until the pod has said everything, or the client has thrown the connection away."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_gone, data, nursery.cancel_scope)
        nursery.start_soon(_up, data, peer)
        with suppress(Gone):
            await pieces(peer, data.send)
        nursery.cancel_scope.cancel()


async def _until_gone(data: Stream, scope: trio.CancelScope) -> None:
    await data.gone.wait()
    scope.cancel()


async def _up(data: Stream, peer: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError, Gone):  # the pod reads no more; it may still write
        while piece := await data.receive():
            await peer.send_all(piece)
        await peer.send_eof()


async def pieces(peer: trio.SocketStream, send: Callable[[bytes], Awaitable[None]]) -> None:
    """What the pod writes, to the end of its direction."""
    while True:
        try:
            piece = await peer.receive_some(PIECE)
        except trio.BrokenResourceError:  # reset
            return
        if not piece:
            return
        await send(piece)


async def _channels(carrier: Channels, wanted: list[int], connect: Connect, stopping: trio.Event) -> None:
    await carrier.socket.accept(subprotocol=carrier.protocol or None)
    for index, port in enumerate(wanted):
        for channel in (2 * index, 2 * index + 1):
            await carrier.send(channel, port.to_bytes(2, "little"))
    async with trio.open_nursery() as nursery:
        inboxes: list[trio.MemorySendChannel[bytes]] = []
        done = _Count(len(wanted), nursery.cancel_scope)
        for index, port in enumerate(wanted):
            inbox, outbox = trio.open_memory_channel[bytes](0)
            inboxes.append(inbox)
            nursery.start_soon(partial(_one, carrier, index, port, connect, outbox, done))
        nursery.start_soon(_close_when, stopping, nursery.cancel_scope)
        while (piece := await carrier.receive()) is not None:
            await _deliver(piece, inboxes)
        nursery.cancel_scope.cancel()
    with suppress(RuntimeError):  # the client has closed
        await carrier.socket.close()


class _Count:
    """Of connections that are not over; the last one ends the session."""

    def __init__(self, left: int, scope: trio.CancelScope) -> None:
        self._left, self._scope = left, scope

    def down(self) -> None:
        self._left -= 1
        if not self._left:
            self._scope.cancel()


async def _close_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _deliver(piece: Piece, inboxes: list[trio.MemorySendChannel[bytes]]) -> None:
    index, error = divmod(piece.channel, 2)
    if error or index >= len(inboxes):
        return
    if piece.end:
        inboxes[index].close()
        return
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # that connection, or its direction, is over
        await inboxes[index].send(piece.data)


async def _one(
    carrier: Channels, index: int, port: int, connect: Connect, inbox: trio.MemoryReceiveChannel[bytes], done: _Count
) -> None:
    with inbox:
        try:
            async with await connect(port) as peer, trio.open_nursery() as nursery:
                nursery.start_soon(_feed, peer, inbox)
                await pieces(peer, partial(carrier.send, 2 * index))
                nursery.cancel_scope.cancel()
        except Unreachable as why:
            await carrier.send(2 * index + 1, str(why).encode())
    done.down()


async def _feed(peer: trio.SocketStream, inbox: trio.MemoryReceiveChannel[bytes]) -> None:
    with suppress(trio.BrokenResourceError):  # the pod reads no more
        async for data in inbox:
            await peer.send_all(data)
        await peer.send_eof()
