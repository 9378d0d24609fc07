"""pods/NAME/log over a WebSocket: pieces of text as messages, in binary or, with base64.binary.k8s.io, as text."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

import trio
from starlette.websockets import WebSocket

from orchestr.api.errors import BadRequest
from orchestr.server.channels import agreed
from orchestr.server.logs import options, send
from orchestr.server.node import Node

FORMS: Mapping[str, bool] = {"": False, "binary.k8s.io": False, "base64.binary.k8s.io": True}  # whether it is text


async def serve(node: Node, socket: WebSocket, namespace: str, pod: str) -> None:
    """Raises what goes wrong before the WebSocket is accepted."""
    protocol = agreed(socket.scope["subprotocols"], FORMS)
    if protocol is None:
        raise BadRequest("cannot send the log: no sub-protocol in common (offer binary.k8s.io)")
    wanted = options(socket.query_params, datetime.now(UTC))
    lines = await node.logs(namespace, pod, wanted)

    async def emit(piece: bytes) -> None:
        await (socket.send_text(base64.b64encode(piece).decode()) if FORMS[protocol] else socket.send_bytes(piece))

    await socket.accept(subprotocol=protocol or None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_gone, socket, nursery.cancel_scope)
        nursery.start_soon(_stopped, socket.scope["state"]["stopping"], nursery.cancel_scope)
        await send(lines, wanted.limit_bytes, emit)
        nursery.cancel_scope.cancel()
    with suppress(RuntimeError):  # the client has closed
        await socket.close()


async def _gone(socket: WebSocket, scope: trio.CancelScope) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
    scope.cancel()


async def _stopped(stopping: trio.Event, scope: trio.CancelScope) -> None:
    await stopping.wait()
    scope.cancel()
