"""Small rules that validation is made of; each yields what is wrong."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestr.api.errors import Cause

ID_LIMIT = 2**31 - 1


def required(field: str, why: str = "is required") -> Cause:
    return Cause(field, why, "FieldValueRequired")


def same(old: Any, new: Any, field: str) -> Iterator[Cause]:
    """A field that stays as it was created."""
    if old != new:
        shown = f" (it is {old})" if isinstance(old, str | int) and old else ""
        yield Cause(field, f"cannot be changed{shown}; delete the object and create it anew", "FieldValueInvalid")


def one_of(field: str, value: str | None, allowed: Sequence[str]) -> Iterator[Cause]:
    if value is not None and value not in allowed:
        shown = ", ".join(word for word in allowed if word)
        yield Cause(field, f"{value!r} is not one of {shown}", "FieldValueNotSupported")


def wrong(field: str, message: str) -> Iterator[Cause]:
    """A cause when there is a message."""
    if message:
        yield Cause(field, message)


def at_least(field: str, value: int | None, least: int) -> Iterator[Cause]:
    if value is not None and value < least:
        yield Cause(field, f"must be at least {least}, not {value}")


def duplicates(items: Iterable[tuple[str, Any]], what: str) -> Iterator[Cause]:
    """A cause for each (field, key) whose key came before; None is no key."""
    seen = set()
    for field, key in items:
        if key is not None and key in seen:
            text = key if isinstance(key, str) else "/".join(map(str, key))
            yield Cause(field, f"{what} {text!r} is there twice", "FieldValueDuplicate")
        seen.add(key)


def port_number(field: str, value: int | None) -> Iterator[Cause]:
    if value is not None and not 1 <= value <= 65535:
        yield Cause(field, f"must be a port from 1 to 65535, not {value}")


def identities(at: str, ids: Mapping[str, int | None]) -> Iterator[Cause]:
    for field, value in ids.items():
        if value is not None and not 0 <= value <= ID_LIMIT:
            yield Cause(f"{at}.{field}", f"must be an id from 0 to {ID_LIMIT}, not {value}")


def relative(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        return f"must be a relative path without '..', not {path!r}"
    return ""
