"""Requests that become SPDY, as kubectl made them before 1.31 and as it makes them when a WebSocket is refused.

HTTP/1.1 `Upgrade: SPDY/3.1` on pods/NAME/exec, attach and portforward. hypercorn knows no other upgrade than the one
to WebSocket, so the head of each connection's first request is looked at before hypercorn gets it; only such a
request is taken from it. Clients open a connection of its own for each.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import unquote

import h11
import trio
from starlette.datastructures import QueryParams
from starlette.responses import Response

from orchestr.api.errors import BadRequest, Forbidden
from orchestr.server import exec as exec_
from orchestr.server import portforward
from orchestr.server.answer import Scope
from orchestr.server.channels import agreed
from orchestr.server.node import Command, Node
from orchestr.server.paths import Target, target
from orchestr.server.session import Session, converse
from orchestr.server.spdycarrier import VERSIONS, SpdyStreams
from orchestr.server.spdylink import Bytes, Link
from orchestr.server.turns import Turn

PARTS = (b"/exec", b"/attach", b"/portforward")
UPGRADE = b"spdy/3.1"
PROTOCOL, ACCEPTED = "X-Stream-Protocol-Version", "X-Accepted-Stream-Protocol-Versions"
REST = 64 * 1024  # bytes of a request's body that are read, and forgotten, before a refusal

Admit = Callable[[Scope, Turn], Awaitable[None]]
Refuse = Callable[[Exception], Response]


class Head(NamedTuple):
    """A request that asks for SPDY."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]

    @property
    def protocols(self) -> list[str]:
        return [
            each.strip()
            for name, value in self.headers
            if name == PROTOCOL.lower().encode()
            for each in value.decode("latin-1").split(",")
        ]

    def scope(self, state: Any) -> Scope:
        """As ASGI has it; a WebSocket's, for what it may do is the same."""
        path, _, query = self.target.partition(b"?")
        return {
            "type": "websocket",
            "method": self.method,
            "path": unquote(path.decode("ascii", "replace")),
            "query_string": query,
            "headers": self.headers,
            "state": state,
        }


def candidate(data: bytes) -> bool:
    """Whether the first bytes of a connection may be such a request: only then the whole head is waited for."""
    line = data.partition(b"\r\n")[0]
    path = line.partition(b"?")[0].removesuffix(b" HTTP/1.1")
    return b"/pods/" in path and path.endswith(PARTS)


def head_of(data: bytes) -> Head | None:
    """Of a whole head; None when it asks for something else, or makes no sense: hypercorn answers that."""
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(data)
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request):
        return None
    headers = [(bytes(name), bytes(value)) for name, value in event.headers]
    wanted = [value.lower() for name, value in headers if name == b"upgrade"]
    return Head(event.method.decode(), event.target, headers) if UPGRADE in wanted else None


class Upgraded(Bytes):
    """The bytes of a connection; the first ones may have come with the head."""

    def __init__(self, stream: Any, rest: bytes) -> None:
        self._stream, self._rest = stream, rest

    async def receive(self) -> bytes:
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        return bytes(await self._stream.receive_some(65536))

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(data)


class Upgrade:
    """What is done with such requests; `refuse` makes an answer of an error."""

    def __init__(self, node: Node, turn: Callable[[], Turn], admit: Admit, refuse: Refuse) -> None:
        self._node, self._turn, self._admit, self._refuse = node, turn, admit, refuse

    async def serve(self, head: Head, transport: Upgraded, state: Any) -> None:
        """The whole connection."""
        with self._turn() as turn:
            await self._serve(head, transport, state, turn)

    async def _serve(self, head: Head, transport: Upgraded, state: Any, turn: Turn) -> None:
        scope = head.scope(state)
        try:
            await self._admit(scope, turn)
            where, query = target(scope["path"]), QueryParams(scope["query_string"])
            if not where.name or where.group or where.plural != "pods":
                raise BadRequest(f"cannot upgrade {scope['path']}: it has no streams")
            go_on = await self._begin(where, query, head, state["stopping"])
        except Exception as error:
            await transport.send(_answer(self._refuse(error)))
            return
        await go_on(transport)

    async def _begin(
        self, where: Target, query: QueryParams, head: Head, stopping: trio.Event
    ) -> Callable[[Upgraded], Awaitable[None]]:
        """Raises what goes wrong while it can still be told by HTTP."""
        if where.sub == "portforward":
            protocol = _agreed(head, [portforward.PROTOCOL])
            connect = await self._node.forward(where.namespace, where.name)
            return partial(_forward, protocol, connect, stopping)
        wanted = exec_.command(query, where.sub)
        protocol = _agreed(head, list(VERSIONS))
        session = await exec_.begin(self._node, where.sub, where.namespace, where.name, wanted)
        return partial(_converse, protocol, session, wanted, stopping)


async def _forward(protocol: str, connect: Any, stopping: trio.Event, transport: Upgraded) -> None:
    await transport.send(_switch(protocol))
    await portforward.forward(transport, connect, stopping)


async def _converse(
    protocol: str, session: Session, wanted: Command, stopping: trio.Event, transport: Upgraded
) -> None:
    carrier = SpdyStreams(Link(transport), wanted, VERSIONS[protocol])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(carrier.run)
        try:
            await transport.send(_switch(protocol))
            there = await carrier.ready()
        except BaseException:
            with trio.CancelScope(shield=True):
                await session.hang_up()
            session.close()
            raise
        if there:
            await converse(carrier, session, stopping)
        else:
            await session.hang_up()
            session.close()
        nursery.cancel_scope.cancel()


def _agreed(head: Head, known: Sequence[str]) -> str:
    protocol = agreed(head.protocols, dict.fromkeys(known))
    if protocol is None:
        raise NoProtocol(f"cannot upgrade: no protocol in common (offer {known[0]})", known)
    return protocol


class NoProtocol(Forbidden):
    def __init__(self, text: str, known: Sequence[str]) -> None:
        super().__init__(text)
        self.known = known


def _switch(protocol: str) -> bytes:
    lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: SPDY/3.1", f"{PROTOCOL}: {protocol}"]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def _answer(response: Response) -> bytes:
    """An answer after which the connection is closed."""
    head = [f"HTTP/1.1 {response.status_code} Refused"]
    head += [f"{name.decode()}: {value.decode()}" for name, value in (*response.raw_headers, (b"connection", b"close"))]
    return "".join(f"{line}\r\n" for line in (*head, "")).encode() + bytes(response.body)
