"""What Kubernetes 1.36 has: every field of every stable and beta kind, as compact tables in kubernetes.json.

The models say what this machine does. This file knows the rest: it tells an unknown field from one that Kubernetes has
and we do not do, and checks kinds without behaviour. tests/api/make_schema.py makes the tables and explains the codes.
"""

import json
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, NamedTuple

from pydantic import AfterValidator

from orchestr.api.errors import Cause, render
from orchestr.api.quantity import QuantityError, parse

Path = tuple[str | int, ...]

WORDS = {
    "s": "a string",
    "y": "a string in base64",
    "t": "a time such as 2026-01-31T12:00:00Z",
    "b": "true or false",
    "i": "an integer",
    "n": "a number",
    "p": "an integer or a string",
    "q": "a quantity such as 100m or 64Mi",
    "[": "a list",
    "{": "a map",
    "@": "a map",
}
TYPES: dict[str, tuple[type, ...]] = {
    "s": (str,),
    "y": (str,),
    "t": (str,),
    "b": (bool,),
    "i": (int,),
    "n": (int, float),
    "p": (int, str),
    "q": (int, float, str),
    "[": (list, tuple),
    "{": (Mapping,),
    "@": (Mapping,),
}


class Tables(NamedTuple):
    kinds: Mapping[str, str]  # "apps/v1 Deployment" -> type name
    types: Mapping[str, Mapping[str, str]]  # type name -> field -> code


@cache
def tables() -> Tables:
    with open(os.path.join(os.path.dirname(__file__), "kubernetes.json"), "rb") as file:
        data = json.load(file)
    return Tables(data["kinds"], data["types"])


@cache
def groups() -> frozenset[str]:
    """The API groups that Kubernetes itself defines; "" is the core group."""
    return frozenset(key.split(" ")[0].rpartition("/")[0] for key in tables().kinds)


def near(name: str, known: Iterator[str] | Mapping[str, Any] | list[str]) -> str:
    """` (did you mean X?)`, or nothing when no name is close."""
    names = list(known)
    lower = {candidate.lower(): candidate for candidate in names}
    found = lower.get(name.lower()) or next(iter(get_close_matches(name, names, 1, 0.6)), None)
    return f" (did you mean {found}?)" if found else ""


def told(value: Any) -> str:
    """A value of a wrong type, in words."""
    match value:
        case bool():
            return f"the boolean {str(value).lower()}"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the string {value[:40]!r}"
        case list() | tuple():
            return "a list"
        case None:
            return "null"
        case _:
            return "a map"


def fits(code: str, value: Any) -> bool:
    if isinstance(value, bool):
        return code in ("b", "*")
    return code == "*" or isinstance(value, TYPES[code])


def wrong_type(code: str, value: Any) -> str:
    quote = isinstance(value, bool | int | float) and code in "sy"
    text = str(value).lower() if isinstance(value, bool) else value
    hint = f' (quote it: "{text}")' if quote else ""
    if code == "i" and isinstance(value, str) and value.isdecimal():
        hint = f" (write {value} without quotes)"
    return f"must be {WORDS[code]}, not {told(value)}{hint}"


def check(value: Any, code: str, path: Path = ()) -> Iterator[Cause]:
    """Everything in which `value` differs from the type that `code` names, at any depth."""
    code = code.rstrip("!")
    head = code[0]
    if not fits(head, value):
        yield Cause(render(path), wrong_type(head, value), "FieldValueTypeInvalid")
    elif head == "[":
        for index, item in enumerate(value):
            yield from check(item, code[1:], (*path, index))
    elif head == "{":
        for key, item in value.items():
            yield from check(item, code[1:], (*path, key))
    elif head == "@":
        yield from check_fields(value, code[1:], path)
    elif head == "q":
        yield from check_quantity(value, path)


def check_fields(value: Mapping[str, Any], name: str, path: Path) -> Iterator[Cause]:
    known = tables().types[name]
    for field, item in value.items():
        if field in known:
            yield from check(item, known[field], (*path, field))
        else:
            yield unknown((*path, field), field, known)
    for field, code in known.items():
        if code[-1] == "!" and field not in value:
            yield Cause(render((*path, field)), "is required", "FieldValueRequired")


def unknown(path: Path, field: str, known: Mapping[str, Any]) -> Cause:
    return Cause(render(path), f"unknown field {field!r}{near(str(field), known)}", "FieldValueUnknown")


def check_quantity(value: Any, path: Path) -> Iterator[Cause]:
    try:
        parse(str(value))
    except QuantityError as error:
        yield Cause(render(path), str(error))


def Kept(code: str) -> AfterValidator:
    """A field that is kept as written, and refused unless Kubernetes would take it."""

    def validate(value: Any) -> Any:
        for cause in check(value, code):
            raise ValueError(f"{cause.field} {cause.message}")
        return value

    return AfterValidator(validate)
