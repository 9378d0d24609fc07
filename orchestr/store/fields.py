"""Sets of fields in Kubernetes' fieldsV1 form, and what apply does with them.

A set is a nested dict: "f:NAME" a field, 'k:{"name":"web"}' an item of a keyed list, 'v:"x"' a member of a set; "."
is the item itself, and {} a leaf. Source: structured-merge-diff v4, fieldpath.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestr.store.shapes import Path, granular, is_set, item_keys

Fields = dict[str, Any]
SELF = "."


def element(key: dict[str, Any]) -> str:
    return "k:" + json.dumps(key, separators=(",", ":"), sort_keys=True)


def children(value: Any, path: Path) -> Iterator[tuple[str, Path, Any]]:
    """The fields directly under a value: (set element, path, value). None for a leaf."""
    if granular(value, path):
        for name, child in value.items():
            yield f"f:{name}", (*path, name), child
    elif isinstance(value, list) and is_set(path):
        for member in value:
            yield f"v:{json.dumps(member)}", path, member
    else:
        for key, item in zip(item_keys(value, path), value if isinstance(value, list) else (), strict=False):
            yield element(key), (*path, "[]"), item


def fields_of(value: Any, path: Path = ()) -> Fields:
    """All fields that a wire value sets."""
    found = {name: fields_of(child, where) for name, where, child in children(value, path)}
    return {SELF: {}, **found} if path[-1:] == ("[]",) else found


def union(a: Fields, b: Fields) -> Fields:
    return {**a, **{name: union(a[name], sub) if name in a else sub for name, sub in b.items()}}


def minus(a: Fields, b: Fields) -> Fields:
    """The leaves of `a` that are not in `b`."""
    left: Fields = {}
    for name, sub in a.items():
        if name not in b:
            left[name] = sub
        elif sub and (rest := minus(sub, b[name])):
            left[name] = rest
    return left


def dropped(last: Fields, kept: Fields) -> Fields:
    """What leaves when `last` was set before and `kept` is set now, by anybody: a field that nobody sets any more goes
    with all below it, defaults included. Source: structured-merge-diff v4, merge/update.go prune.
    """
    left: Fields = {}
    for name, sub in last.items():
        if name not in kept and name != SELF:
            left[name] = {SELF: {}}
        elif sub and (rest := dropped(sub, kept[name])):
            left[name] = rest
    return left


def changed(old: Any, new: Any, path: Path = ()) -> Fields:
    """The fields whose value differs between two wire values, on either side."""
    was = {name: (where, child) for name, where, child in children(old, path)}
    now = {name: (where, child) for name, where, child in children(new, path)}
    found: Fields = {}
    for name in {**was, **now}:
        if name not in was or name not in now:
            where, child = was.get(name) or now[name]
            found[name] = fields_of(child, where)
        elif was[name][1] != now[name][1]:
            where, child = now[name]
            found[name] = changed(was[name][1], child, where)
    return found


def disputes(
    owned: Fields, mine: Fields, live: Any, wanted: Any, path: Path = ()
) -> Iterator[tuple[tuple[str, ...], Fields]]:
    """Leaves in both sets whose live value is not the wanted one: (path of set elements, the leaf as a set)."""
    have = {name: child for name, _, child in children(live, path)}
    for name, where, want in children(wanted, path):
        if name not in owned or name not in mine or name not in have:
            continue
        if bool(owned[name]) != bool(mine[name]):
            continue  # one of them set an empty list or map: the other's items are not its own
        if owned[name]:
            for trail, leaf in disputes(owned[name], mine[name], have[name], want, where):
                yield (name, *trail), {name: leaf}
        elif want != {} and have[name] != want and str(have[name]) != str(want):  # an empty map sets no field
            yield (name,), {name: {}}


def merge(live: Any, wanted: Any, path: Path = ()) -> Any:
    """The live value with all that `wanted` sets."""
    if granular(wanted, path) and isinstance(live, dict):
        names = {**live, **wanted}
        return {n: merge(live.get(n), wanted[n], (*path, n)) if n in wanted else live[n] for n in names}
    if isinstance(wanted, list) and isinstance(live, list) and is_set(path):
        return live + [member for member in wanted if member not in live]
    if (theirs := item_keys(live, path)) and (mine := item_keys(wanted, path)):
        have = {element(key): item for key, item in zip(theirs, live, strict=True)}
        want = {element(key): item for key, item in zip(mine, wanted, strict=True)}
        return _merge_items(have, want, (*path, "[]"))
    return live if wanted == [] and theirs else wanted


def _merge_items(have: Mapping[str, Any], want: Mapping[str, Any], path: Path) -> list[Any]:
    """The wanted items in their order; each other item stays behind the one it stands behind now."""
    names = list(want)
    before: str | None = None
    for n in have:
        if n not in want:
            names.insert(names.index(before) + 1 if before is not None else 0, n)
        before = n
    return [merge(have.get(n), want[n], path) if n in want else have[n] for n in names]


def without(value: Any, fields: Fields, path: Path = ()) -> Any:
    """The value less these fields; maps and lists that become empty by it vanish too (as None)."""
    kept: dict[str, Any] = {}
    for name, where, child in children(value, path):
        sub = fields.get(name)
        if sub is None:
            kept[name] = child
        elif sub and SELF not in sub and (left := without(child, sub, where)) is not None:
            kept[name] = left
    if isinstance(value, dict):
        named = {name[2:]: child for name, child in kept.items()}
        return named or None
    return list(kept.values()) or None


def dotted(trail: tuple[str, ...]) -> str:
    """Set elements as Kubernetes prints a path: `.spec.containers[name="web"].image`."""
    text = ""
    for name in trail:
        if name.startswith("f:"):
            text += f".{name[2:]}"
        elif name.startswith("k:"):
            pairs = json.loads(name[2:]).items()
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in pairs) + "]"
        else:
            text += f"[={name[2:]}]"
    return text
