"""Reading what a client sends: bounded in size and in time."""

import json
from collections.abc import Callable, Iterator
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

Twice = str  # path of a field that an object has twice


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
    data, given = await body(request, limit), media_type(request)
    if given in YAML_TYPES:
        return from_yaml(data), []
    if given == PROTOBUF:
        return from_protobuf(data), []
    if given not in ("", "*/*", "application/json", "application/x-www-form-urlencoded"):
        raise UnsupportedMedia(
            f"the body of the request was in an unknown format - accepted media types include: application/json, "
            f"application/yaml, {PROTOBUF}; {given[:100]} is not supported"
        )
    return leniently(data)


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
    return value, [render(path) for path in _places(value, twice)] if twice else []


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


def from_yaml(data: bytes) -> Any:
    """One YAML document of plain data, as JSON would have it: no aliases that blow up, no dates, no binary."""
    import yaml

    loader = _yaml_loader()
    try:
        if data.count(b"*") and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, Loader=loader)):
            raise BadRequest("cannot read the body: YAML aliases are not supported (write the value out)")
        return yaml.load(data, Loader=loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise BadRequest(f"cannot read the body: {' '.join(str(error).split())[:300]} (send YAML)") from None
    except RecursionError:
        raise BadRequest("cannot read the body: nested too deeply (flatten it)") from None


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
        return json.loads(data, object_pairs_hook=pairs, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise BadRequest(f"cannot read the body: byte {error.start} is no UTF-8 (send JSON in UTF-8)") from None
    except RecursionError:
        raise BadRequest("cannot read the body: nested too deeply (flatten it)") from None
    except ValueError as error:
        raise BadRequest(f"cannot read the body: {error} (send JSON)") from None


def _no_twice(items: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(items)
    if len(data) != len(items):
        seen: set[str] = set()
        twice = next(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} occurs twice")
    return data
