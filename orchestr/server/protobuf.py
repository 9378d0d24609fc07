"""Bodies in Kubernetes' protobuf, as kubectl's generators and Go clients send them, read into the JSON form.

Only reading is spoken: answers are JSON, which these clients take as well. The numbers of the fields are in
api/protobuf.json (tests/api/make_protobuf.py makes it). Zeros of fields that are no pointers are left out, as Go's
`omitempty` does. Source: protobuf's wire format, and apimachinery, pkg/runtime/serializer/protobuf.
"""

import base64
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from orchestr.api import schema
from orchestr.api.base import microtimestamp, timestamp
from orchestr.api.errors import BadRequest

MAGIC = b"k8s\x00"
DEEPEST = 64  # messages within messages
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Field(NamedTuple):
    name: str
    code: str
    pointer: bool
    inline: bool

    @classmethod
    def of(cls, text: str) -> "Field":
        name, _, code = text.partition(":")
        return cls(name, code.rstrip("?+"), "?" in code, code.endswith("+"))


@cache
def _table() -> Mapping[str, Mapping[str, str]]:
    with open(os.path.join(os.path.dirname(schema.__file__), "protobuf.json"), "rb") as file:
        found: Mapping[str, Mapping[str, str]] = json.load(file)
    return found


@cache
def _fields(type_name: str) -> Mapping[int, Field]:
    return {int(number): Field.of(text) for number, text in _table()[type_name].items()}


def from_protobuf(data: bytes) -> dict[str, Any]:
    """The object in an envelope: `k8s\\0`, then runtime.Unknown with the type and the message's bytes."""
    if not data.startswith(MAGIC):
        raise _malformed("it does not begin with k8s\\0")
    unknown = dict(_parts(data[len(MAGIC) :]))
    meta = dict(_parts(_bytes(unknown.get(1, b""))))
    api_version, kind = _text(meta.get(1, b"")), _text(meta.get(2, b""))
    name = "meta.v1.DeleteOptions" if kind == "DeleteOptions" else schema.tables().kinds.get(f"{api_version} {kind}")
    if name is None or name not in _table():
        raise BadRequest(
            f"cannot read {kind or 'an object'} of {api_version or '?'} as protobuf: not supported (send JSON)"
        )
    found: dict[str, Any] = _message(_bytes(unknown.get(2, b"")), name, 0)
    return {"apiVersion": api_version, "kind": kind, **found}


def _malformed(why: str) -> BadRequest:
    return BadRequest(f"cannot read the body as protobuf: {why} (send a whole message, or JSON)")


def _parts(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field: an integer, or the bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        size, at = _varint(data, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), at)
        if size < 0 or at + size > len(data):
            raise _malformed(f"field {number} goes beyond its end")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise _malformed("a number does not end")


def _message(data: bytes, type_name: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise _malformed("nested too deeply")
    found: dict[str, Any] = {}
    for number, raw in _parts(data):
        field = _fields(type_name).get(number)
        if field is None:
            continue  # of a newer Kubernetes
        if field.code[0] == "[":
            found.setdefault(field.name, []).append(_value(raw, field.code[1:], depth))
        elif field.code[0] == "{":
            pair = dict(_parts(_bytes(raw)))
            found.setdefault(field.name, {})[_text(pair.get(1, b""))] = _value(pair.get(2), field.code[1:], depth)
        else:
            value = _value(raw, field.code, depth)
            if field.inline:
                found |= value or {}
            elif value is not None and (value or field.pointer):  # false == 0 == "" == {}
                found[field.name] = value
    wrapped = list(_table()[type_name].values())
    return found.get("items", []) if len(wrapped) == 1 and wrapped[0].startswith("items:") else found


def _value(raw: int | bytes | None, code: str, depth: int) -> Any:
    """One value; None where the message says nothing, such as a time that is zero."""
    match code[0]:
        case "s":
            return _text(raw if raw is not None else b"")
        case "y":
            return base64.b64encode(_bytes(raw if raw is not None else b"")).decode()
        case "b":
            return bool(raw)
        case "i":
            return _signed(raw or 0)
        case "d":
            return struct.unpack("<d", _bytes(raw if raw is not None else bytes(8)))[0]
    special, data = SPECIAL.get(code.rsplit(".", 1)[-1]), _bytes(raw if raw is not None else b"")
    return special(data) if special else _message(data, code[1:], depth + 1)


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise _malformed("bytes stand where a number is needed")
    return value - (1 << 64) if value >> 63 else value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _malformed("a number stands where bytes are needed")
    return value


def _text(value: int | bytes) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise _malformed("a string is no UTF-8") from None


def _quantity(data: bytes) -> Any:
    return _text(dict(_parts(data)).get(1, b"")) or "0"


def _int_or_string(data: bytes) -> Any:
    found = dict(_parts(data))
    return _text(found.get(3, b"")) if found.get(1) else _signed(found.get(2, 0))


def _moment(data: bytes) -> datetime | None:
    found = dict(_parts(data))
    if not found:
        return None
    try:
        return EPOCH + timedelta(seconds=_signed(found.get(1, 0)), microseconds=_signed(found.get(2, 0)) // 1000)
    except OverflowError:
        raise _malformed("a time is out of range") from None


def _time(data: bytes) -> Any:
    at = _moment(data)
    return timestamp(at) if at else None


def _micro_time(data: bytes) -> Any:
    at = _moment(data)
    return microtimestamp(at) if at else None


def _raw(data: bytes) -> Any:
    text = _bytes(dict(_parts(data)).get(1, b""))
    try:
        return json.loads(text) if text else None
    except ValueError:
        raise _malformed("a raw object in it is no JSON") from None


SPECIAL: Mapping[str, Callable[[bytes], Any]] = {
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
    "Time": _time,
    "MicroTime": _micro_time,
    "RawExtension": _raw,
    "FieldsV1": _raw,
}
