"""/openapi/v2 in protobuf, as kubectl asks for it when it checks a file with `kind: List` itself.

The definitions are all that clients look at there; paths are left to the JSON form and to /openapi/v3.
Source of the numbers: OpenAPIv2.proto of github.com/google/gnostic-models.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from typing import Any

MEDIA = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
ASKED = (MEDIA, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")  # which is no media type, strictly
TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
DOUBLES = {"multipleOf": 6, "maximum": 7, "minimum": 9}
BOOLEANS = {"exclusiveMaximum": 8, "exclusiveMinimum": 10, "uniqueItems": 16, "readOnly": 27}
NUMBERS = {"maxLength": 11, "minLength": 12, "maxItems": 14, "minItems": 15, "maxProperties": 17, "minProperties": 18}


def document(whole: Mapping[str, Any]) -> bytes:
    """Of the JSON form."""
    info = _text(1, whole["info"]["title"]) + _text(2, whole["info"]["version"])
    definitions = _named(whole["definitions"])
    return _text(1, whole["swagger"]) + _part(2, info) + _part(8, b"") + _part(9, definitions)


def _named(schemas: Mapping[str, Any]) -> bytes:
    """Definitions, and Properties: both repeat NamedSchema."""
    return b"".join(_part(1, _text(1, name) + _part(2, schema(each))) for name, each in schemas.items())


def schema(given: Mapping[str, Any]) -> bytes:
    found = [_text(number, given[name]) for name, number in TEXTS.items() if given.get(name)]
    found += [_tag(n, 1) + struct.pack("<d", given[name]) for name, n in DOUBLES.items() if name in given]
    found += [_tag(number, 0) + b"\x01" for name, number in BOOLEANS.items() if given.get(name)]
    found += [_tag(number, 0) + _varint(given[name]) for name, number in NUMBERS.items() if name in given]
    found += [_text(19, each) for each in given.get("required") or ()]
    found += [_part(20, _any(each)) for each in given.get("enum") or ()]
    found += [_part(24, schema(each)) for each in given.get("allOf") or ()]
    if "default" in given:
        found.append(_part(5, _any(given["default"])))
    if isinstance(more := given.get("additionalProperties"), Mapping):
        found.append(_part(21, _part(1, schema(more))))
    elif more is not None:
        found.append(_part(21, _tag(2, 0) + _varint(int(bool(more)))))
    if "type" in given:
        found.append(_part(22, _text(1, given["type"])))
    if isinstance(items := given.get("items"), Mapping):
        found.append(_part(23, _part(1, schema(items))))
    if properties := given.get("properties"):
        found.append(_part(25, _named(properties)))
    found += [_part(31, _text(1, n) + _part(2, _any(each))) for n, each in given.items() if n.startswith("x-")]
    return b"".join(found)


def _any(value: Any) -> bytes:
    return _text(2, json.dumps(value))  # as YAML, which JSON is


def _text(number: int, value: str) -> bytes:
    return _part(number, value.encode())


def _part(number: int, data: bytes) -> bytes:
    return _tag(number, 2) + _varint(len(data)) + data


def _tag(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def wanted(accepted: Iterable[str]) -> bool:
    """Whether the first media type that is named is this one."""
    return next((each.strip().partition(";")[0] in ASKED for each in accepted if each.strip()), False)
