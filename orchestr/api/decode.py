"""From wire data to objects, with every problem told at once.

The model decides: data that pydantic takes is an object, and costs tens of microseconds. Only when it refuses, the data
is walked along Kubernetes' tables and the model side by side, to say of each field whether it is unknown, of a wrong
type, missing, or known to Kubernetes and not done here.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from orchestr.api import schema, support
from orchestr.api.base import KubeObject, Model
from orchestr.api.errors import Cause, Invalid, render
from orchestr.api.schema import Path

K = TypeVar("K", bound=KubeObject)


class Shape(NamedTuple):
    """What the walk needs to know of a model's field."""

    attribute: str
    nested: type[Model] | None  # the model of the value, or of a list's items
    values: tuple[Any, ...]  # of a Literal, else empty


def _unwrap(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, UnionType, tuple):
        for part in get_args(annotation):
            yield from _unwrap(part)
    elif annotation not in (NoneType, Ellipsis):
        yield annotation


@cache
def shapes(model: type[Model]) -> dict[str, Shape]:
    """Field on the wire -> shape."""
    found = {}
    for attribute, info in model.model_fields.items():
        parts = list(_unwrap(info.annotation))
        nested = next((part for part in parts if isinstance(part, type) and issubclass(part, Model)), None)
        values = next((get_args(part) for part in parts if get_origin(part) is Literal), ())
        found[info.alias or attribute] = Shape(attribute, nested, values)
    return found


def without_nulls(value: Any) -> Any:
    """Null means absent, as in Kubernetes; in a list it stays, and is an error there."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value


def model_of(kind: type[K], data: Mapping[str, Any]) -> K:
    """The object. Raises Invalid with a cause for each problem."""
    data = without_nulls(data)
    try:
        return kind.model_validate_json(json.dumps(data, allow_nan=False), strict=True)
    except (ValidationError, ValueError, TypeError) as error:
        causes = list(dict.fromkeys(problems(kind, data))) or list(_translated(kind, error))
        raise refusal(kind.__name__, data, causes) from error


def refusal(kind: str, data: Mapping[str, Any], causes: list[Cause]) -> Invalid:
    """The Invalid for an object, worded as Kubernetes does."""
    metadata = data.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, Mapping) else ""
    text = "; ".join(f"{cause.field}: {cause.message}" for cause in causes)
    return Invalid(f'{kind} "{name}" is invalid: {text}', causes=causes, details={"name": str(name), "kind": kind})


def problems(kind: type[KubeObject], data: Mapping[str, Any]) -> Iterator[Cause]:
    """Causes along Kubernetes' tables; nothing for a kind of our own."""
    api_version = f"{kind.GROUP}/{kind.VERSION}" if kind.GROUP else kind.VERSION
    name = schema.tables().kinds.get(f"{api_version} {kind.__name__}")
    if name:
        yield from schema.check(data, "@" + name)
        yield from _undone(data, name, kind, ())


def _undone(data: Mapping[str, Any], name: str, model: type[Model], path: Path) -> Iterator[Cause]:
    """Fields and values that Kubernetes has and the model has not."""
    types, known = schema.tables().types, shapes(model)
    for field, value in data.items():
        code = types[name].get(field, "").rstrip("!")
        if not code:
            continue  # unknown to Kubernetes: told by the schema
        here = (*path, field)
        if field not in known:
            yield _not_supported(here, support.why_not(model.__name__, field))
        elif known[field].values and value not in known[field].values:
            yield _other_value(here, model.__name__, field, value, known[field].values)
        elif known[field].nested and "@" in code:
            yield from _deeper(value, code, known[field].nested, here)


def _deeper(value: Any, code: str, model: type[Model] | None, path: Path) -> Iterator[Cause]:
    if model is None:
        return
    if code[0] == "[" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _deeper(item, code[1:], model, (*path, index))
    elif code[0] == "@" and isinstance(value, Mapping):
        yield from _undone(value, code[1:], model, path)


def _not_supported(path: Path, why: str) -> Cause:
    return Cause(render(path), "not supported" + (f": {why}" if why else ""), "FieldValueForbidden")


def _other_value(path: Path, model: str, field: str, value: Any, values: tuple[Any, ...]) -> Cause:
    why = support.SOME_VALUES.get((model, field), "")
    allowed = " or ".join(map(str, values))
    return _not_supported(path, f"value {value!r}; only {allowed}" + (f" ({why})" if why else ""))


def _translated(kind: type[KubeObject], error: Exception) -> Iterator[Cause]:
    """pydantic's own findings, for our own kinds and for what the tables do not know."""
    if not isinstance(error, ValidationError):
        yield Cause("", f"cannot be written as JSON: {error}")
        return
    for found in error.errors(include_url=False):
        loc = tuple(part for part in found["loc"] if isinstance(part, int) or part not in ("int", "str"))
        reason = "FieldValueUnknown" if found["type"] == "extra_forbidden" else "FieldValueInvalid"
        yield Cause(render(loc), _message(kind, loc, found["type"], found["msg"], found.get("input")), reason)


def _message(kind: type[KubeObject], loc: Path, type_: str, message: str, value: Any) -> str:
    if type_ == "extra_forbidden":
        return f"unknown field {loc[-1]!r}{schema.near(str(loc[-1]), list(_fields_at(kind, loc[:-1])))}"
    if type_ == "missing":
        return "is required"
    words = message.removeprefix("Value error, ").removeprefix("Input ")
    return f"{words[:1].lower()}{words[1:]}" + ("" if "cannot" in words else f", not {schema.told(value)}")


def _fields_at(model: type[Model] | None, loc: Path) -> Iterator[str]:
    for part in loc:
        if isinstance(part, str) and model is not None and part in shapes(model):
            model = shapes(model)[part].nested
    yield from shapes(model) if model else ()


def notes(obj: Model, path: Path = ()) -> Iterator[Cause]:
    """The fields of an object that were given and change nothing on this machine, with the reason."""
    for field, shape in shapes(type(obj)).items():
        if shape.attribute not in obj.model_fields_set:
            continue
        value = getattr(obj, shape.attribute)
        reason = support.NO_EFFECT.get((type(obj).__name__, field))
        if reason:
            yield Cause(render((*path, field)), f"has no effect here: {reason}", "NoEffect")
        elif isinstance(value, Model):
            yield from notes(value, (*path, field))
        elif shape.nested and isinstance(value, tuple):
            for index, item in enumerate(value):
                yield from notes(item, (*path, field, index))
