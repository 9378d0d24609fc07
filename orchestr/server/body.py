"""Reading what a client sends: bounded in size and in time."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from functools import cache
from typing import Any

import trio
from starlette.requests import ClientDisconnect, Request

from orchestr.api.errors import ApiError, BadRequest, TooLarge, UnsupportedMedia, render
from orchestr.server.protobuf import from_protobuf

LIMIT = 3 * 1024 * 1024  # bytes; Kubernetes' limit for one object
PATIENCE = 30.0  # seconds for a whole body of at most LIMIT
PROTOBUF = "application/vnd.kubernetes.protobuf"
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml")
JSON_TYPES = ("", "*/*", "application/json", "application/x-www-form-urlencoded")  # curl's own is the last
DEPTH = 200  # levels of one document: what walks objects does so by calls within calls
TOO_DEEP = f"nested too deeply, more than {DEPTH} levels (flatten it)"


class Twice(str):
    """The path of a field that an object has twice; `line` is where the second one stands, if the text tells (YAML)."""

    line = 0


class Slow(ApiError):
    code, reason = 408, "Timeout"


async def body(request: Request, limit: int = LIMIT) -> bytes:
    """The whole body. TooLarge, or Slow when it does not arrive within PATIENCE."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    data = bytearray()
    try:
        with trio.fail_after(PATIENCE):
            async with aclosing(request.stream()) as pieces:
                async for piece in pieces:
                    data += piece
                    if len(data) > limit:
                        raise _too_large(limit)
    except trio.TooSlowError:
        raise Slow(f"cannot read the request: no end of the body after {PATIENCE:.0f} s (send it faster)") from None
    except ClientDisconnect:
        raise BadRequest("cannot read the request: the client closed the connection (send the whole body)") from None
    return bytes(data)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"cannot read the request: the body is larger than {limit} bytes (split it)")


async def json_object(request: Request, limit: int = LIMIT) -> dict[str, Any]:
    """The body as a JSON object, strictly. BadRequest with line and column when it is none."""
    return as_object(parse(await body(request, limit)))


def as_object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise BadRequest(f"cannot read the body: a JSON {_kind(data)} where an object is needed (send {{...}})")
    return data


def _kind(data: Any) -> str:
    return {list: "array", str: "string", type(None): "null", bool: "boolean"}.get(type(data), "number")


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def document(request: Request, limit: int = LIMIT) -> tuple[Any, list[Twice]]:
    """JSON, YAML or protobuf, by the content type, and the fields that it has twice (the last one counts)."""
    reader = reader_of(media_type(request))
    return reader(await body(request, limit))


def reader_of(given: str) -> Callable[[bytes], tuple[Any, list[Twice]]]:
    """What reads bodies of this media type. UnsupportedMedia."""
    if given in YAML_TYPES:
        return from_yaml
    if given == PROTOBUF:
        return lambda data: (shallow(from_protobuf(data)), [])
    if given in JSON_TYPES:
        return leniently
    raise UnsupportedMedia(
        f"the body of the request was in an unknown format - accepted media types include: application/json, "
        f"application/yaml, {PROTOBUF}; {given[:100]} is not supported"
    )


def leniently(data: bytes) -> tuple[Any, list[Twice]]:
    """Strict JSON but for keys that occur twice, which are told by their paths."""
    twice: list[tuple[int, str]] = []  # identity of the object, key

    def note(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            names = [key for key, _ in items]
            twice.extend((id(found), key) for key in found if names.count(key) > 1)
        return found

    value = _loaded(data, note)
    return value, [Twice(render(path)) for path in _places(value, twice)] if twice else []


def _places(
    value: Any, twice: list[tuple[int, str]], path: tuple[str | int, ...] = ()
) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if (id(value), key) in twice:
                yield (*path, key)
            yield from _places(item, twice, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, twice, (*path, index))


def from_yaml(data: bytes) -> tuple[Any, list[Twice]]:
    """One YAML document of plain data, as JSON would have it: no aliases that blow up, no dates, no binary."""
    import yaml

    loader: Any = None
    try:
        if data.count(b"*") and any(
            isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, Loader=_yaml_loader())
        ):
            raise BadRequest("cannot read the body: YAML aliases are not supported (write the value out)")
        loader = _yaml_loader()(data)
        node = loader.get_single_node()
        if node is None:
            return None, []
        twice = list(_nodes_twice(node))
        return shallow(loader.construct_document(node)), twice
    except (yaml.YAMLError, ValueError) as error:
        raise BadRequest(f"cannot read the body: {' '.join(str(error).split())[:300]} (send YAML)") from None
    except RecursionError:
        raise BadRequest(f"cannot read the body: {TOO_DEEP}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _nodes_twice(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[Twice]:
    """Where YAML mappings have a key twice."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                found = Twice(render((*path, name)))
                found.line = key.start_mark.line + 1
                yield found
            seen.add(name)
            yield from _nodes_twice(value, (*path, name))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _nodes_twice(item, (*path, index))


@cache
def _yaml_loader() -> Any:
    """yaml's safe loader without dates: a time is a string on the wire."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.yaml_implicit_resolvers = {
        first: [(tag, rule) for tag, rule in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def parse(data: bytes) -> Any:
    """Strict JSON: no NaN, no key twice."""
    return _loaded(data, _no_twice)


def _loaded(data: bytes, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> Any:
    try:
        value = json.loads(data, object_pairs_hook=pairs, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise BadRequest(f"cannot read the body: byte {error.start} is no UTF-8 (send JSON in UTF-8)") from None
    except RecursionError:
        raise BadRequest(f"cannot read the body: {TOO_DEEP}") from None
    except ValueError as error:
        why = "a number has more than 4300 digits" if "4300 digits" in str(error) else error
        raise BadRequest(f"cannot read the body: {why} (send JSON)") from None
    if b"\\u" in data:
        _no_halves(value)
    return shallow(value) if data.count(b"[") + data.count(b"{") > DEPTH else value


def shallow(value: Any) -> Any:
    """The value, if it has at most DEPTH levels. BadRequest."""
    level: list[Any] = [value]
    for _ in range(DEPTH + 1):
        level = [child for each in level for child in _children(each)]
        if not level:
            return value
    raise BadRequest(f"cannot read the body: {TOO_DEEP}")


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _no_halves(value: Any) -> None:
    """JSON can name half of a surrogate pair, which is no text and cannot be sent back."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = ord(error.object[error.start])
        raise BadRequest(f"cannot read the body: \\u{half:04x} is half of a surrogate pair (send both)") from None
    except RecursionError:
        raise BadRequest(f"cannot read the body: {TOO_DEEP}") from None


def _no_twice(items: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(items)
    if len(data) != len(items):
        seen: set[str] = set()
        twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} occurs twice")
    return data
