"""How lists and maps merge in server-side apply: Kubernetes' x-kubernetes-list-type, -list-map-keys and -map-type.

What is not named here: maps are granular (each key is a field), lists are atomic (one value). Custom resources bring
these marks in their schema: their paths begin with a Root.
Source: api/openapi-spec of Kubernetes 1.33. A path is the field names from the root, "[]" for an item of a list.
"""

from collections.abc import Mapping
from typing import Any

from orchestr.api import scheme
from orchestr.api.custom import Custom

Path = tuple[str, ...]


class Root(str):
    """The beginning of a path in a custom resource: it knows the schema."""

    schema: Mapping[str, Any]

    def at(self, path: Path) -> Mapping[str, Any]:
        """The schema of the field at this path below the root; {} where it says nothing."""
        schema: Any = self.schema
        for name in path:
            if not isinstance(schema, Mapping):
                return {}
            known = (schema.get("properties") or {}).get(name)
            schema = schema.get("items") if name == "[]" else known or schema.get("additionalProperties")
        return schema if isinstance(schema, Mapping) else {}


def root(wire: Mapping[str, Any]) -> Path:
    """Where paths into this object begin: () for Kubernetes' kinds, whose marks are below."""
    kind = scheme.BY_NAME.get((str(wire.get("apiVersion")), str(wire.get("kind"))))
    if kind is None or not issubclass(kind, Custom):
        return ()
    start = Root("")
    start.schema = kind.SCHEMA
    return (start,)


def _marks(path: Path) -> Mapping[str, Any] | None:
    """The schema at this path of a custom resource's own fields; None for all else."""
    if not path or not isinstance(path[0], Root) or path[1:2] == ("metadata",):
        return None
    return path[0].at(path[1:])


def _known(path: Path) -> Path:
    """The path as the tables below have it."""
    return path[1:] if path and isinstance(path[0], Root) else path


# Last field of the path -> the keys that tell items of the list apart.
LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "matchConditions": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "schedulingGates": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "variables": ("name",),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
    "webhooks": ("name",),
}
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
SETS = frozenset({("metadata", "finalizers")})  # lists of unique scalars
ATOMIC_MAPS = frozenset(
    {"configMapKeyRef", "fieldRef", "labelSelector", "nodeSelector", "resourceFieldRef", "secretKeyRef", "selector"}
)
KEY_DEFAULTS: Mapping[str, Any] = {"protocol": "TCP"}


def list_keys(path: Path) -> tuple[str, ...]:
    """The keys of the list at this path, () when it is atomic."""
    if (marks := _marks(path)) is not None:
        keyed_ = marks.get("x-kubernetes-list-type") == "map"
        return tuple(marks.get("x-kubernetes-list-map-keys") or ()) if keyed_ else ()
    path = _known(path)
    if path[-1] == "ports":
        if path == ("spec", "ports"):
            return ("port", "protocol")  # Service
        return ("containerPort", "protocol") if path[-2:-1] == ("[]",) and path[-3] in CONTAINERS else ()
    return LIST_KEYS.get(path[-1], ())


def item_key(item: Any, keys: tuple[str, ...]) -> dict[str, Any] | None:
    """What identifies the item; None when it lacks a key, so that the list can only be taken as a whole."""
    if not isinstance(item, dict):
        return None
    key = {name: item.get(name, KEY_DEFAULTS.get(name)) for name in keys}
    return None if None in key.values() else key


def keyed(value: Any, path: Path) -> tuple[str, ...]:
    """The keys of this list value, () when it has to be taken as a whole: atomic, an item without key, or twins."""
    keys = list_keys(path) if isinstance(value, list) else ()
    if not keys:
        return ()
    found = [item_key(item, keys) for item in value]
    if None in found or any(key in found[:index] for index, key in enumerate(found)):
        return ()
    return keys


def granular(value: Any, path: Path) -> bool:
    """Whether this map's keys are fields of their own."""
    if not isinstance(value, dict):
        return False
    if (marks := _marks(path)) is not None:
        return marks.get("x-kubernetes-map-type") != "atomic"
    path = _known(path)
    return not path or path[-1] not in ATOMIC_MAPS


def is_set(path: Path) -> bool:
    """Whether the list at this path is one of unique scalars."""
    if (marks := _marks(path)) is not None:
        return marks.get("x-kubernetes-list-type") == "set"
    return _known(path) in SETS
