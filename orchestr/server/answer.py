"""Answers: JSON as it is in the store, errors as `Status`, lines as they come."""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import trio
from starlette.responses import Response

from orchestr.api.errors import ApiError
from orchestr.server.log import log, pairs

JSON = "application/json"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
Emit = Callable[[bytes], Awaitable[None]]


def dump(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def json_bytes(body: bytes, status: int = 200) -> Response:
    """A body that is JSON already."""
    return Response(body, status, media_type=JSON)


def json_data(data: Any, status: int = 200) -> Response:
    return json_bytes(dump(data), status)


def failure(error: ApiError) -> Response:
    """A `Status` body with its code. Clients try again by themselves, and tell nobody, where it says after how long."""
    response = json_data(error.status(), error.code)
    if after := error.details.get("retryAfterSeconds", 1 if error.code == 503 else 0):
        response.headers["retry-after"] = str(after)
    return response


def success(details: dict[str, Any] | None = None, status: int = 200) -> Response:
    """What a delete answers when nothing is left to show."""
    said: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    said |= {"code": status} if status != 200 else {}
    return json_data({**said, **({"details": details} if details else {})}, status)


def warning(text: str) -> str:
    """A Warning header's value: RFC 7234, 5.5; Kubernetes' agent is "-"."""
    plain = "".join(char if " " <= char <= "~" else "?" for char in text[:2048])
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'


def internal(error: BaseException, path: str) -> ApiError:
    """What a client hears of a bug; the cause goes to the log, one line, without the traceback's text."""
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
    log.error(pairs("request failed", path=path, error=type(error).__name__, cause=str(error)[:256], at=place))
    return ApiError(f"cannot serve {path}: internal error, {type(error).__name__} (the daemon's log has the cause)")


class Pieces(Response):
    """A large body that is there already, sent piece by piece: others get their turn between any two of them."""

    def __init__(self, pieces: Iterable[bytes], status: int, media_type: str, length: int | None = None) -> None:
        """`length`: of the whole, if it is known."""
        super().__init__(None, status, media_type=media_type)
        del self.headers["content-length"]
        if length is not None:
            self.headers["content-length"] = str(length)
        self.pieces, self.length = pieces, length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await trio.lowlevel.checkpoint()  # also when the client has gone, or takes whatever it gets
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Stream(Response):
    """A body that is sent piece by piece, until `run` returns, the client goes, or the server stops.

    `run` gets `emit`, which sends one piece and waits while the client is slower; it is cancelled when the client goes.
    """

    def __init__(self, run: Callable[[Emit], Awaitable[None]], media_type: str, *, patient: bool = False) -> None:
        """`patient`: the client may stop reading for as long as it likes."""
        super().__init__(None, 200, media_type=media_type)
        del self.headers["content-length"]
        self.run, self.patient = run, patient

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.patient:
            scope["state"]["patience"]()

        async def emit(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_gone, receive, nursery.cancel_scope)
            nursery.start_soon(_stopped, scope["state"]["stopping"], nursery.cancel_scope)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self.run(emit)
            nursery.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _stopped(stopping: trio.Event, scope: trio.CancelScope) -> None:
    await stopping.wait()
    scope.cancel()
