"""POST, PUT and DELETE of objects and collections."""

import json
from typing import Any, TypedDict

import trio
from starlette.responses import Response

from orchestr.api.base import Key, KubeObject
from orchestr.api.custom import Custom
from orchestr.api.errors import ApiError, BadRequest, Cause, Invalid, NotFound
from orchestr.api.scheme import gvk
from orchestr.engine.cluster import Propagation
from orchestr.server import content, views
from orchestr.server.advice import advice
from orchestr.server.answer import success
from orchestr.server.body import as_object, body, document, media_type, reader_of
from orchestr.server.call import Call
from orchestr.server.fieldvalidation import Screen
from orchestr.server.query import dry_run, number
from orchestr.server.read import selected, selection
from orchestr.store import refusals


async def create(call: Call) -> Response:
    obj = await wanted(call)
    if obj.metadata.resource_version:
        raise BadRequest("resourceVersion should not be set on objects to be created (leave it out)")
    made = await call.cluster.create(obj, manager=call.manager, dry_run=dry_run(call.query))
    call.warnings.extend(advice(call.cluster, made))
    return call.answer(call.stored(made), 201)


async def update(call: Call) -> Response:
    obj = await wanted(call)
    if isinstance(obj, Custom) and not obj.metadata.resource_version:
        call.row()
        why = "Invalid value: 0x0: must be specified for an update"
        raise refusals.invalid(call.kind, call.name, [Cause("metadata.resourceVersion", why)])
    stored = await call.cluster.update(obj, manager=call.manager, dry_run=dry_run(call.query))
    return call.answer(call.stored(stored))


async def wanted(call: Call) -> KubeObject:
    """The object in the body: of the path's kind, in its namespace, with its name. Invalid tells every wrong field."""
    data, twice = await document(call.request)
    screen = Screen(call.kind, call.query.get("fieldValidation"), twice)
    obj = screen.decode(addressed(call, as_object(data)))
    call.warnings.extend(screen.warnings)
    return obj


def addressed(call: Call, data: dict[str, Any]) -> dict[str, Any]:
    """The wire object with apiVersion, kind, namespace and name as the path has them. BadRequest when they differ."""
    api_version, kind = gvk(call.kind)
    metadata = data.get("metadata")
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict):
        raise BadRequest("cannot read the body: metadata is no object (send {...})")
    given = {"apiVersion": data.get("apiVersion"), "kind": data.get("kind")}
    given |= {f"metadata.{field}": metadata.get(field) for field in ("namespace", "name")}
    path = {"apiVersion": api_version, "kind": kind, "metadata.namespace": call.namespace, "metadata.name": call.name}
    for field, value in given.items():
        if value and path[field] and value != path[field]:
            raise BadRequest(
                f"cannot read the body: {field} is {value!r}, the path says {path[field]!r} (make them agree)"
            )
    filled = {"name": call.name or None, "namespace": call.namespace}
    metadata = {**metadata, **{field: value for field, value in filled.items() if value}}
    return {**data, "apiVersion": api_version, "kind": kind, "metadata": metadata}


# What a deletion answers with at once, gone or not: clients decode the answer as the OpenAPI of Kubernetes says.
SHOWN_LAST = frozenset({
    ("", "Pod"), ("", "PodTemplate"), ("", "Service"), ("", "ServiceAccount"), ("", "ResourceQuota"),
    ("", "PersistentVolume"), ("", "PersistentVolumeClaim"), ("storage.k8s.io", "StorageClass"),
    ("storage.k8s.io", "CSIDriver"), ("storage.k8s.io", "CSINode"), ("storage.k8s.io", "VolumeAttachment"),
    ("storage.k8s.io", "VolumeAttributesClass"),
})  # fmt: skip


def shown_last(kind: type[KubeObject]) -> bool:
    return (kind.GROUP, kind.__name__) in SHOWN_LAST


async def delete(call: Call) -> Response:
    """The object while it is ending; a `Status` when it is gone, but for the kinds of SHOWN_LAST."""
    options = deletion(await _options(call))
    last, gone = await call.cluster.remove(call.kind, call.key, **options)
    if not gone or shown_last(call.kind):
        return call.answer(call.stored(last))
    return success({**refusals.details(call.kind, call.name), "uid": last.metadata.uid})


