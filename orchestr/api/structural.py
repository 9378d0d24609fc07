"""Whether a schema is structural, as apiextensions.k8s.io/v1 asks for. Pure.

Source: staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema of Kubernetes (validation.go, complete.go).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.api import schema as kubernetes
from orchestr.api.cel import CelError, compiled, matches
from orchestr.api.customschema import EMBEDDED, INT_OR_STRING, PRESERVE, Schema, check, fill_in, prune
from orchestr.api.errors import Cause
from orchestr.api.rules import one_of, required

TYPES = ("object", "array", "string", "integer", "number", "boolean")
FORBIDDEN = ("$ref", "$schema", "id", "definitions", "dependencies", "additionalItems", "patternProperties")
# what may not stand inside allOf, anyOf, oneOf and not: it belongs to the schema outside
OUTSIDE = ("description", "type", "default", "additionalProperties", "nullable", "title", PRESERVE, EMBEDDED)
LOGIC = ("allOf", "anyOf", "oneOf")
PROPS = "apiextensions.v1.JSONSchemaProps"
RULES = "x-kubernetes-validations"


def structural(schema: Schema, at: str) -> Iterator[Cause]:
    """Everything that is wrong with the schema of a version."""
    if schema.get("type") != "object":
        yield Cause(f"{at}.type", 'must be "object" at the root')
    yield from _node(schema, at, root=True)


def _node(schema: Any, at: str, *, root: bool = False) -> Iterator[Cause]:
    if not isinstance(schema, Mapping):
        yield Cause(at, "must be a schema")
        return
    yield from _known(schema, at)
    yield from _type(schema, at)
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    if properties and others is not None and others is not False:
        yield _forbidden(f"{at}.additionalProperties", "mutual exclusive with properties")
    if others is False:
        yield _forbidden(f"{at}.additionalProperties", "must not be false: unknown fields are pruned anyway")
    for name, child in properties.items():
        where = f"{at}.properties[{name}]"
        if root and name in ("apiVersion", "kind", "metadata"):
            yield from _own(name, child, where)
        else:
            yield from _node(child, where)
    if isinstance(others, Mapping):
        yield from _node(others, f"{at}.additionalProperties")
    if (items := schema.get("items")) is not None:
        yield from _node(items, f"{at}.items")
    elif schema.get("type") == "array":
        yield required(f"{at}.items", "must be specified")
    yield from _logic(schema, at)
    yield from _list_type(schema, at)
    yield from _values(schema, at)


def _known(schema: Schema, at: str) -> Iterator[Cause]:
    known = kubernetes.tables().types[PROPS]
    for name in schema:
        if name not in known:
            yield kubernetes.unknown((at, name), name, known)
        elif name in FORBIDDEN:
            yield _forbidden(f"{at}.{name}", f"{name} is not supported in a structural schema")
    if schema.get("uniqueItems"):
        yield _forbidden(f"{at}.uniqueItems", "uniqueItems cannot be set to true (use x-kubernetes-list-type: set)")


def _type(schema: Schema, at: str) -> Iterator[Cause]:
    named = schema.get("type")
    if not named:
        if not schema.get(PRESERVE) and not schema.get(INT_OR_STRING):
            yield required(f"{at}.type", "must not be empty for specified object fields")
    else:
        yield from one_of(f"{at}.type", named, TYPES)
    for mark in (PRESERVE, EMBEDDED):
        if schema.get(mark) and named not in (None, "object", "array") and mark == PRESERVE:
            yield Cause(f"{at}.type", f"must be object with {mark}")
    if schema.get(EMBEDDED) and named != "object":
        yield Cause(f"{at}.type", f"must be object with {EMBEDDED}")
    if schema.get(PRESERVE) is False:
        yield Cause(f"{at}.{PRESERVE}", "must be true or undefined")


def _own(name: str, schema: Any, at: str) -> Iterator[Cause]:
    """apiVersion, kind and metadata are Kubernetes' own; a schema may only bound the name."""
    if not isinstance(schema, Mapping):
        yield Cause(at, "must be a schema")
    elif name != "metadata":
        if schema.get("type") not in (None, "string"):
            yield Cause(f"{at}.type", "must be string")
    elif schema.get("type") not in (None, "object"):
        yield Cause(f"{at}.type", "must be object")
    elif extra := sorted(set(schema.get("properties") or {}) - {"name", "generateName"}):
        yield _forbidden(f"{at}.properties[{extra[0]}]", "must not specify anything other than name and generateName")


