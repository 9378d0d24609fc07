"""Objects as a client wants to see them: as they are, as rows of a Table, or their metadata alone.

As they are costs nothing: the store's own bytes. The other views decode each object's JSON once.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import trio
from starlette.datastructures import QueryParams
from starlette.responses import Response

from orchestr.api.base import KubeObject
from orchestr.api.errors import BadRequest
from orchestr.server import podcells
from orchestr.server.answer import Pieces, dump, json_bytes
from orchestr.server.columns import columns
from orchestr.server.content import PARTIAL, PARTIAL_LIST, TABLE, YAML, Form, yaml_bytes

INCLUDE = ("None", "Metadata", "Object")
LARGE = 128 * 1024  # bytes of a list that goes in pieces
PIECE, PIECE_SHOWN = 128 * 1024, 8 * 1024  # bytes of a piece: as they are, and of views, which take their time
END = b"]}"
Piece = Callable[[bytes], bytes]  # canonical JSON of an object -> what stands for it in the answer


def api_version(kind: type[KubeObject]) -> str:
    return f"{kind.GROUP}/{kind.VERSION}" if kind.GROUP else kind.VERSION


def row_of(kind: type[KubeObject], query: QueryParams, form: Form, now: datetime) -> Piece:
    """Makes metav1.TableRow."""
    include = query.get("includeObject") or "Metadata"
    if include not in INCLUDE:
        raise BadRequest(f"cannot make a table: includeObject={include[:32]!r} (use {', '.join(INCLUDE)})")
    cells = [column.cell for column in columns(kind)]

    def row(data: bytes) -> bytes:
        wire = json.loads(data)
        found: dict[str, Any] = {"cells": [cell(wire, now) for cell in cells]}
        if kind.__name__ == "Pod" and (conditions := podcells.row_conditions(wire)):
            found["conditions"] = conditions
        if include != "None":
            found["object"] = wire if include == "Object" else partial(wire, form)
        return dump(found)

    return row


def partial(wire: dict[str, Any], form: Form) -> dict[str, Any]:
    version = f"meta.k8s.io/{form.version or 'v1'}"
    return {"kind": PARTIAL, "apiVersion": version, "metadata": wire.get("metadata") or {}}


def item_of(kind: type[KubeObject], query: QueryParams, form: Form) -> Piece:
    """What stands for one object in an answer of this form."""
    return shown_as(kind, query, form) or (lambda data: data)


def shown_as(kind: type[KubeObject], query: QueryParams, form: Form) -> Piece | None:
    """What makes an item of an object's JSON; None where the object is shown as it is."""
    if form.as_ == TABLE:
        return row_of(kind, query, form, datetime.now(UTC))
    if form.as_ in (PARTIAL, PARTIAL_LIST):
        return lambda data: dump(partial(json.loads(data), form))
    return None


def head(kind: type[KubeObject], form: Form, metadata: dict[str, Any]) -> bytes:
    """A list's JSON up to its items."""
    head: dict[str, Any]
    if form.as_ == TABLE:
        head = {"kind": TABLE, "apiVersion": form.api_version, "metadata": metadata, "columnDefinitions": defined(kind)}
    elif form.as_ == PARTIAL_LIST:
        head = {"kind": PARTIAL_LIST, "apiVersion": form.api_version, "metadata": metadata}
    else:
        head = {"kind": f"{kind.__name__}List", "apiVersion": api_version(kind), "metadata": metadata}
    return dump(head)[:-1] + (b',"rows":[' if form.as_ == TABLE else b',"items":[')


def defined(kind: type[KubeObject]) -> list[dict[str, Any]]:
    return [column.definition() for column in columns(kind)]


async def collected(
    kind: type[KubeObject], form: Form, metadata: dict[str, Any], items: Sequence[bytes], shown: Piece | None = None
) -> Response:
    """The answer to a list; `shown` makes what stands in it of each item."""
    begin, size = head(kind, form, metadata), sum(map(len, items))
    if form.media == YAML:
        whole = b"".join(pieces(begin, items, shown))
        return await trio.to_thread.run_sync(answer, whole, form)  # a second for each megabyte
    if size < LARGE:
        return answer(b"".join(pieces(begin, items, shown)), form)
    length = None if shown else len(begin) + size + max(len(items) - 1, 0) + len(END)
    return Pieces(pieces(begin, items, shown), 200, form.content_type, length)


def pieces(begin: bytes, items: Sequence[bytes], shown: Piece | None) -> Iterator[bytes]:
    """A list's JSON in pieces, none of which takes long to make."""
    piece, enough = bytearray(begin), PIECE_SHOWN if shown else PIECE
    for index, data in enumerate(items):
        if index:
            piece += b","
        piece += shown(data) if shown else data
        if len(piece) >= enough:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece) + END


def one(kind: type[KubeObject], query: QueryParams, form: Form, data: bytes, status: int = 200) -> Response:
    """The answer that is one object."""
    if form.as_ == TABLE:
        version = json.loads(data).get("metadata", {}).get("resourceVersion", "")
        whole = b"".join(pieces(head(kind, form, {"resourceVersion": version}), [data], item_of(kind, query, form)))
        return answer(whole, form, status)
    return answer(item_of(kind, query, form)(data), form, status)


def answer(data: bytes, form: Form, status: int = 200) -> Response:
    """JSON in the media type that was agreed."""
    if form.media == YAML:
        return Response(yaml_bytes(json.loads(data)), status, media_type=YAML)
    response = json_bytes(data, status)
    response.headers["content-type"] = form.content_type
    return response


def event_of(kind: type[KubeObject], query: QueryParams, form: Form) -> Piece:
    """What stands for one object in an event of a watch; a table's first event brings the columns."""
    item = item_of(kind, query, form)
    if form.as_ != TABLE:
        return item
    definitions: list[dict[str, Any]] | None = defined(kind)

    def table(data: bytes) -> bytes:
        nonlocal definitions
        head: dict[str, Any] = {
            "kind": TABLE,
            "apiVersion": form.api_version,
            "metadata": {},
            "columnDefinitions": definitions,
        }
        definitions = None
        return dump(head)[:-1] + b',"rows":[%b]}' % item(data)

    return table
