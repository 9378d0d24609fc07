"""Checks a file against Compose's own JSON schema: unknown keys with the nearest name, wrong types, with places.

schema.json is compose-go's schema without the descriptions. Only the words of JSON schema that it uses are understood.
A value that a variable was filled into is text; where the schema wants a number or a boolean it is read as one.
"""

import difflib
import json
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from orchestr.manifest.compose.tree import RESET, Findings, Node, Path

Schema = Mapping[str, Any]
NAMES = {"object": "a mapping", "array": "a list", "string": "a string", "integer": "a whole number",
         "number": "a number", "boolean": "true or false", "null": "nothing"}  # fmt: skip


@cache
def root() -> Schema:
    found: Schema = json.loads(files(__package__).joinpath("schema.json").read_bytes())
    return found


def check(node: Node, findings: Findings) -> None:
    """Reports all that the schema refuses."""
    _check(root(), node, (), findings)


def check_service(node: Node, name: str, findings: Findings) -> None:
    """The same of one service."""
    _check(root()["$defs"]["service"], node, ("services", name), findings)


def _check(schema: Schema, node: Node, path: Path, findings: Findings) -> None:
    if node.tag == RESET or findings.open(node.data):
        return  # its value does not count, or is not known
    schema = _resolved(schema)
    kind = _kind(node.data)
    accepted = _types(schema)
    branch = _branch(schema, kind)
    if branch is None and node.filled and (value := _reread(str(node.data), accepted)) is not None:
        node.data, kind = value, _kind(value)
        branch = _branch(schema, kind)
    if branch is None:
        wanted = " or ".join(NAMES[name] for name in NAMES if name in accepted)
        findings.error(node.at, path, f"must be {wanted}, is {NAMES[kind]}{_shown(node.data)}")
        return
    if kind == "object":
        _mapping(branch, node, path, findings)
    elif kind == "array":
        _list(branch, node, path, findings)
    else:
        _scalar(branch, node, path, findings)


def _shown(data: Any) -> str:
    return f" ({json.dumps(data)[:40]})" if isinstance(data, str | int | float) and data != "" else ""


def _resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        schema = root()["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


def _options(schema: Schema) -> list[Schema]:
    schema = _resolved(schema)
    options = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
    return [flat for option in options for flat in _options(option)] if options else [schema]


def _types(schema: Schema) -> set[str]:
    found: set[str] = set()
    for option in _options(schema):
        names = option.get("type", list(NAMES))
        found |= {names} if isinstance(names, str) else set(names)
    return found


def _branch(schema: Schema, kind: str) -> Schema | None:
    """The alternative that takes this type; none of Compose's alternatives take the same one."""
    for option in _options(schema):
        names = option.get("type", list(NAMES))
        names = {names} if isinstance(names, str) else set(names)
        if kind in names or (kind == "integer" and "number" in names):
            return option
    return None


def _kind(data: Any) -> str:
    match data:
        case dict():
            return "object"
        case list():
            return "array"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case None:
            return "null"
    return "string"


def _reread(text: str, accepted: set[str]) -> bool | int | float | None:
    if "boolean" in accepted and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if accepted & {"integer", "number"} and re.fullmatch(r"-?\d+", text):
        return int(text)
    if "number" in accepted and re.fullmatch(r"-?\d+\.\d+", text):
        return float(text)
    return None


def _mapping(schema: Schema, node: Node, path: Path, findings: Findings) -> None:
    known: Schema = schema.get("properties", {})
    for name, child in node.data.items():
        here = (*path, name)
        if name in known:
            _check(known[name], child, here, findings)
            continue
        free = _free(schema, name)
        if isinstance(free, bool):
            continue
        if free is not None:
            _check(free, child, here, findings)
        elif known:
            findings.error(child.key, here, f"unknown key {name!r}", _nearest(name, known))
        else:
            findings.error(child.key, here, f"{name!r} is no usable name", "use letters, digits, '.', '_' and '-'")
    for name in schema.get("required", ()):
        if name not in node.data:
            findings.error(node.at, (*path, name), f"missing key {name!r}")


def _free(schema: Schema, name: str) -> Schema | bool | None:
    """The schema of a name that the user chose; True: anything, None: not allowed."""
    for regex, sub in schema.get("patternProperties", {}).items():
        if re.search(regex, name):
            return sub if sub else True
    rest = schema.get("additionalProperties", True)
    return None if rest is False else rest if rest is True or rest else True


def _nearest(name: str, known: Schema) -> str:
    found = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    if not found:  # wrongField: camel case
        found = difflib.get_close_matches(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(), known, n=1, cutoff=0.6)
    return f"did you mean {found[0]}?" if found else "known are " + _known_names(tuple(sorted(known)))


@lru_cache
def _known_names(names: tuple[str, ...]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _list(schema: Schema, node: Node, path: Path, findings: Findings) -> None:
    for index, child in enumerate(node.data):
        _check(schema.get("items", {}), child, (*path, index), findings)


def _scalar(schema: Schema, node: Node, path: Path, findings: Findings) -> None:
    choices = schema.get("enum")
    if choices and node.data not in choices:
        findings.error(node.at, path, f"{node.data!r} is not allowed", f"use {', '.join(map(str, choices))}")
    pattern = schema.get("pattern")
    if pattern and isinstance(node.data, str) and not re.fullmatch(pattern, node.data):
        findings.error(node.at, path, f"{node.data!r} is not allowed", f"it must match {pattern}")
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(node.data, int | float) and not isinstance(node.data, bool):
        if low is not None and node.data < low:
            findings.error(node.at, path, f"{node.data} is less than {low}")
        if high is not None and node.data > high:
            findings.error(node.at, path, f"{node.data} is more than {high}")
