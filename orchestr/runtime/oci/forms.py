"""A stand-in for the module `typing`: its import, with `re` and `enum` behind it, is a fifth of a launch by orch-oci.

Nothing in a launch looks at an annotation, and of all that is imported from `typing` only NamedTuple does anything;
that is collections' own here, as it is there. In place for the command alone, and not where `typing` is loaded already.
"""

import sys
from collections import namedtuple
from types import ModuleType

_NOT_FIELDS = ("__annotations__", "__module__", "__qualname__", "__doc__", "__orig_bases__")


class Form:
    """Any, Final, Self and so on: whatever is made of it is it again."""

    def __getitem__(self, item: object) -> "Form":
        return self

    def __or__(self, other: object) -> "Form":
        return self

    __ror__ = __or__


class _Meta(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
        if not bases:
            return super().__new__(mcs, name, bases, body)
        types: dict[str, object] = body.get("__annotations__", {})  # type: ignore[assignment]
        defaults = [body[field] for field in types if field in body]
        made: type = namedtuple(name, types, defaults=defaults, module=str(body["__module__"]))  # type: ignore[misc]
        made.__annotations__ = types
        for key, value in body.items():
            if key not in _NOT_FIELDS and key not in types:
                setattr(made, key, value)
        return made


class NamedTuple(metaclass=_Meta):
    """As typing's, in its form as a class."""


class Protocol:
    """To derive from: it is not asked at run time."""


class _Typing(ModuleType):
    def __getattr__(self, name: str) -> Form:
        if name.startswith("__"):
            raise AttributeError(name)
        return Form()


def install() -> None:
    if "typing" not in sys.modules:
        stand_in = _Typing("typing")
        stand_in.__dict__.update(NamedTuple=NamedTuple, Protocol=Protocol, TYPE_CHECKING=False)
        sys.modules["typing"] = stand_in
