"""What an object is once it is stored: what its JSON says, decoded anew but for the parts that it shares with before.

Decoding frees the store of its caller, who might keep a map that is in the object, and gives times and numbers the form
of the wire. A part that is the former object's very own has been through that; most writes change a status alone.
"""

from typing import Any, TypeVar

from orchestr.api.base import KubeObject, Model, ObjectMeta

M = TypeVar("M", bound=Model)
SCALARS = (str, int, float, bool, type(None))


def decoded(new: KubeObject, data: bytes, revision: int, old: KubeObject | None) -> KubeObject:
    """`new`, whose canonical JSON with this revision is `data`, as it is stored in place of `old`."""
    kind = type(new)
    if old is not None and type(old) is kind and kind.model_config.get("extra") == "forbid":
        changes = _changes(new, old)
        if changes is not None:
            return old.but(**{**changes, "metadata": _metadata(new.metadata, old.metadata, revision)})
    return kind.model_validate_json(data)


def _changes(new: KubeObject, old: KubeObject) -> dict[str, Any] | None:
    """The fields but for metadata that are another object, decoded; None when one of them is no model."""
    before: dict[str, Any] = old.__dict__
    found: dict[str, Any] = {}
    for name, value in new.__dict__.items():
        was: Any = before.get(name)
        if value is was or name == "metadata":
            continue
        if isinstance(value, SCALARS) and isinstance(was, SCALARS):
            found[name] = value
        elif isinstance(value, Model) and type(value) is type(was):
            found[name] = _anew(value)
        else:
            return None
    return found


def _metadata(new: ObjectMeta, old: ObjectMeta, revision: int) -> ObjectMeta:
    before = old.__dict__
    if all(value is before.get(name) for name, value in new.__dict__.items() if name != "resource_version"):
        return old.but(resource_version=str(revision))
    return _anew(new.but(resource_version=str(revision)))


def _anew(value: M) -> M:
    return type(value).model_validate_json(value.model_dump_json(by_alias=True, exclude_none=True))
