"""The `scale` sub-resource of Deployment and ReplicaSet: autoscaling/v1 Scale."""

from typing import Any

from starlette.responses import Response

from orchestr.api.base import KubeObject
from orchestr.api.errors import BadRequest, Cause, Invalid
from orchestr.server.answer import json_data
from orchestr.server.body import json_object
from orchestr.server.call import Call
from orchestr.server.patch import MERGE, media_type, unsupported
from orchestr.server.query import dry_run

COPIED = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale(obj: KubeObject) -> dict[str, Any]:
    """The Scale of an object that has spec.replicas and spec.selector."""
    wire = obj.wire()
    spec, status = wire.get("spec") or {}, wire.get("status") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: wire["metadata"][name] for name in COPIED if name in wire["metadata"]},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {"replicas": status.get("replicas", 0), "selector": _selector(spec.get("selector") or {})},
    }


def _selector(selector: dict[str, Any]) -> str:
    if not selector.keys() & {"matchLabels", "matchExpressions"}:  # a ReplicationController's
        selector = {"matchLabels": selector}
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for each in selector.get("matchExpressions") or []:
        key, operator, values = each["key"], each["operator"], ",".join(each.get("values") or [])
        terms.append({"Exists": key, "DoesNotExist": f"!{key}"}.get(operator, f"{key} {operator.lower()} ({values})"))
    return ",".join(terms)


async def get(call: Call) -> Response:
    return json_data(scale(call.row().object))


async def update(call: Call) -> Response:
    return await _write(call, await json_object(call.request))


async def patch(call: Call) -> Response:
    if (given := media_type(call)) != MERGE:
        raise unsupported(given, MERGE)
    return await _write(call, await json_object(call.request))


async def _write(call: Call, wanted: dict[str, Any]) -> Response:
    spec, metadata = wanted.get("spec") or {}, wanted.get("metadata") or {}
    if not isinstance(spec, dict) or not isinstance(metadata, dict):
        raise BadRequest('cannot read the body: no Scale (send {"spec": {"replicas": 3}})')
    replicas = spec.get("replicas", 0)
    if type(replicas) is not int or replicas < 0:
        cause = Cause("spec.replicas", f"Invalid value: {replicas!r}: must be a whole number, not negative")
        raise Invalid(f'Scale "{call.name}" is invalid: {cause.field}: {cause.message}', causes=[cause])
    change: dict[str, Any] = {"spec": {"replicas": replicas}}
    if revision := metadata.get("resourceVersion"):
        change["metadata"] = {"resourceVersion": revision}
    return json_data(
        scale(await call.cluster.patch(call.kind, call.key, change, manager=call.manager, dry_run=dry_run(call.query)))
    )
