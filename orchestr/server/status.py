"""The `status` sub-resource: written by controllers, apart from what users write."""

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from orchestr.server.answer import json_bytes
from orchestr.server.body import json_object
from orchestr.server.call import Call
from orchestr.server.patch import MERGE, media_type, unsupported
from orchestr.server.query import dry_run
from orchestr.server.write import addressed, check_validation
from orchestr.store.mergepatch import merge_patch


async def update(call: Call) -> Response:
    """With uid or resourceVersion in the body only that very object is written; Conflict else."""
    body = addressed(call, await json_object(call.request))
    return await _write(call, lambda wire: _with(wire, body, body.get("status")))


async def patch(call: Call) -> Response:
    if (given := media_type(call)) != MERGE:
        raise unsupported(given, MERGE)
    body = addressed(call, await json_object(call.request))
    return await _write(call, lambda wire: _with(wire, body, merge_patch(wire.get("status"), body.get("status", {}))))


def _with(wire: dict[str, Any], body: dict[str, Any], status: Any) -> dict[str, Any]:
    """The stored object with another status, and the preconditions that the body's metadata holds."""
    given = body["metadata"]
    conditions = {name: given[name] for name in ("uid", "resourceVersion") if given.get(name)}
    return {**wire, "metadata": {**wire["metadata"], **conditions}, "status": status}


async def _write(call: Call, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Response:
    check_validation(call)
    stored = await call.cluster.modify(call.kind, call.key, change, status=True, dry_run=dry_run(call.query))
    return json_bytes(call.stored(stored))
