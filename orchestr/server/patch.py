"""PATCH: JSON patch, merge patch, strategic merge patch, and server-side apply."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from orchestr.api import schema
from orchestr.api.base import KubeObject
from orchestr.api.errors import BadRequest, Cause, Invalid, UnsupportedMedia
from orchestr.api.scheme import gvk
from orchestr.server.advice import advice
from orchestr.server.body import Twice, as_object, body, from_yaml, leniently, media_type, shallow
from orchestr.server.call import Call
from orchestr.server.fieldvalidation import Screen
from orchestr.server.query import dry_run, flag
from orchestr.server.write import addressed
from orchestr.store.applying import Applied
from orchestr.store.jsonpatch import json_patch, operations
from orchestr.store.mergepatch import merge_patch
from orchestr.store.strategic import strategic_merge

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = ("application/apply-patch+yaml", "application/apply-patch+json")

Change = Callable[[Any], Any]


def _unsupported(kind: type[KubeObject], given: str) -> UnsupportedMedia:
    served = [JSON_PATCH, MERGE, *([STRATEGIC] if _type_name(kind) else []), APPLY[0]]
    return UnsupportedMedia(
        "the body of the request was in an unknown format - accepted media types include: "
        f"{', '.join(served)}; {given[:100] or 'no content-type'} is not supported"
    )


def _type_name(kind: type[KubeObject]) -> str | None:
    """The name of one of Kubernetes' own types, whose lists merge strategically."""
    api_version, name = gvk(kind)
    return schema.tables().kinds.get(f"{api_version} {name}")


async def change(
    call: Call, kind: type[KubeObject] | None = None, type_name: str | None = None
) -> tuple[Change, Screen]:
    """What the body does to a wire object, and the screen for the outcome."""
    kind, given = kind or call.kind, media_type(call.request)
    type_name = type_name or _type_name(kind)
    if given not in (JSON_PATCH, MERGE) and not (given == STRATEGIC and type_name):
        raise _unsupported(kind, given)
    patch, twice = leniently(await body(call.request))
    screen = Screen(kind, call.query.get("fieldValidation"), twice)
    if given == JSON_PATCH:
        steps = operations(patch)
        return (lambda wire: shallow(json_patch(wire, steps))), screen
    patch = as_object(patch)
    if given == MERGE:
        return (lambda wire: merge_patch(wire, patch)), screen
    return (lambda wire: strategic_merge(wire, patch, str(type_name))), screen


async def patch(call: Call) -> Response:
    if media_type(call.request) in APPLY:
        return await _apply(call)
    changed, screen = await change(call)
    if "force" in call.query:
        why = "Forbidden: may not be specified for non-apply patch"
        raise Invalid(
            f'PatchOptions.meta.k8s.io "" is invalid: force: {why}', causes=[Cause("force", why, "FieldValueForbidden")]
        )
    stored = await call.cluster.modify(
        call.kind, call.key, changed, manager=call.manager, dry_run=dry_run(call.query), decode=screen.decode
    )
    call.warnings.extend(screen.warnings)
    return call.answer(call.stored(stored))


async def _apply(call: Call) -> Response:
    done = await apply_one(call, addressed(call, await applied(call)))
    if done.action == "created":
        call.warnings.extend(advice(call.cluster, done.object))
    return call.answer(done.row.data, 201 if done.action == "created" else 200)


async def apply_one(call: Call, obj: Mapping[str, Any], part: str = "") -> Applied:
    """Server-side apply of an object, or of what its sub-resource `part` shows, as the query says."""
    if not call.query.get("fieldManager"):
        raise BadRequest(
            "cannot apply: no field manager; fieldManager is required for apply patch (give fieldManager=NAME)"
        )
    force, dry = flag(call.query, "force"), dry_run(call.query)
    try:
        return await call.cluster.apply_one(obj, manager=call.manager or "", force=force, dry_run=dry, part=part)
    except Invalid as error:
        raise _undeclared(call, error) or error from None


def _undeclared(call: Call, error: Invalid) -> Invalid | None:
    """What Kubernetes says of fields that no schema declares; None when there are none."""
    unknown = [cause for cause in error.causes if cause.reason == "FieldValueUnknown"]
    if not unknown:
        return None
    told = [f".{cause.field}: field not declared in schema" for cause in unknown]
    text = told[0] if len(told) == 1 else "errors:\n  " + "\n  ".join(told)
    api_version, kind = gvk(call.kind)
    what = f"{call.namespace or ''}/{call.name}; {api_version}, Kind={kind}"
    text = f"failed to create typed patch object ({what}): {text}"
    return Invalid(text, causes=error.causes, details=error.details)


def _tell_twice(call: Call, twice: Sequence[Twice]) -> None:
    """Under Strict BadRequest, under Warn a warning for keys that the configuration has twice."""
    names = [each.rpartition(".")[2] for each in twice]
    told = [f'line {each.line}: key "{name}" already set in map' for each, name in zip(twice, names, strict=True)]
    level = call.query.get("fieldValidation") or "Warn"
    if level == "Strict":
        raise BadRequest("error strict decoding YAML: unmarshal errors:\n  " + "\n  ".join(told))
    if level == "Warn":
        call.warnings.extend(told)


async def applied(call: Call) -> dict[str, Any]:
    """The configuration in an apply patch: YAML, of which JSON is a part and quicker to read."""
    data = await body(call.request)
    given, twice = (leniently if data.lstrip()[:1] == b"{" else from_yaml)(data)
    if twice:
        _tell_twice(call, twice)
    found = as_object(given)
    metadata = found.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    return found
