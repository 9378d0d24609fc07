"""/openapi/v3, a document for each group version, and /openapi/v2, all in one.

A document is made when it is first asked for, in a thread, and kept while its kinds are the same; its hash is in the
index's addresses, so that clients keep it too.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import trio
from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.base import KubeObject
from orchestr.api.registration import APIService
from orchestr.api.scheme import served
from orchestr.server import discovery, openapiproto
from orchestr.server.answer import dump, json_bytes, json_data
from orchestr.server.openapipaths import PATCH, PATCH_OF_OURS, STATUS, operations, patches
from orchestr.server.openapischemas import full_name, name_of, schemas
from orchestr.server.paths import unknown

Object = dict[str, Any]
Kinds = tuple[type[KubeObject], ...]
COMMON = ("meta.v1.Status", "meta.v1.DeleteOptions", "autoscaling.v1.Scale")
OTHER_BODIES = {
    "Scale": "autoscaling.v1.Scale",
    "Eviction": "policy.v1.Eviction",
    "Binding": "core.v1.Binding",
    "TokenRequest": "authentication.v1.TokenRequest",
}
ITEMS: Mapping[str, Object] = {"array": {"items": {"type": "object"}}}
MEDIA = ("application/json", "application/yaml")


async def respond(request: Request, path: str) -> Response:
    if path == "/openapi/v2":
        if openapiproto.wanted(request.headers.get("accept", "").split(",")):
            return Response(await trio.to_thread.run_sync(_v2_protobuf), media_type=openapiproto.MEDIA)
        return json_bytes(await trio.to_thread.run_sync(_v2))
    if path == "/openapi/v3":
        return json_data({"paths": await trio.to_thread.run_sync(_index)})
    where = _group_version(path.removeprefix("/openapi/v3/"))
    if where is None:
        raise unknown(path)
    response = json_bytes(await trio.to_thread.run_sync(_v3, *where))
    response.headers["etag"] = f'"{_hash(*where)}"'
    return response


def _group_versions() -> list[tuple[str, str]]:
    return [(group, version) for group, versions in discovery.groups().items() for version in versions]


def _address(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _group_version(address: str) -> tuple[str, str] | None:
    return next((each for each in _group_versions() if _address(*each) == address), None)


def _index() -> Object:
    return {
        _address(*each): {"serverRelativeURL": f"/openapi/v3/{_address(*each)}?hash={_hash(*each)}"}
        for each in _group_versions()
    }


def _hash(group: str, version: str) -> str:
    return _digest(group, version, _kinds(group, version))


def _v3(group: str, version: str) -> bytes:
    return _document(group, version, _kinds(group, version))


def _v2_protobuf() -> bytes:
    return openapiproto.document(json.loads(_v2()))


def _v2() -> bytes:
    return _whole(_all_kinds())


@lru_cache(maxsize=256)
def _digest(group: str, version: str, kinds: Kinds) -> str:
    return hashlib.sha256(_document(group, version, kinds)).hexdigest()[:32].upper()


def _kinds(group: str, version: str) -> Kinds:
    return tuple(kind for kind in _all_kinds() if (group, version) == (kind.GROUP, kind.VERSION))


def _all_kinds() -> Kinds:
    return (*served(), APIService)


@lru_cache(maxsize=256)
def _document(group: str, version: str, kinds: Kinds) -> bytes:
    def ref(name: str) -> Object:
        return {"allOf": [{"$ref": f"#/components/schemas/{name}"}]}

    def answer(name: str) -> Object:
        return {"content": {media: {"schema": ref(name)["allOf"][0]} for media in MEDIA}}

    def body(name: str) -> Object:
        if name in (PATCH, PATCH_OF_OURS):
            kinds = {media: "array" if "json-patch" in media else "object" for media in patches(ours=name != PATCH)}
            return {"content": {m: {"schema": {"type": t, **ITEMS.get(t, {})}} for m, t in kinds.items()}}
        return answer(name)

    paths = _paths(group, version, kinds, body, answer, flat=False)
    components = {"schemas": schemas(kinds, COMMON + _bodies(group, version), ref)}
    return dump({"openapi": "3.0.0", "info": _info(), "paths": paths, "components": components})


@lru_cache(maxsize=2)
def _whole(kinds: Kinds) -> bytes:
    def ref(name: str) -> Object:
        return {"$ref": f"#/definitions/{name}"}

    def body(name: str) -> Object:
        return {"schema": {"type": "object"} if name in (PATCH, PATCH_OF_OURS) else ref(name)}

    paths: Object = {}
    more: set[str] = set(COMMON)
    for group, version in _group_versions():
        paths |= _paths(group, version, _kinds(group, version), body, body, flat=True)
        more |= set(_bodies(group, version))
    definitions = schemas(kinds, sorted(more), ref)
    return dump({"swagger": "2.0", "info": _info(), "paths": paths, "definitions": definitions})


def _info() -> Object:
    return {"title": "orch, in Kubernetes' shapes", "version": str(discovery.version()["gitVersion"])}


def _resources(group: str, version: str) -> Iterable[Mapping[str, Any]]:
    if (group, version) == discovery.METRICS:
        return ()
    found: Iterable[Mapping[str, Any]] = discovery.resource_list(group, version)["resources"]
    return found


def _bodies(group: str, version: str) -> tuple[str, ...]:
    """Types that only sub-resources speak."""
    found = {OTHER_BODIES.get(each["kind"]) for each in _resources(group, version)}
    return tuple(sorted(name for name in found if name))


def _paths(
    group: str,
    version: str,
    kinds: Iterable[type[KubeObject]],
    body: Callable[[str], Object],
    answer: Callable[[str], Object],
    *,
    flat: bool,
) -> Object:
    names = {kind.__name__: name_of(kind) for kind in kinds}
    found: Object = {}
    for resource in _resources(group, version):
        other = OTHER_BODIES.get(resource["kind"])
        schema = full_name(other) if other else names.get(resource["kind"], STATUS)
        for path, method, operation in operations(resource, group, version, schema, body, answer, flat=flat):
            found.setdefault(f"/{_address(group, version)}/{path}", {})[method] = operation
    return found