def _logic(schema: Schema, at: str) -> Iterator[Cause]:
    parts = [(f"{at}.{word}[{i}]", part) for word in LOGIC for i, part in enumerate(schema.get(word) or ())]
    if (negated := schema.get("not")) is not None:
        parts.append((f"{at}.not", negated))
    for where, part in parts:
        yield from _inside(part, schema, where)


def _inside(part: Any, outside: Schema, at: str) -> Iterator[Cause]:
    """A schema inside a combination may only bound what the schema outside specifies."""
    if not isinstance(part, Mapping):
        yield Cause(at, "must be a schema")
        return
    free = outside.get(INT_OR_STRING) and {"type"}
    for name in OUTSIDE:
        if name in part and not (free and name in free):
            yield _forbidden(f"{at}.{name}", "must be empty to be structural")
    for name, child in (part.get("properties") or {}).items():
        known = (outside.get("properties") or {}).get(name)
        where = f"{at}.properties[{name}]"
        if known is None and not isinstance(outside.get("additionalProperties"), Mapping):
            if not outside.get(PRESERVE):
                yield required(where, f"must be specified outside of the combination too, because {name} is used in it")
        else:
            yield from _inside(child, known or outside["additionalProperties"], where)
    if isinstance(part.get("items"), Mapping):
        yield from _inside(part["items"], outside.get("items") or {}, f"{at}.items")
    for word in LOGIC:
        for index, child in enumerate(part.get(word) or ()):
            yield from _inside(child, outside, f"{at}.{word}[{index}]")
    if isinstance(part.get("not"), Mapping):
        yield from _inside(part["not"], outside, f"{at}.not")


def _list_type(schema: Schema, at: str) -> Iterator[Cause]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    yield from one_of(f"{at}.x-kubernetes-list-type", kind, ("atomic", "set", "map"))
    yield from one_of(f"{at}.x-kubernetes-map-type", schema.get("x-kubernetes-map-type"), ("atomic", "granular"))
    if kind is not None and schema.get("type") != "array":
        yield Cause(f"{at}.type", "must be array if x-kubernetes-list-type is specified")
    if (kind == "map") != bool(keys):
        yield required(f"{at}.x-kubernetes-list-map-keys", "goes with x-kubernetes-list-type: map, and only with it")
    items = schema.get("items")
    if kind == "map" and keys and isinstance(items, Mapping):
        fields = items.get("properties") or {}
        for key in keys:
            if key not in fields:
                yield Cause(f"{at}.x-kubernetes-list-map-keys", f"entries must all be names of item properties: {key}")
            elif key not in (items.get("required") or ()) and "default" not in fields[key]:
                field = f"{at}.items.properties[{key}].default"
                yield required(
                    field, "this property is in x-kubernetes-list-map-keys, so it must have a default or be required"
                )


def _values(schema: Schema, at: str) -> Iterator[Cause]:
    """Patterns and rules must compile; defaults must be valid."""
    if (pattern := schema.get("pattern")) is not None:
        try:
            matches("", pattern)
        except CelError:
            yield Cause(f"{at}.pattern", f"must be a valid regular expression, but is {pattern!r}")
    for index, rule in enumerate(schema.get(RULES) or ()):
        for field in ("rule", "messageExpression"):
            if source := rule.get(field):
                try:
                    compiled(source)
                except CelError as error:
                    yield Cause(f"{at}.{RULES}[{index}].{field}", f"compilation failed: {error}")
    if "default" in schema:
        found: list[Any] = []
        value = prune(schema["default"], schema, found, ("",))
        if found:
            yield Cause(f"{at}.default", "must not have unknown fields")
        for cause in check(fill_in(value, schema), schema):
            yield Cause(f"{at}.default" + (f".{cause.field}" if cause.field else ""), cause.message, cause.reason)


def _forbidden(field: str, message: str) -> Cause:
    return Cause(field, message, "FieldValueForbidden")
