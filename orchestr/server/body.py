"""Reading what a client sends: bounded in size and in time."""

import json
from contextlib import aclosing
from typing import Any

import trio
from starlette.requests import ClientDisconnect, Request

from orchestr.api.errors import ApiError, BadRequest, TooLarge

LIMIT = 3 * 1024 * 1024  # bytes; Kubernetes' limit for one object
PATIENCE = 30.0  # seconds for a whole body of at most LIMIT


class Slow(ApiError):
    code, reason = 408, "Timeout"


async def body(request: Request, limit: int = LIMIT) -> bytes:
    """The whole body. TooLarge, or Slow when it does not arrive within PATIENCE."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    data = bytearray()
    try:
        with trio.fail_after(PATIENCE):
            async with aclosing(request.stream()) as pieces:
                async for piece in pieces:
                    data += piece
                    if len(data) > limit:
                        raise _too_large(limit)
    except trio.TooSlowError:
        raise Slow(f"cannot read the request: no end of the body after {PATIENCE:.0f} s (send it faster)") from None
    except ClientDisconnect:
        raise BadRequest("cannot read the request: the client closed the connection (send the whole body)") from None
    return bytes(data)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"cannot read the request: the body is larger than {limit} bytes (split it)")


async def json_object(request: Request, limit: int = LIMIT) -> dict[str, Any]:
    """The body as a JSON object. BadRequest with line and column when it is none."""
    data = parse(await body(request, limit))
    if not isinstance(data, dict):
        raise BadRequest(f"cannot read the body: a JSON {_kind(data)} where an object is needed (send {{...}})")
    return data


def _kind(data: Any) -> str:
    return {list: "array", str: "string", type(None): "null", bool: "boolean"}.get(type(data), "number")


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def parse(data: bytes) -> Any:
    """Strict JSON: no NaN, no key twice."""
    try:
        return json.loads(data, object_pairs_hook=_no_twice, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise BadRequest(f"cannot read the body: byte {error.start} is no UTF-8 (send JSON in UTF-8)") from None
    except RecursionError:
        raise BadRequest("cannot read the body: nested too deeply (flatten it)") from None
    except ValueError as error:
        raise BadRequest(f"cannot read the body: {error} (send JSON)") from None


def _no_twice(items: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(items)
    if len(data) != len(items):
        seen: set[str] = set()
        twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} occurs twice")
    return data