async def delete_collection(call: Call) -> Response:
    options, chosen = deletion(await _options(call)), selection(call.query, call.kind)
    rows = await selected(call.cluster.rows(call.kind, namespace=call.namespace).rows, chosen)
    errors: list[ApiError] = []
    async with trio.open_nursery() as nursery:  # together, so that they share commits of the store
        for row in rows:
            nursery.start_soon(_delete_one, call, row.object.key, options, errors)
    if errors:
        raise errors[0]
    metadata = {"resourceVersion": str(call.cluster.revision)}
    return await views.collected(
        call.kind, content.form(call.request.headers.get("accept")), metadata, [r.data for r in rows]
    )


async def _delete_one(call: Call, key: Key, options: "Deletion", errors: list[ApiError]) -> None:
    try:
        await call.cluster.remove(call.kind, key, **options)
    except NotFound:
        pass  # somebody else was faster
    except ApiError as error:
        errors.append(error)


class Deletion(TypedDict):
    """What LocalCluster.remove takes."""

    propagation: Propagation
    grace: int | None
    uid: str | None
    revision: str | None
    dry_run: bool


def deletion(options: dict[str, Any]) -> Deletion:
    conditions = options.get("preconditions") or {}
    if not isinstance(conditions, dict):
        raise BadRequest("cannot delete: preconditions is no object (send {...})")
    return Deletion(
        propagation=_propagation(options),
        grace=_grace(options),
        uid=conditions.get("uid"),
        revision=conditions.get("resourceVersion"),
        dry_run=_dry_run(options),
    )


async def _options(call: Call) -> dict[str, Any]:
    """DeleteOptions of the body; what is missing there from the query."""
    data = await body(call.request)
    options = reader_of(media_type(call.request))(data)[0] if data.strip() else {}
    if not isinstance(options, dict) or options.get("kind", "DeleteOptions") != "DeleteOptions":
        raise BadRequest('cannot read the body: no DeleteOptions (send {"gracePeriodSeconds": 5} or nothing)')
    known = {
        "kind",
        "apiVersion",
        "gracePeriodSeconds",
        "propagationPolicy",
        "preconditions",
        "dryRun",
        "orphanDependents",
    }
    if unknown := sorted(set(options) - known):
        raise BadRequest(f"cannot read DeleteOptions: {unknown[0]!r} is not supported (use {', '.join(sorted(known))})")
    query: dict[str, Any] = {"gracePeriodSeconds": number(call.query, "gracePeriodSeconds")}
    query |= {
        "propagationPolicy": call.query.get("propagationPolicy"),
        "dryRun": ["All"] if dry_run(call.query) else None,
    }
    return {**{name: value for name, value in query.items() if value is not None}, **options}


def _propagation(options: dict[str, Any]) -> Propagation:
    policy, orphan = options.get("propagationPolicy"), options.get("orphanDependents")
    if policy is not None and orphan is not None:
        raise _refused("propagationPolicy", "orphanDependents and deletionPropagation cannot be both set", policy)
    if orphan:
        return Propagation.ORPHAN
    try:
        return Propagation(policy or Propagation.BACKGROUND)
    except ValueError:
        raise _refused("propagationPolicy", f"must be one of {', '.join(Propagation)}", policy) from None


def _refused(field: str, why: str, value: Any) -> Invalid:
    text = f"{field}: Invalid value: {json.dumps(value)[:64]}: {why}"
    details = {"group": "meta.k8s.io", "kind": "DeleteOptions"}
    return Invalid(
        f'DeleteOptions.meta.k8s.io "" is invalid: {text}',
        causes=[Cause(field, text[len(field) + 2 :])],
        details=details,
    )


def _grace(options: dict[str, Any]) -> int | None:
    grace = options.get("gracePeriodSeconds")
    if grace is not None and (type(grace) is not int or grace < 0):
        raise BadRequest(f"cannot delete: gracePeriodSeconds {grace!r} (give a whole number of seconds)")
    return grace


def _dry_run(options: dict[str, Any]) -> bool:
    wanted = options.get("dryRun") or []
    if wanted not in ([], ["All"]):
        raise BadRequest(f'cannot delete: dryRun {wanted!r} (use ["All"])')
    return bool(wanted)
