"""The `scale` sub-resource of kinds that have replicas: autoscaling/v1 Scale."""

import json
from typing import Any, ClassVar

from starlette.responses import Response

from orchestr.api.base import KubeObject
from orchestr.api.custom import Custom
from orchestr.api.definition import CustomResourceSubresourceScale
from orchestr.api.errors import BadRequest, Cause, Invalid
from orchestr.api.scheme import gvk
from orchestr.server import content, views
from orchestr.server.answer import dump
from orchestr.server.body import as_object, document, media_type
from orchestr.server.call import Call
from orchestr.server.cells import requirement
from orchestr.server.patch import APPLY, Change, applied, apply_one, change
from orchestr.server.query import dry_run

SCALE = "autoscaling/v1"


class Scale(KubeObject):
    """For its name and columns; it is never stored."""

    GROUP: ClassVar[str] = "autoscaling"

    api_version: str = SCALE
    kind: str = "Scale"


COPIED = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale(wire: dict[str, Any], kind: type[KubeObject] | None = None) -> dict[str, Any]:
    """The Scale of an object that has spec.replicas and spec.selector; of a custom resource by its definition."""
    spec, status = wire.get("spec") or {}, wire.get("status") or {}
    if paths := _paths(kind):
        spec = {"replicas": _at(wire, paths.spec_replicas_path) or 0}
        status = {"replicas": _at(wire, paths.status_replicas_path) or 0}
        selector = str(_at(wire, paths.label_selector_path or "") or "")
    else:
        selector = _selector(spec.get("selector") or {})
    return {
        "kind": "Scale",
        "apiVersion": SCALE,
        "metadata": {name: wire["metadata"][name] for name in COPIED if name in wire["metadata"]},
        "spec": {"replicas": spec.get("replicas", 0)},
        "status": {"replicas": status.get("replicas", 0), "selector": selector},
    }


def _paths(kind: type[KubeObject] | None) -> CustomResourceSubresourceScale | None:
    return kind.SCALE if kind is not None and issubclass(kind, Custom) else None


def _at(wire: Any, path: str) -> Any:
    """The value at a path such as .spec.replicas."""
    for name in path.strip(".").split("."):
        wire = wire.get(name) if isinstance(wire, dict) else None
    return wire


def _with(wire: dict[str, Any], names: list[str], value: Any) -> dict[str, Any]:
    first, *rest = names
    return {**wire, first: _with(wire.get(first) or {}, rest, value) if rest else value}


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
        return await _apply(call)
    changed, _ = await change(call, type_name="autoscaling.v1.Scale")
    return await _write(call, changed)


async def _apply(call: Call) -> Response:
    """An apply of the object itself, of its count alone. What else is in the Scale is not to be set."""
    wanted = await applied(call)
    if wanted.get("kind", "Scale") != "Scale" or wanted.get("apiVersion", SCALE) != SCALE:
        raise BadRequest(f"cannot read the body: no Scale of {SCALE} (send one with spec.replicas)")
    api_version, kind = gvk(call.kind)
    metadata = {"name": call.name, "namespace": call.namespace, **_conditions(wanted)}
    obj: dict[str, Any] = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
    if "replicas" in (wanted.get("spec") or {}):
        obj = _with(obj, _place(call), _replicas(call, wanted))
    done = await apply_one(call, obj, "scale")
    return _answer(call, done.object.wire())


def _place(call: Call) -> list[str]:
    """The fields above the count, and it."""
    paths = _paths(call.kind)
    return paths.spec_replicas_path.strip(".").split(".") if paths else ["spec", "replicas"]


async def _write(call: Call, changed: Change) -> Response:
    def scaled(wire: dict[str, Any]) -> dict[str, Any]:
        before = scale(wire, call.kind)
        wanted = as_object(changed(before))
        metadata = {**wire["metadata"], **_conditions(wanted)}
        return _with({**wire, "metadata": metadata}, _place(call), _replicas(call, wanted))

    stored = await call.cluster.modify(
        call.kind, call.key, scaled, part="scale", manager=call.manager, dry_run=dry_run(call.query)
    )
    return _answer(call, stored.wire())


def _answer(call: Call, wire: dict[str, Any]) -> Response:
    form = content.form(call.request.headers.get("accept"), content.OBJECT_VIEWS)
    return views.one(Scale, call.query, form, dump(scale(wire, call.kind)))


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
