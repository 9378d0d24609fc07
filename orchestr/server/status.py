"""The `status` sub-resource: written by controllers, apart from what users write."""

from typing import Any

from starlette.responses import Response

from orchestr.api.base import KubeObject, Model
from orchestr.api.errors import BadRequest
from orchestr.api.scheme import decode
from orchestr.server.answer import json_bytes
from orchestr.server.body import json_object
from orchestr.server.call import Call
from orchestr.server.patch import MERGE, media_type, unsupported
from orchestr.server.read import row
from orchestr.server.write import wanted
from orchestr.store import refusals


async def update(call: Call) -> Response:
    return await _write(call, wanted(call, await json_object(call.request)))


async def patch(call: Call) -> Response:
    if (given := media_type(call)) != MERGE:
        raise unsupported(given, MERGE)
    change = await json_object(call.request)
    stored = row(call.store, call.kind, call.key).object
    metadata = change.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise BadRequest("cannot read the body: metadata is no object (send {...})")
    wire = stored.wire()
    named = {name: metadata[name] for name in ("uid", "resourceVersion") if name in metadata}
    base = {name: value for name, value in wire["metadata"].items() if name != "resourceVersion"}
    status = merged(wire.get("status"), change.get("status", {}))
    return await _write(call, decode({**wire, "metadata": {**base, **named}, "status": status}))


async def _write(call: Call, obj: KubeObject) -> Response:
    """With uid or resourceVersion in the body only that very object is written; Conflict else."""
    stored = row(call.store, call.kind, call.key).object
    uid, revision = obj.metadata.uid, obj.metadata.resource_version
    if uid and uid != stored.metadata.uid:
        raise refusals.replaced(call.kind, call.name, uid, stored.metadata.uid)
    if revision and revision != stored.metadata.resource_version:
        raise refusals.modified(call.kind, call.name)
    status: Model | None = getattr(obj, "status", None)
    if status is None:
        raise BadRequest("cannot write the status: the body has none (send status: {...})")
    written = await call.cluster.patch_status(stored, status)
    return json_bytes(written.canonical())


def merged(target: Any, change: Any) -> Any:
    """JSON merge patch, RFC 7386."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
