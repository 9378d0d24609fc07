"""JSON patch, RFC 6902, on JSON data. Pure: the target is not changed."""

import json
from copy import deepcopy
from typing import Any

from orchestr.api.errors import BadRequest, Invalid, TooLarge

MOST = 10_000  # operations of one patch, as Kubernetes
COPIED = 3 * 1024 * 1024  # bytes of JSON that the copies of one patch may make: forty of them could fill any memory


class Pointer(list[str]):
    """RFC 6901."""

    @classmethod
    def of(cls, text: Any) -> "Pointer":
        if not isinstance(text, str) or (text and text[0] != "/"):
            raise BadRequest(f"cannot read the patch: {text!r:.64} is no JSON pointer (write /spec/replicas)")
        return cls(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])

    def __str__(self) -> str:
        return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in self)


def operations(patch: Any) -> list[dict[str, Any]]:
    """The patch, if it looks like one."""
    if not isinstance(patch, list) or not all(isinstance(operation, dict) for operation in patch):
        raise BadRequest("cannot read the patch: a JSON patch is a list of operations (send [{...}])")
    if len(patch) > MOST:
        raise TooLarge(f"The allowed maximum operations in a JSON patch is {MOST}, got {len(patch)}")
    return patch


def json_patch(target: Any, patch: Any) -> Any:
    """The target after all operations. Invalid names the first that cannot be done."""
    result, copied = deepcopy(target), 0
    for index, operation in enumerate(operations(patch)):
        if operation.get("op") == "copy":
            copied += len(json.dumps(find(result, Pointer.of(operation.get("from")))))
            if copied > COPIED:
                raise TooLarge(f"The copies of a JSON patch may have {COPIED} bytes, got {copied}")
        result = _done(result, operation, index)
    return result


def _done(doc: Any, operation: dict[str, Any], index: int) -> Any:
    op, path = operation.get("op"), Pointer.of(operation.get("path"))
    if op in ("add", "replace", "test") and "value" not in operation:
        raise BadRequest(f"cannot read the patch: operation {index} ({op}) has no value (add one)")
    match op:
        case "add":
            return add(doc, path, deepcopy(operation["value"]))
        case "remove":
            return remove(doc, path)
        case "replace":
            find(doc, path)
            return add(remove(doc, path), path, deepcopy(operation["value"])) if path else deepcopy(operation["value"])
        case "move":
            start = Pointer.of(operation.get("from"))
            if path[: len(start)] == start and len(path) > len(start):
                raise _refused(path, f"is inside {start}, which is to move there")
            value = find(doc, start)
            return add(remove(doc, start), path, value)
        case "copy":
            return add(doc, path, deepcopy(find(doc, Pointer.of(operation.get("from")))))
        case "test":
            if not same(find(doc, path), operation["value"]):
                raise _refused(path, "does not have the value that the patch tests for")
            return doc
    raise BadRequest(
        f"cannot read the patch: operation {index} is {op!r:.32} (use add, remove, replace, move, copy, test)"
    )


def same(a: Any, b: Any) -> bool:
    """Equal as JSON: true is not 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b) and isinstance(a, bool) is isinstance(b, bool)


def find(doc: Any, path: Pointer) -> Any:
    for part in path:
        if isinstance(doc, dict) and part in doc:
            doc = doc[part]
        elif isinstance(doc, list):
            doc = doc[_index(doc, part, path, len(doc) - 1)]
        else:
            raise _refused(path, "is not there")
    return doc


def add(doc: Any, path: Pointer, value: Any) -> Any:
    if not path:
        return value
    parent, last = find(doc, Pointer(path[:-1])), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(parent, last, path, len(parent)), value)
    else:
        raise _refused(path, "has no object or list above it")
    return doc


def remove(doc: Any, path: Pointer) -> Any:
    if not path:
        return None
    find(doc, path)
    parent = find(doc, Pointer(path[:-1]))
    del parent[path[-1] if isinstance(parent, dict) else int(path[-1])]
    return doc


def _index(items: list[Any], text: str, path: Pointer, most: int) -> int:
    plain = text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0") and len(text) < 10
    if not plain or int(text) > most:
        raise _refused(path, f"has no item {text[:32]!r} in a list of {len(items)}")
    return int(text)


def _refused(path: Pointer, why: str) -> Invalid:
    return Invalid(f"the server rejected our request due to an error in our request: cannot patch {path}: {why}")
