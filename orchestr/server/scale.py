"""The `scale` sub-resource of kinds that have replicas: autoscaling/v1 Scale."""

import json
from typing import Any

from starlette.responses import Response

from orchestr.api.errors import BadRequest, Cause, Invalid
from orchestr.server import content, views
from orchestr.server.answer import dump
from orchestr.server.body import as_object, document, media_type
from orchestr.server.call import Call
from orchestr.server.cells import requirement
from orchestr.server.patch import APPLY, Change, change
from orchestr.server.query import dry_run

COPIED = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale(wire: dict[str, Any]) -> dict[str, Any]:
    """The Scale of an object that has spec.replicas and spec.selector."""
    spec, status = wire.get("spec") or {}, wire.get("status") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: wire["metadata"][name] for name in COPIED if name in wire["metadata"]},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {"replicas": status.get("replicas", 0), "selector": _selector(spec.get("selector") or {})},
    }


def _selector(selector: dict[str, Any]) -> str:
    """As a query parameter; a ReplicationController's is a plain map."""
    if not {"matchLabels", "matchExpressions"} & set(selector):
        selector = {"matchLabels": selector}
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    return ",".join([*terms, *(requirement(each) for each in selector.get("matchExpressions") or ())])


async def get(call: Call) -> Response:
    return _answer(call, json.loads(call.row().data))


async def update(call: Call) -> Response:
    data, _ = await document(call.request)
    sent = as_object(data)
    return await _write(call, lambda wire: sent)


async def patch(call: Call) -> Response:
    if media_type(call.request) in APPLY:
        raise BadRequest("cannot apply a scale: not supported (use a merge patch)")
    changed, _ = await change(call, type_name="autoscaling.v1.Scale")
    return await _write(call, changed)


async def _write(call: Call, changed: Change) -> Response:
    def scaled(wire: dict[str, Any]) -> dict[str, Any]:
        before = scale(wire)
        wanted = as_object(changed(before))
        metadata = {**wire["metadata"], **_conditions(wanted)}
        return {**wire, "metadata": metadata, "spec": {**wire["spec"], "replicas": _replicas(call, wanted)}}

    stored = await call.cluster.modify(call.kind, call.key, scaled, manager=call.manager, dry_run=dry_run(call.query))
    return _answer(call, stored.wire())


def _answer(call: Call, wire: dict[str, Any]) -> Response:
    return views.answer(dump(scale(wire)), content.form(call.request.headers.get("accept")))


def _replicas(call: Call, wanted: dict[str, Any]) -> int:
    spec = wanted.get("spec") or {}
    replicas = spec.get("replicas", 0) if isinstance(spec, dict) else None
    if type(replicas) is not int or replicas < 0:
        cause = Cause("spec.replicas", f"Invalid value: {replicas!r}: must be greater than or equal to 0")
        raise Invalid(f'Scale "{call.name}" is invalid: {cause.field}: {cause.message}', causes=[cause])
    return replicas


def _conditions(wanted: dict[str, Any]) -> dict[str, Any]:
    metadata = wanted.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise BadRequest('cannot read the body: no Scale (send {"spec": {"replicas": 3}})')
    return {name: metadata[name] for name in ("uid", "resourceVersion") if metadata.get(name)}
