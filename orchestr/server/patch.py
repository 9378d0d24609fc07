"""PATCH: JSON merge patch, and server-side apply. Other kinds of patch are refused with 415."""

from starlette.responses import Response

from orchestr.api.errors import BadRequest, UnsupportedMedia
from orchestr.server.answer import json_bytes
from orchestr.server.body import json_object
from orchestr.server.call import Call
from orchestr.server.query import dry_run, flag
from orchestr.server.write import addressed, check_validation

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
    check_validation(call)
    change = await json_object(call.request)
    stored = await call.cluster.patch(call.kind, call.key, change, manager=call.manager, dry_run=dry_run(call.query))
    return json_bytes(call.stored(stored))


async def _apply(call: Call) -> Response:
    check_validation(call)
    manager = call.query.get("fieldManager")
    if not manager:
        raise BadRequest("cannot apply: no field manager (give fieldManager=NAME)")
    obj = addressed(call, await json_object(call.request))
    force = flag(call.query, "force")
    done = await call.cluster.apply_one(obj, manager=manager, force=force, dry_run=dry_run(call.query))
    return json_bytes(done.row.data, 201 if done.action == "created" else 200)
