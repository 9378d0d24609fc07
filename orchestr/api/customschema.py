"""Values of custom resources against their structural schema: pruned, filled in, checked. Pure.

Source: staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/schema of Kubernetes: pruning, defaulting, validation.
"""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestr.api.cel import CelError, matches
from orchestr.api.errors import Cause, render
from orchestr.api.formats import wrong_format
from orchestr.api.schema import tables

Schema = Mapping[str, Any]
Path = tuple[str | int, ...]

OBJECT_FIELDS = ("apiVersion", "kind", "metadata")  # of the root, and of embedded resources
PRESERVE, EMBEDDED = "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"


def prune(value: Any, schema: Schema, found: list[Path], path: Path = ()) -> Any:
    """The value less what the schema does not name; the paths of what goes are added to `found`."""
    if isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        return [prune(item, items, found, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    keeps = schema.get(PRESERVE) or others is True
    own = OBJECT_FIELDS if not path or schema.get(EMBEDDED) else ()
    kept = {}
    for name, child in value.items():
        if name == "metadata" and name in own:
            kept[name] = _metadata(child, found, (*path, name))
        elif name in own:
            kept[name] = child
        elif name in properties:
            kept[name] = prune(child, properties[name], found, (*path, name))
        elif isinstance(others, Mapping):
            kept[name] = prune(child, others, found, (*path, name))
        elif keeps:
            kept[name] = child
        else:
            found.append((*path, name))
    return kept


def _metadata(value: Any, found: list[Path], path: Path) -> Any:
    if not isinstance(value, dict):
        return value
    known = tables().types["meta.v1.ObjectMeta"]
    found += [(*path, name) for name in value if name not in known]
    return {name: child for name, child in value.items() if name in known}


def fill_in(value: Any, schema: Schema) -> Any:
    """The value with defaults; null, where the schema does not allow it, counts as absent."""
    if isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        return [fill_in(item, items) for item in value]
    if not isinstance(value, dict):
        return value
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    filled = {}
    for name, child in value.items():
        known = properties.get(name) or (others if isinstance(others, Mapping) else None)
        if child is None and known is not None and not known.get("nullable"):
            continue
        filled[name] = child if known is None else fill_in(child, known)
    for name, known in properties.items():
        if name not in filled and "default" in known:
            filled[name] = fill_in(copy.deepcopy(known["default"]), known)
    return filled


def check(value: Any, schema: Schema, path: Path = ()) -> Iterator[Cause]:
    """Everything in which the value differs from the schema, in Kubernetes' words."""
    if value is None:
        if not schema.get("nullable"):
            yield _of_type(path, schema.get("type", "object"), value)
        return
    if not _fits(value, schema):
        yield _of_type(path, "integer,string" if schema.get(INT_OR_STRING) else schema["type"], value)
        return
    yield from _choice(value, schema, path)
    if isinstance(value, str):
        yield from _string(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path)
    elif isinstance(value, dict):
        yield from _map(value, schema, path)
    yield from _combined(value, schema, path)


def invalid(path: Path, value: Any, message: str) -> Cause:
    return Cause(render(path), f"Invalid value: {shown(value)}: {message}", "FieldValueInvalid")


def shown(value: Any) -> str:
    """A value as Kubernetes prints it in an error: large ones by their type."""
    match value:
        case bool():
            return str(value).lower()
        case None:
            return "null"
        case str():
            return '"' + value.replace('"', '\\"') + '"'
        case dict():
            return '"object"'
        case list():
            return '"array"'
        case _:
            return str(value)


def type_name(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case None:
            return "null"
        case list():
            return "array"
        case _:
            return "object"


def _body(path: Path) -> str:
    return f"{render(path)} in body"


def _of_type(path: Path, wanted: str, value: Any) -> Cause:
    message = f'{_body(path)} must be of type {wanted}: "{type_name(value)}"'
    return Cause(render(path), f'Invalid value: "{type_name(value)}": {message}', "FieldValueTypeInvalid")


def _fits(value: Any, schema: Schema) -> bool:
    if schema.get(INT_OR_STRING):
        return type(value) in (int, str)
    match schema.get("type"):
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return not isinstance(value, bool) and (isinstance(value, int) or (type(value) is float and value % 1 == 0))
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case _:
            return True


def _choice(value: Any, schema: Schema, path: Path) -> Iterator[Cause]:
    allowed = schema.get("enum")
    if allowed is not None and not any(type(each) is type(value) and each == value for each in allowed):
        told = ", ".join(shown(each) for each in allowed)
        yield Cause(
            render(path), f"Unsupported value: {shown(value)}: supported values: {told}", "FieldValueNotSupported"
        )


def _string(value: str, schema: Schema, path: Path) -> Iterator[Cause]:
    if (most := schema.get("maxLength")) is not None and len(value) > most:
        yield Cause(render(path), f"Too long: may not be more than {most} bytes", "FieldValueTooLong")
    if (least := schema.get("minLength")) is not None and len(value) < least:
        yield invalid(path, value, f"{_body(path)} should be at least {least} chars long")
    if (pattern := schema.get("pattern")) is not None and not matches(value, pattern):
        yield invalid(path, value, f"{_body(path)} should match '{pattern}'")
    if (name := schema.get("format")) and wrong_format(name, value):
        yield invalid(path, value, f"{_body(path)} must be of type {name}: {shown(value)}")


def _number(value: float, schema: Schema, path: Path) -> Iterator[Cause]:
    least, most, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if least is not None and (value <= least if schema.get("exclusiveMinimum") else value < least):
        how = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid(path, value, f"{_body(path)} should be {how} {least}")
    if most is not None and (value >= most if schema.get("exclusiveMaximum") else value > most):
        how = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield invalid(path, value, f"{_body(path)} should be {how} {most}")
    if step and not math.isclose(value / step, round(value / step), rel_tol=0, abs_tol=1e-9):
        yield invalid(path, value, f"{_body(path)} should be a multiple of {step}")
    bits = {"int32": 31, "int64": 63}.get(schema.get("format", ""))
    if bits and not -(2**bits) <= value < 2**bits:
        yield invalid(path, value, f"{_body(path)} must be of type {schema['format']}: {value}")


def _list(value: Sequence[Any], schema: Schema, path: Path) -> Iterator[Cause]:
    if (most := schema.get("maxItems")) is not None and len(value) > most:
        yield Cause(render(path), f"Too many: {len(value)}: must have at most {most} items", "FieldValueTooMany")
    if (least := schema.get("minItems")) is not None and len(value) < least:
        yield invalid(path, len(value), f"{_body(path)} should have at least {least} items")
    items = schema.get("items")
    if isinstance(items, Mapping):
        for index, item in enumerate(value):
            yield from check(item, items, (*path, index))
    yield from _twins(value, schema, path)


def _twins(value: Sequence[Any], schema: Schema, path: Path) -> Iterator[Cause]:
    """Items of a set or map list must differ."""
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("set", "map"):
        return
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    seen: list[Any] = []
    for index, item in enumerate(value):
        identity = {k: item.get(k) for k in keys} if kind == "map" and isinstance(item, dict) else item
        if identity in seen:
            text = (
                "{" + ",".join(f'"{k}":{shown(v)}' for k, v in identity.items()) + "}" if kind == "map" else shown(item)
            )
            yield Cause(render((*path, index)), f"Duplicate value: {text}", "FieldValueDuplicate")
        seen.append(identity)


def _map(value: Mapping[str, Any], schema: Schema, path: Path) -> Iterator[Cause]:
    for name in schema.get("required") or ():
        if name not in value:
            yield Cause(render((*path, name)), "Required value", "FieldValueRequired")
    if (most := schema.get("maxProperties")) is not None and len(value) > most:
        yield Cause(render(path), f"Too many: {len(value)}: must have at most {most} items", "FieldValueTooMany")
    if (least := schema.get("minProperties")) is not None and len(value) < least:
        yield invalid(path, len(value), f"{_body(path)} should have at least {least} properties")
    properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
    for name, child in value.items():
        if name in properties:
            yield from check(child, properties[name], (*path, name))
        elif isinstance(others, Mapping) and not (not path and name in OBJECT_FIELDS):
            yield from check(child, others, (*path, name))
    if schema.get(EMBEDDED):
        for name in ("apiVersion", "kind"):
            if not value.get(name):
                yield Cause(render((*path, name)), "Required value: must not be empty", "FieldValueRequired")


def _combined(value: Any, schema: Schema, path: Path) -> Iterator[Cause]:
    for part in schema.get("allOf") or ():
        yield from check(value, part, path)
    if (parts := schema.get("anyOf")) and not any(_holds(value, part) for part in parts):
        yield invalid(path, value, f"{_body(path)} must validate at least one schema (anyOf)")
    if parts := schema.get("oneOf"):
        count = sum(_holds(value, part) for part in parts)
        if count != 1:
            found = "Found none valid" if not count else f"Found {count} valid alternatives"
            yield invalid(path, value, f"{_body(path)} must validate one and only one schema (oneOf). {found}")
    if (part := schema.get("not")) is not None and _holds(value, part):
        yield invalid(path, value, f"{_body(path)} must not validate the schema (not)")


def _holds(value: Any, schema: Schema) -> bool:
    try:
        return next(check(value, schema), None) is None
    except CelError:
        return False
