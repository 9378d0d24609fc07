"""The JSON paths of printer columns: .a.b, ['a-b'], [0], [*], [?(@.type=="Ready")]. Pure.

Source: staging/src/k8s.io/client-go/util/jsonpath of Kubernetes.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

STEP = re.compile(
    r"""\.(?P<name>(?:[^.\[\]\\]|\\.)+)
    | \[ \s* (?: (?P<index>-?\d+) | (?P<all>\*) | '(?P<quoted>[^']*)' | "(?P<double>[^"]*)"
      | \?\( \s* @(?P<key>(?:\.[\w\-/]+)+) \s*
        (?: (?P<op>==|!=) \s* (?P<value>'[^']*'|"[^"]*"|[^)\s]+) )? \s* \) ) \s* \]""",
    re.VERBOSE,
)


class Step(NamedTuple):
    kind: str  # name, index, all, filter
    word: str = ""
    position: int = 0
    key: tuple[str, ...] = ()
    equal: bool | None = None  # None: the key only has to be there
    value: Any = None


@lru_cache(maxsize=1024)
def parsed(path: str) -> tuple[Step, ...] | None:
    """None for a path in a form that is not known."""
    steps, position = [], 0
    path = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    while position < len(path):
        match = STEP.match(path, position)
        if match is None:
            return None
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["name"] is not None:
        return Step("all") if match["name"] == "*" else Step("name", match["name"].replace("\\", ""))
    if match["index"] is not None:
        return Step("index", position=int(match["index"]))
    if match["all"]:
        return Step("all")
    if match["key"]:
        key = tuple(match["key"].strip(".").split("."))
        equal = None if match["op"] is None else match["op"] == "=="
        return Step("filter", key=key, equal=equal, value=_literal(match["value"]))
    return Step("name", match["quoted"] if match["quoted"] is not None else match["double"])


def _literal(text: str | None) -> Any:
    if text is None:
        return None
    if text[0] in "'\"":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text


def values(data: Any, path: str) -> list[Any]:
    """All values that the path names; none where a part of it is missing."""
    found = [data]
    for step in parsed(path) or ():
        found = [child for value in found for child in _children(value, step)]
    return found if parsed(path) is not None else []


def _children(value: Any, step: Step) -> Iterator[Any]:
    if step.kind == "name":
        if isinstance(value, Mapping) and step.word in value:
            yield value[step.word]
    elif step.kind == "index":
        if isinstance(value, list) and -len(value) <= step.position < len(value):
            yield value[step.position]
    elif step.kind == "all":
        yield from _items(value)
    else:
        yield from (item for item in _items(value) if _holds(item, step))


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _holds(item: Any, step: Step) -> bool:
    for name in step.key:
        if not isinstance(item, Mapping) or name not in item:
            return step.equal is False
        item = item[name]
    return step.equal is None or (item == step.value) == step.equal
