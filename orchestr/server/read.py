"""GET of an object and of a collection: the store's own bytes, or a view of them."""

import time
from bisect import bisect_right

import trio
from starlette.datastructures import QueryParams
from starlette.responses import Response

from orchestr.api.base import KubeObject
from orchestr.api.errors import ApiError, Cause, Expired
from orchestr.server import content, views
from orchestr.server.call import Call
from orchestr.server.listoptions import check_options
from orchestr.server.page import PATIENCE, Page, page_of
from orchestr.server.query import number
from orchestr.server.selectors import Selector, selector
from orchestr.store.local import Rows
from orchestr.store.table import Row

CHUNK = 128  # objects that a selector looks at before others get their turn


class NotYet(ApiError):
    """A resourceVersion from the future: from another database, or a mistake."""

    code, reason = 504, "Timeout"


def selection(query: QueryParams, kind: type[KubeObject]) -> Selector:
    return selector(query.get("labelSelector"), query.get("fieldSelector"), kind)


async def single(call: Call) -> Response:
    form = content.form(call.request.headers.get("accept"), content.OBJECT_VIEWS)
    _check_version(call.cluster.revision, call.query)
    return views.one(call.kind, call.query, form, call.row().data)


async def collection(call: Call) -> Response:
    query, kind = call.query, call.kind
    form = content.form(call.request.headers.get("accept"), content.LIST_VIEWS)
    chosen, limit = selection(query, kind), number(query, "limit")
    page = page_of(query["continue"]) if query.get("continue") else None
    check_options(query)
    _check_version(call.cluster.revision, query)
    rows, revision = _rows(call, page, limit)
    rows = await selected(rows, chosen)
    metadata: dict[str, object] = {"resourceVersion": str(revision)}
    if page:
        rows = rows[bisect_right(rows, (page.namespace, page.name), key=lambda row: row.object.key) :]
    if limit and limit < len(rows):
        begun = page.begun if page and page.revision else int(time.time())
        metadata["continue"] = Page(revision, *rows[limit - 1].object.key, begun).encode()
        if not (chosen.labels or chosen.fields):
            metadata["remainingItemCount"] = len(rows) - limit
        rows = rows[:limit]
    return await views.collected(kind, form, metadata, [row.data for row in rows], views.shown_as(kind, query, form))


async def selected(rows: list[Row], chosen: Selector) -> list[Row]:
    """Those of the rows that the selector matches."""
    if not chosen.labels and not chosen.fields:
        return rows
    found: list[Row] = []
    for start in range(0, len(rows), CHUNK):
        found += [row for row in rows[start : start + CHUNK] if chosen.holds(row.object)]
        await trio.lowlevel.checkpoint()
    return found


def _rows(call: Call, page: Page | None, limit: int | None) -> Rows:
    """The rows of the instant that is asked for: that of the list's first piece, that of a version, or now."""
    version, at = number(call.query, "resourceVersion") or 0, None
    match = call.query.get("resourceVersionMatch") or ("Exact" if limit else "")
    if page and page.revision:
        if not -PATIENCE < time.time() - page.begun < PATIENCE:
            raise page.too_old()
        at = page.revision
    elif version and match == "Exact":
        at = version
    try:
        return call.cluster.rows(call.kind, namespace=call.namespace, at=at)
    except Expired:
        raise page.too_old() if page else Expired(f"The provided resource version is too old: {version}") from None


def _check_version(revision: int, query: QueryParams) -> None:
    wanted = number(query, "resourceVersion") or 0
    if wanted > revision:
        text = f"Too large resource version: {wanted}, current: {revision}"
        causes = [Cause("", "Too large resource version", "ResourceVersionTooLarge")]  # by which client-go knows it
        raise NotYet(f"Timeout: {text}", causes=causes, details={"retryAfterSeconds": 1})
