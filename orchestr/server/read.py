"""GET of a collection: the store's own bytes, never decoded, never encoded again."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.responses import Response

from orchestr.api.base import KubeObject
from orchestr.api.errors import ApiError, BadRequest, Expired
from orchestr.server.answer import json_bytes
from orchestr.server.query import number
from orchestr.server.selectors import Selector, selector
from orchestr.store.local import LocalCluster


class NotYet(ApiError):
    """A resourceVersion from the future: from another database, or a mistake."""

    code, reason = 504, "Timeout"


def selection(query: QueryParams) -> Selector:
    return selector(query.get("labelSelector"), query.get("fieldSelector"))


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


def collection(cluster: LocalCluster, kind: type[KubeObject], namespace: str | None, query: QueryParams) -> Response:
    chosen, limit = selection(query), number(query, "limit")
    rows, revision = cluster.rows(kind, namespace=namespace)
    _check_version(revision, query)
    if chosen.labels or chosen.fields:
        rows = [row for row in rows if chosen.holds(row.object)]
    metadata: dict[str, object] = {"resourceVersion": str(revision)}
    if token := query.get("continue"):
        page = _page(token)
        metadata["resourceVersion"] = str(page.revision)
        rows = [row for row in rows if row.object.key > (page.namespace, page.name)]
    if limit and limit < len(rows):
        last = rows[limit - 1].object.key
        metadata["continue"] = Page(int(str(metadata["resourceVersion"])), *last).encode()
        metadata["remainingItemCount"] = len(rows) - limit
        rows = rows[:limit]
    head = {"kind": f"{kind.__name__}List", "apiVersion": _api_version(kind), "metadata": metadata}
    start = json.dumps(head, separators=(",", ":"))[:-1].encode()
    return json_bytes(b'%b,"items":[%b]}' % (start, b",".join([row.data for row in rows])))


def _check_version(revision: int, query: QueryParams) -> None:
    wanted, match = number(query, "resourceVersion") or 0, query.get("resourceVersionMatch", "")
    if match not in ("", "NotOlderThan", "Exact"):
        raise BadRequest(f"cannot list: resourceVersionMatch {match[:64]!r} (use NotOlderThan or Exact)")
    if wanted > revision:
        raise NotYet(f"Too large resource version: {wanted}, current: {revision}")
    if match == "Exact" and wanted != revision:
        raise Expired("The provided resource version is no longer available (list without resourceVersionMatch=Exact)")


def _api_version(kind: type[KubeObject]) -> str:
    return f"{kind.GROUP}/{kind.VERSION}" if kind.GROUP else kind.VERSION
