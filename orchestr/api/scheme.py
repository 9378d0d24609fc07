"""The kinds that this machine serves, and the way from wire data to objects.

`decode` is for what people and programs send: strict, and it tells everything that is wrong at once. `load` is for
bytes that the store wrote itself: as fast as pydantic reads JSON.
"""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from orchestr.api import core
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.base import KubeObject
from orchestr.api.batch import Job
from orchestr.api.discovery import EndpointSlice
from orchestr.api.errors import Cause, Invalid

K = TypeVar("K", bound=KubeObject)

KINDS: tuple[type[KubeObject], ...] = (
    core.ConfigMap,
    core.Event,
    core.Namespace,
    core.Node,
    core.PersistentVolumeClaim,
    core.Pod,
    core.ResourceQuota,
    core.Secret,
    core.Service,
    Deployment,
    ReplicaSet,
    Job,
    EndpointSlice,
)


class UnknownKind(Invalid):
    """No such kind is served; the message names the nearest."""


def gvk(kind: type[KubeObject]) -> tuple[str, str]:
    """(apiVersion, kind) on the wire."""
    return (f"{kind.GROUP}/{kind.VERSION}" if kind.GROUP else kind.VERSION), kind.__name__


BY_NAME = {gvk(kind): kind for kind in KINDS}
BY_PLURAL = {(kind.GROUP, kind.VERSION, kind.PLURAL): kind for kind in KINDS}


def kind_of(api_version: str, kind: str) -> type[KubeObject]:
    """The model of a served kind. Raises UnknownKind with the nearest."""
    found = BY_NAME.get((api_version, kind))
    if found is None:
        near = get_close_matches(kind, [name for _, name in BY_NAME], 1)
        raise UnknownKind(f"no kind {kind!r} in {api_version!r}" + (f" (did you mean {near[0]}?)" if near else ""))
    return found


def by_plural(group: str, version: str, plural: str) -> type[KubeObject] | None:
    """The kind at a path: /apis/GROUP/VERSION/.../PLURAL; group "" is /api."""
    return BY_PLURAL.get((group, version, plural))


def load(kind: type[K], data: bytes) -> K:
    """An object from bytes that were written by `canonical()`. Raises pydantic.ValidationError for anything else."""
    return kind.model_validate_json(data)


def decode(data: Mapping[str, Any]) -> KubeObject:
    """An object from wire data of unknown origin. Raises Invalid with one cause for each problem."""
    kind = kind_of(str(data.get("apiVersion", "")), str(data.get("kind", "")))
    try:
        return kind.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        causes = [Cause(".".join(map(str, e["loc"])), e["msg"]) for e in error.errors(include_url=False)]
        raise Invalid(f"cannot read {kind.__name__}: {len(causes)} problems", causes=causes) from error
