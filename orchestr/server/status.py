"""The `status` sub-resource: written by controllers, apart from what users write."""

from typing import Any

from starlette.responses import Response

from orchestr.api.errors import BadRequest
from orchestr.server.body import as_object, document, media_type
from orchestr.server.call import Call
from orchestr.server.fieldvalidation import Screen
from orchestr.server.patch import APPLY, Change, change
from orchestr.server.query import dry_run
from orchestr.server.write import addressed


async def update(call: Call) -> Response:
    """With uid or resourceVersion in the body only that very object is written; Conflict else."""
    data, twice = await document(call.request)
    sent = addressed(call, as_object(data))
    return await _write(call, lambda wire: sent, Screen(call.kind, call.query.get("fieldValidation"), twice))


async def patch(call: Call) -> Response:
    if media_type(call.request) in APPLY:
        raise BadRequest("cannot apply a status: not supported (use a merge patch)")
    return await _write(call, *await change(call))


def _with(wire: dict[str, Any], changed: Any) -> dict[str, Any]:
    """The stored object with another status, and the preconditions that the changed metadata holds."""
    given = as_object(changed).get("metadata") or {}
    conditions = {name: given[name] for name in ("uid", "resourceVersion") if given.get(name)}
    return {**wire, "metadata": {**wire["metadata"], **conditions}, "status": changed.get("status")}


async def _write(call: Call, changed: Change, screen: Screen) -> Response:
    stored = await call.cluster.modify(
        call.kind,
        call.key,
        lambda wire: _with(wire, changed(wire)),
        status=True,
        dry_run=dry_run(call.query),
        decode=screen.decode,
    )
    call.warnings.extend(screen.warnings)
    return call.answer(call.stored(stored))
