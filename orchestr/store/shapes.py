"""How lists and maps merge in server-side apply: Kubernetes' x-kubernetes-list-type, -list-map-keys and -map-type.

Kubernetes' own types have these marks in api/merging.py, custom resources in their schema. Where nothing is said, maps
are granular (each key is a field) and lists are atomic (one value). A path is a Root, which knows the schema, then the
names of fields, "[]" for an item of a list. Without a Root only metadata is known.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from orchestr.api import merging, schema, scheme
from orchestr.api.custom import Custom

Path = tuple[str, ...]
METADATA = "meta.v1.ObjectMeta"
PROTOCOL: Mapping[str, Any] = {"protocol": "TCP"}  # the one key of Kubernetes' types that may be left out


class Shape(NamedTuple):
    """How the value at a path merges."""

    keys: tuple[str, ...] = ()  # what tells the items of a list apart; () for an atomic one
    members: bool = False  # a list of unique scalars
    atomic: bool = False  # a map that is one value
    defaults: Mapping[str, Any] = {}  # of keys that an item may leave out


PLAIN = Shape()


class Root(str):
    """The beginning of a path in one of Kubernetes' types."""

    type_name: str

    def shape(self, path: Path) -> Shape:
        return _typed(self.type_name, path)


class CustomRoot(Root):
    """The beginning of a path in a custom resource."""

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

    def shape(self, path: Path) -> Shape:
        marks = self.at(path)
        list_type = marks.get("x-kubernetes-list-type")
        keys = tuple(marks.get("x-kubernetes-list-map-keys") or ()) if list_type == "map" else ()
        fields = (marks.get("items") or {}).get("properties") or {} if keys else {}
        defaults = {key: fields[key]["default"] for key in keys if "default" in fields.get(key, {})}
        return Shape(keys, list_type == "set", marks.get("x-kubernetes-map-type") == "atomic", defaults)


def root(wire: Mapping[str, Any]) -> Path:
    """Where paths into this object begin."""
    api_version, name = str(wire.get("apiVersion")), str(wire.get("kind"))
    kind = scheme.BY_NAME.get((api_version, name))
    if kind is not None and issubclass(kind, Custom):
        custom = CustomRoot("")
        custom.schema = kind.SCHEMA
        return (custom,)
    type_name = schema.tables().kinds.get(f"{api_version} {name}")
    return typed(type_name) if type_name else ()


def typed(type_name: str) -> Path:
    """Where paths into a value of this type of Kubernetes begin."""
    start = Root("")
    start.type_name = type_name
    return (start,)


def shape(path: Path) -> Shape:
    start, rest = (path[0], path[1:]) if path and isinstance(path[0], Root) else (None, path)
    if rest[:1] == ("metadata",):
        return _typed(METADATA, rest[1:])
    return start.shape(rest) if start is not None else PLAIN


@lru_cache(4096)
def _typed(type_name: str, path: Path) -> Shape:
    code, marks = "@" + type_name, merging.NONE
    for name in path:
        code, marks = _below(code, name)
    keys = tuple(marks.get("list-map-keys") or ()) if marks.get("list-type") == "map" else ()
    defaults = PROTOCOL if "protocol" in keys else {}
    return Shape(keys, marks.get("list-type") == "set", marks.get("map-type") == "atomic", defaults)


def _below(code: str, name: str) -> tuple[str, merging.Marks]:
    """The code (schema.py) and the marks of a field, of a list's item, or of a map's value."""
    if code[:1] == "@":
        known = schema.tables().types.get(code[1:], {})
        return known.get(name, "*").rstrip("!"), merging.marks(code[1:], name)
    inside = code[:1] == ("[" if name == "[]" else "{")
    return code[1:] if inside else "*", merging.NONE


def item_key(item: Any, keys: Sequence[str], defaults: Mapping[str, Any]) -> dict[str, Any] | None:
    """What identifies the item; None when it lacks a key, so that the list can only be taken as a whole."""
    if not isinstance(item, dict):
        return None
    key = {name: item.get(name, defaults.get(name)) for name in keys}
    return None if None in key.values() else key


def item_keys(value: Any, path: Path) -> list[dict[str, Any]]:
    """What identifies each item of this list; [] when it is one value: atomic, or a key is missing or there twice."""
    how = shape(path) if isinstance(value, list) else PLAIN
    if not how.keys:
        return []
    found = [item_key(item, how.keys, how.defaults) for item in value]
    if any(key is None or key in found[:index] for index, key in enumerate(found)):
        return []
    return [key for key in found if key is not None]


def granular(value: Any, path: Path) -> bool:
    """Whether this map's keys are fields of their own."""
    return isinstance(value, dict) and not shape(path).atomic


def is_set(path: Path) -> bool:
    """Whether the list at this path is one of unique scalars."""
    return shape(path).members
