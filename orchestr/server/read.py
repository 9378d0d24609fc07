"""GET of an object and of a collection: the store's own bytes, or a view of them."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

import trio
from starlette.datastructures import QueryParams
from starlette.responses import Response

from orchestr.api.base import KubeObject
from orchestr.api.errors import ApiError, BadRequest, Expired
from orchestr.server import content, views
from orchestr.server.call import Call
from orchestr.server.query import number
from orchestr.server.selectors import Selector, selector

CHUNK = 64  # objects that are decoded for a view before others get their turn


class NotYet(ApiError):
    """A resourceVersion from the future: from another database, or a mistake."""

    code, reason = 504, "Timeout"


def selection(query: QueryParams, kind: type[KubeObject]) -> Selector:
    return selector(query.get("labelSelector"), query.get("fieldSelector"), kind)


class Page(NamedTuple):
    """Where a list in pieces goes on. Watching from `revision` misses nothing, though later pieces may be newer."""

    revision: int
    namespace: str
    name: str

    def encode(self) -> str:
        return urlsafe_b64encode(json.dumps(self).encode()).decode()


def _page(token: str) -> Page:
    try:
        revision, namespace, name = json.loads(urlsafe_b64decode(token))
        return Page(int(revision), str(namespace), str(name))
    except (ValueError, TypeError):
        raise BadRequest("cannot list: the continue token is not one of ours (list anew without it)") from None


async def single(call: Call) -> Response:
    form = content.form(call.request.headers.get("accept"), content.OBJECT_VIEWS)
    _check_version(call.cluster.revision, call.query)
    return views.one(call.kind, call.query, form, call.row().data)


async def collection(call: Call) -> Response:
    query, kind = call.query, call.kind
    form = content.form(call.request.headers.get("accept"), content.LIST_VIEWS)
    chosen, limit = selection(query, kind), number(query, "limit")
    rows, revision = call.cluster.rows(kind, namespace=call.namespace)
    token = query.get("continue")
    _check_list(query, token)
    _check_version(revision, query)
    if chosen.labels or chosen.fields:
        rows = [row for row in rows if chosen.holds(row.object)]
    metadata: dict[str, object] = {"resourceVersion": str(revision)}
    if token:
        page = _page(token)
        metadata["resourceVersion"] = str(page.revision)
        rows = [row for row in rows if row.object.key > (page.namespace, page.name)]
    if limit and limit < len(rows):
        last = rows[limit - 1].object.key
        metadata["continue"] = Page(int(str(metadata["resourceVersion"])), *last).encode()
        if not (chosen.labels or chosen.fields):
            metadata["remainingItemCount"] = len(rows) - limit
        rows = rows[:limit]
    if not form.as_:
        return views.collected(kind, form, metadata, [row.data for row in rows])
    item, items = views.item_of(kind, query, form), []
    for index, row in enumerate(rows):
        if index % CHUNK == CHUNK - 1:
            await trio.lowlevel.checkpoint()
        items.append(item(row.data))
    return views.collected(kind, form, metadata, items)


def _check_list(query: QueryParams, token: str | None) -> None:
    """Which of the parameters go together. Source: apimachinery, ValidateListOptions."""
    version, match = query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
    if token and version not in ("", "0"):
        raise BadRequest("cannot list: resourceVersion and continue do not go together (leave resourceVersion out)")
    if match and token:
        raise BadRequest("cannot list: resourceVersionMatch is forbidden with continue (leave it out)")
    if match and not version:
        raise BadRequest("cannot list: resourceVersionMatch is forbidden unless resourceVersion is provided (add it)")
    if match == "Exact" and version == "0":
        raise BadRequest('cannot list: resourceVersionMatch "Exact" is forbidden for resourceVersion "0" (name one)')
    if "sendInitialEvents" in query:
        raise BadRequest("cannot list: sendInitialEvents is forbidden for list (it is for watch)")


def _check_version(revision: int, query: QueryParams) -> None:
    wanted, match = number(query, "resourceVersion") or 0, query.get("resourceVersionMatch", "")
    if match not in ("", "NotOlderThan", "Exact"):
        raise BadRequest(f"cannot list: resourceVersionMatch {match[:64]!r} (use NotOlderThan or Exact)")
    if wanted > revision:
        raise NotYet(f"Too large resource version: {wanted}, current: {revision}", details={"retryAfterSeconds": 1})
    if match == "Exact" and wanted != revision:
        raise Expired("The provided resource version is no longer available (list without resourceVersionMatch=Exact)")
