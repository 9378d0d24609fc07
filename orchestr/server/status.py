"""The `status` sub-resource: written by controllers, apart from what users write.

As in Kubernetes, labels and annotations can be written with it, but for custom resources.
"""

from typing import Any

from starlette.responses import Response

from orchestr.server.body import as_object, document, media_type
from orchestr.server.call import Call
from orchestr.server.fieldvalidation import Screen
from orchestr.server.patch import APPLY, Change, applied, apply_one, change
from orchestr.server.query import dry_run
from orchestr.server.write import addressed


async def update(call: Call) -> Response:
    """With uid or resourceVersion in the body only that very object is written; Conflict else."""
    data, twice = await document(call.request)
    sent = addressed(call, as_object(data))
    return await _write(call, lambda wire: sent, Screen(call.kind, call.query.get("fieldValidation"), twice))


async def patch(call: Call) -> Response:
    if media_type(call.request) in APPLY:
        done = await apply_one(call, addressed(call, await applied(call)), "status")
        return call.answer(done.row.data)
    return await _write(call, *await change(call))


def _with(wire: dict[str, Any], changed: Any) -> dict[str, Any]:
    """The stored object with the changed status and metadata: all else is not this sub-resource's to write."""
    metadata = as_object(as_object(changed).get("metadata") or {})
    fixed = {name: wire["metadata"][name] for name in ("name", "namespace") if name in wire["metadata"]}
    return {**wire, "metadata": {**metadata, **fixed}, "status": changed.get("status")}


async def _write(call: Call, changed: Change, screen: Screen) -> Response:
    stored = await call.cluster.modify(
        call.kind,
        call.key,
        lambda wire: _with(wire, changed(wire)),
        part="status",
        manager=call.manager,
        dry_run=dry_run(call.query),
        decode=screen.decode,
    )
    call.warnings.extend(screen.warnings)
    return call.answer(call.stored(stored))
