"""Strategic merge patch: a merge patch that knows which lists merge by a key, and has directives. Pure.

Which lists do is in the marks of Kubernetes' types (api/merging.py). The directives are `$patch` (replace, delete,
merge), `$retainKeys`, `$setElementOrder/FIELD` and `$deleteFromPrimitiveList/FIELD`.
Source: the behaviour of apimachinery, util/strategicpatch.
"""

from collections.abc import Sequence
from typing import Any

from orchestr.api import merging, schema
from orchestr.api.errors import BadRequest

PATCH, RETAIN = "$patch", "$retainKeys"
ORDER, DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"
Object = dict[str, Any]


def strategic_merge(target: Object, patch: Object, type_name: str) -> Object:
    """The target, an object of one of Kubernetes' types, with the patch merged in."""
    return _map(target, patch, "@" + type_name)


def _map(target: Object, patch: Object, code: str) -> Object:
    how = _directive(patch)
    if how == "replace":
        plain: Object = _plain(patch)
        return plain
    if how == "delete":
        return {}
    merged = dict(target)
    if RETAIN in patch:
        kept = _strings(patch[RETAIN], RETAIN)
        merged = {name: value for name, value in merged.items() if name in kept}
    for name, value in patch.items():
        if name.startswith(DELETE):
            field, gone = name.removeprefix(DELETE), _strings(value, name)
            merged[field] = [item for item in merged.get(field) or () if item not in gone]
        elif not name.startswith("$"):
            _set(merged, name, value, code)
    for name, order in patch.items():
        if name.startswith(ORDER) and isinstance(merged.get(field := name.removeprefix(ORDER)), list):
            key = _marks(code, field).get("patch-merge-key")
            merged[field] = _ordered(merged[field], _strings(order, name), target.get(field) or [], key)
    return merged


def _set(merged: Object, name: str, value: Any, code: str) -> None:
    here, marks = merged.get(name), _marks(code, name)
    strategy = str(marks.get("patch-strategy", "")).split(",")
    if value is None:
        merged.pop(name, None)
    elif isinstance(here, dict) and isinstance(value, dict) and "replace" not in strategy:
        merged[name] = _map(here, value, _code(code, name))
    elif isinstance(here, list) and isinstance(value, list) and "merge" in strategy:
        merged[name] = _list(here, value, _code(code, name), marks.get("patch-merge-key"))
    elif isinstance(value, list) and "merge" in strategy:
        merged[name] = _list([], value, _code(code, name), marks.get("patch-merge-key"))
    else:
        merged[name] = _plain(value)


def _list(here: list[Any], patch: list[Any], code: str, key: str | None) -> list[Any]:
    if key is None or not all(isinstance(item, dict) for item in (*here, *patch)):
        return _ordered(here + [item for item in patch if item not in here], patch, here, None)
    directives = [_directive(item) for item in patch]
    items = [item for item, how in zip(patch, directives, strict=True) if how == "merge"]
    if "replace" in directives:
        return [_plain(item) for item in items]
    gone = [_key(item, key) for item, how in zip(patch, directives, strict=True) if how == "delete"]
    merged = [item for item in here if item.get(key) not in gone]
    for item in items:
        name = _key(item, key)
        place = next((index for index, old in enumerate(merged) if old.get(key) == name), None)
        if place is None:
            merged.append(_map({}, item, code[1:]))
        else:
            merged[place] = _map(merged[place], item, code[1:])
    return _ordered(merged, items, here, key)


def _directive(patch: Object) -> str:
    how = patch.get(PATCH, "merge")
    if how not in ("merge", "replace", "delete"):
        raise BadRequest(f"cannot read the patch: {PATCH} is {how!r:.32} (use replace, delete or merge)")
    return str(how)


def _key(item: Object, key: str) -> Any:
    if item.get(key) is None:
        raise BadRequest(f"cannot read the patch: map: {item!r:.100} does not contain declared merge key: {key}")
    return item[key]


def _ordered(merged: Sequence[Any], order: Sequence[Any], before: Sequence[Any], key: str | None) -> list[Any]:
    """Items that `order` names, in its order; the others where they stood `before` among them."""

    def name(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted, server = [name(item) for item in order], [name(item) for item in before]
    known = [item for item in merged if name(item) in wanted]
    known.sort(key=lambda item: wanted.index(name(item)))
    others = [item for item in merged if name(item) not in wanted]
    others.sort(key=lambda item: server.index(name(item)) if name(item) in server else len(server))
    found: list[Any] = []
    while known and others:
        left, right = name(known[0]), name(others[0])
        first = left in server and right in server and server.index(left) < server.index(right)
        found.append((known if first else others).pop(0))
    return found + known + others


def _plain(value: Any) -> Any:
    """The value without directives and nulls."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None and not k.startswith("$")}
    if isinstance(value, list):
        return [_plain(item) for item in value if not (isinstance(item, dict) and PATCH in item)]
    return value


def _strings(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadRequest(f"cannot read the patch: {name} is no list (send [...])")
    return value


def _marks(code: str, field: str) -> merging.Marks:
    return merging.marks(code[1:], field) if code[:1] == "@" else merging.NONE


def _code(code: str, field: str) -> str:
    """The code (schema.py) of a field's type, "*" below what Kubernetes does not name."""
    if code[:1] == "@":
        return schema.tables().types.get(code[1:], {}).get(field, "*").rstrip("!")
    return code[1:] if code[:1] == "{" else "*"
