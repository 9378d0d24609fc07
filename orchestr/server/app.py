"""The application: who may, what is asked for, and every error as a `Status`.

starlette gives requests, responses and WebSockets; its router is not used, because Kubernetes' paths are read by one
rule (paths.py) and an unknown path or method is answered with a `Status`.
"""

from contextlib import suppress
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from orchestr.api.base import Key
from orchestr.api.errors import ApiError, Invalid, Unavailable
from orchestr.images.seam import ImageError
from orchestr.runtime.seam import RuntimeFailure
from orchestr.server import streams
from orchestr.server.access import Access
from orchestr.server.answer import Message, Receive, Scope, Send, failure, internal
from orchestr.server.inbound import SOON, Inbound
from orchestr.server.node import Node
from orchestr.server.paths import target, unknown
from orchestr.server.query import FALSE
from orchestr.server.routes import Routes
from orchestr.server.streams import STREAMS
from orchestr.server.turns import Turn
from orchestr.server.upgrade import Upgrade
from orchestr.store.caller import acting
from orchestr.store.local import LocalCluster


class App:
    """The ASGI application of one daemon."""

    def __init__(self, cluster: LocalCluster, node: Node, access: Access | None = None) -> None:
        self.node, self.access = node, access or Access(cluster)
        self.routes = Routes(cluster, node, self.access)
        self.upgrade = Upgrade(
            node, self.access.turns.turn, self._admit, lambda error: failure(as_api_error(error, "an upgrade"))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        inbound = Inbound(receive)
        with self.access.turns.turn() as turn:
            await self._answered(scope, inbound, send, turn)

    async def _answered(self, scope: Scope, inbound: Inbound, send: Send, turn: Turn) -> None:
        response = await self._response(scope, inbound, turn)
        if not turn.long:  # its client may take its time to read
            turn.end()
        # A body that nobody wanted is read to its end: hypercorn cannot end a response before its request. A client
        # that is slow with it gets the answer first.
        drained = await inbound.drain(SOON)
        try:
            await response(scope, inbound.receive, send if drained else unfinished(send))
            if not drained and (drained := await inbound.drain()):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except Exception as error:  # half an answer is out: only the end of the connection tells the client
            internal(error, scope["path"])
            drained = False
        if not drained:
            scope["state"]["connection"].cancel()

    async def _admit(self, scope: Scope, turn: Turn) -> None:
        """Returns when the request may be carried out."""
        user, wanted = self.access.admit(scope), scope["wanted"]
        await turn.begin(user, wanted)
        if (wanted.group, wanted.resource) == ("", "pods") and wanted.sub in STREAMS:
            options = stream_options(wanted.sub, QueryParams(scope["query_string"]))
            with acting(user.wire(), []):
                await self.routes.cluster.connect(Key(wanted.namespace, wanted.name), wanted.sub, options)

    async def _response(self, scope: Scope, inbound: Inbound, turn: Turn) -> Response:
        try:
            await self._admit(scope, turn)
            return await self.routes.respond(Request(scope, inbound.receive))
        except Exception as error:
            return failure(as_api_error(error, scope["path"]))

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        accepted = False

        async def note(message: Message) -> None:
            nonlocal accepted
            accepted = accepted or message["type"] == "websocket.accept"
            await send(message)

        try:
            with self.access.turns.turn() as turn:
                await self._admit(scope, turn)
                where = target(scope["path"]) if scope["path"].startswith(("/api/", "/apis/")) else None
                if where is None or where.group or where.plural != "pods" or where.sub not in STREAMS:
                    raise unknown(scope["path"])
                scope["state"]["patience"]()
                await streams.serve(self.node, WebSocket(scope, receive, note), where)
        except Exception as error:
            reason = as_api_error(error, scope["path"])
            if not accepted:
                await socket.send_denial_response(failure(reason))
            else:
                with suppress(RuntimeError):  # the client is gone
                    await socket.close(1011)


def stream_options(sub: str, query: QueryParams) -> dict[str, Any]:
    """PodExecOptions and its like, as policies and webhooks see them."""
    if sub == "portforward":
        return {"ports": [int(port) for port in query.getlist("ports") if port.isdecimal()]}
    found: dict[str, Any] = {name: query.get(name, "") not in FALSE for name in ("stdin", "stdout", "stderr", "tty")}
    found |= {"container": query["container"]} if query.get("container") else {}
    return found | ({"command": query.getlist("command")} if sub == "exec" else {})


def unfinished(send: Send) -> Send:
    """Sends a response whole, but does not say that it is."""

    async def more(message: Message) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

    return more


def as_api_error(error: BaseException, path: str) -> ApiError:
    """What the client is told of an exception; a bug is logged."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RuntimeFailure | ImageError):
        return Invalid(str(error), details={"kind": type(error).__name__})
    if isinstance(error, OSError) and error.errno == 28:  # ENOSPC
        return Unavailable("cannot write: no space left on the device (free some)")
    return internal(error, path)
