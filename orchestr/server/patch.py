"""PATCH: JSON merge patch, and server-side apply. Other kinds of patch are refused with 415."""

from typing import Any

from starlette.responses import Response

from orchestr.api.errors import BadRequest, UnsupportedMedia
from orchestr.server.answer import json_bytes
from orchestr.server.body import json_object
from orchestr.server.call import Call
from orchestr.server.query import dry_run, flag
from orchestr.server.write import addressed
from orchestr.store.table import kind_name

MERGE = "application/merge-patch+json"
APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")


def media_type(call: Call) -> str:
    return call.request.headers.get("content-type", "").split(";")[0].strip().lower()


def unsupported(given: str, *served: str) -> UnsupportedMedia:
    return UnsupportedMedia(
        f"cannot patch: {given[:100] or 'no content-type'} is not supported (use {' or '.join(served)})"
    )


async def patch(call: Call) -> Response:
    given = media_type(call)
    if given == MERGE:
        return await _merge(call)
    if given in APPLY:
        return await _apply(call)
    raise unsupported(given, MERGE, APPLY[0])


async def _merge(call: Call) -> Response:
    change = await json_object(call.request)
    stored = await call.cluster.patch(call.kind, call.key, change, dry_run=dry_run(call.query))
    return json_bytes(stored.canonical())


async def _apply(call: Call) -> Response:
    manager = call.query.get("fieldManager")
    if not manager:
        raise BadRequest("cannot apply: no field manager (give fieldManager=NAME)")
    obj: dict[str, Any] = addressed(call, await json_object(call.request))
    existed = call.store.table.get(kind_name(call.kind), call.key) is not None
    stored = await call.cluster.apply(
        obj, manager=manager, force=flag(call.query, "force"), dry_run=dry_run(call.query)
    )
    return json_bytes(stored.canonical(), 200 if existed else 201)
