"""A stand-in for the module `typing`: its import, with `re` and `enum` behind it, is a fifth of a launch by orch-oci.

Nothing in a launch looks at an annotation, and of all that is imported from `typing` only NamedTuple does anything.
In place for the command alone, and not where `typing` is loaded already.
"""

import sys
from _collections import _tuplegetter  # type: ignore[import-not-found]
from _collections_abc import Callable

from orchestr.runtime.oci.partial import Module

_ANNOTATE = "__annotate_func__"  # what a class body has instead of __annotations__ from Python 3.14 on, see PEP 649
_NOT_KEPT = ("__annotations__", "__orig_bases__", _ANNOTATE, "__classdictcell__")
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any
else:
    Any = object


class Form:
    """Any, Final, Self and so on: whatever is made of it is it again."""

    def __getitem__(self, item: object) -> "Form":
        return self

    def __or__(self, other: object) -> "Form":
        return self

    __ror__ = __or__


class _Meta(type):
    """Makes a named tuple as collections does, but by closures: that compiles source text for each, 0.1 ms."""

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
        if not bases:
            return super().__new__(mcs, name, bases, body)
        fields = tuple(body[_ANNOTATE](1) if _ANNOTATE in body else body.get("__annotations__", ()))
        defaults = {field: body[field] for field in fields if field in body}
        made = {key: value for key, value in body.items() if key not in _NOT_KEPT and key not in fields}
        made |= {field: _tuplegetter(index, "") for index, field in enumerate(fields)}
        made |= {"__slots__": (), "_fields": fields, "_field_defaults": defaults}
        made |= {"__new__": _new(name, fields, defaults), "_replace": _replace, "_asdict": _asdict}
        return type(name, (tuple,), made)


def _new(name: str, fields: tuple[str, ...], defaults: dict[str, Any]) -> Callable[..., tuple[Any, ...]]:
    size, make = len(fields), tuple.__new__

    def new(cls: type[tuple[Any, ...]], *args: Any, **named: Any) -> tuple[Any, ...]:
        if len(args) == size and not named:
            return make(cls, args)
        if not named.keys() <= set(fields[len(args) :]) or len(args) > size:
            raise TypeError(f"{name} does not take {args!r}, {named!r}")
        given = {**defaults, **named}
        return make(cls, [*args, *(given[field] for field in fields[len(args) :])])

    return new


def _replace(self: Any, /, **changes: Any) -> Any:
    return type(self)(**{**_asdict(self), **changes})


def _asdict(self: Any) -> dict[str, Any]:
    return dict(zip(self._fields, self, strict=True))


class NamedTuple(metaclass=_Meta):
    """As typing's, in its form as a class."""


class Protocol:
    """To derive from: it is not asked at run time."""


class _Typing(Module):
    def __getattr__(self, name: str) -> "Form":
        if name.startswith("__"):
            raise AttributeError(name)
        return Form()


def install() -> None:
    if "typing" not in sys.modules:
        stand_in = _Typing("typing")
        stand_in.__dict__.update(NamedTuple=NamedTuple, Protocol=Protocol, TYPE_CHECKING=False)
        sys.modules["typing"] = stand_in
