"""How lists and maps merge in server-side apply: Kubernetes' x-kubernetes-list-type, -list-map-keys and -map-type.

What is not named here: maps are granular (each key is a field), lists are atomic (one value).
Source: api/openapi-spec of Kubernetes 1.33. A path is the field names from the root, "[]" for an item of a list.
"""

from collections.abc import Mapping
from typing import Any

Path = tuple[str, ...]

# Last field of the path -> the keys that tell items of the list apart.
LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "schedulingGates": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
SETS = frozenset({("metadata", "finalizers")})  # lists of unique scalars
ATOMIC_MAPS = frozenset(
    {"configMapKeyRef", "fieldRef", "labelSelector", "nodeSelector", "resourceFieldRef", "secretKeyRef", "selector"}
)
KEY_DEFAULTS: Mapping[str, Any] = {"protocol": "TCP"}


def list_keys(path: Path) -> tuple[str, ...]:
    """The keys of the list at this path, () when it is atomic."""
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
    return isinstance(value, dict) and (not path or path[-1] not in ATOMIC_MAPS)
