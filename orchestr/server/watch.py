"""GET ?watch=true: changes as lines of JSON, in order, none skipped, with the store's own bytes.

With a selector an object that begins to match is ADDED and one that ceases is DELETED, as in Kubernetes.
A client that is slower than the changes gets an ERROR event with 410 once they are no longer kept, and lists anew.
"""

from collections.abc import Callable, Iterator

import trio

from orchestr.api.base import KubeObject
from orchestr.api.errors import ApiError, Expired
from orchestr.engine.cluster import EventType
from orchestr.server import content, views
from orchestr.server.answer import JSON, Emit, Stream, dump
from orchestr.server.call import Call
from orchestr.server.content import Form
from orchestr.server.listoptions import check_options
from orchestr.server.query import flag, number
from orchestr.server.read import selection
from orchestr.server.selectors import Selector
from orchestr.server.views import Piece
from orchestr.store.local import LocalCluster
from orchestr.store.table import Change
from orchestr.store.transaction import restamp
from orchestr.store.watch import Watcher

LONGEST = 3600.0  # seconds of a watch whose client named no end
BOOKMARK_EVERY = 60.0  # seconds
Mark = Callable[[int], bytes]  # a bookmark at a revision
PIECE = 64 * 1024  # bytes sent in one go of what exists already


def watch(call: Call) -> Stream:
    """Expired and Invalid are raised before the stream begins; later ones become ERROR events."""
    cluster, kind, namespace, query = call.cluster, call.kind, call.namespace, call.query
    form = content.form(call.request.headers.get("accept"), content.WATCH_VIEWS)
    shown = views.event_of(kind, query, form)
    chosen = selection(query, kind)
    bookmarks = flag(query, "allowWatchBookmarks")
    since = number(query, "resourceVersion")
    initial = flag(query, "sendInitialEvents", default=not since)
    check_options(query, watch=True)
    if since and since > cluster.revision:
        raise Expired(f"Too large resource version: {since}, current: {cluster.revision} (list anew)")
    start = cluster.revision if initial or not since else since
    existing = _existing(cluster, kind, namespace, chosen, shown) if initial else iter(())
    changes = cluster.changes(kind, namespace=namespace, since=start)
    timeout = number(query, "timeoutSeconds")

    mark: Mark | None = (lambda revision: _bookmark(kind, form, revision)) if bookmarks else None

    async def run(emit: Emit) -> None:
        for piece in existing:
            await emit(piece)
        if bookmarks and "sendInitialEvents" in query and initial:
            await emit(_bookmark(kind, form, start, {"k8s.io/initial-events-end": "true"}))
        with trio.move_on_after(timeout or LONGEST):
            await _follow(cluster, changes, chosen, shown, mark, emit)

    return Stream(run, form._replace(media=JSON).content_type)


def _existing(
    cluster: LocalCluster, kind: type[KubeObject], namespace: str | None, chosen: Selector, shown: Piece
) -> Iterator[bytes]:
    """What exists at this instant, as ADDED events."""
    rows = cluster.rows(kind, namespace=namespace).rows

    def pieces() -> Iterator[bytes]:
        piece = bytearray()
        for row in rows:
            if not chosen.holds(row.object):
                continue
            piece += _event(EventType.ADDED, shown(row.data))
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)

    return pieces()


async def _follow(
    cluster: LocalCluster, changes: Watcher, chosen: Selector, shown: Piece, mark: Mark | None, emit: Emit
) -> None:
    try:
        while True:
            # A bookmark must not promise a change that the watcher has not given yet: it names the last one given, or,
            # when none was, the revision at which the wait began (what was pending then would have been given).
            reached = cluster.revision
            with trio.move_on_after(BOOKMARK_EVERY if mark else float("inf")):
                async for change in changes:
                    reached = change.revision
                    if (type_ := visible(change, chosen)) is not None:
                        with trio.CancelScope(shield=True):  # no deadline cuts an event in two
                            await emit(_event(type_, shown(_last(change, type_))))
            if mark:
                await emit(mark(reached))
    except ApiError as error:
        await emit(_event("ERROR", dump(error.status())))


def visible(change: Change, chosen: Selector) -> EventType | None:
    """What a change is to somebody who sees only what the selector matches. Pure."""
    if not chosen.labels and not chosen.fields:
        return change.type
    before = _matched(change, chosen)
    after = change.type is not EventType.DELETED and chosen.holds(change.new.object)
    if before and after:
        return EventType.MODIFIED
    if after:
        return EventType.ADDED
    return EventType.DELETED if before else None


def _matched(change: Change, chosen: Selector) -> bool:
    """Whether the selector matched before. Where that is not known any more it is said to have: news of an object that
    it did not have is no harm to a client.
    """
    if change.old is None:
        return change.type is not EventType.ADDED
    return chosen.holds(change.old.object)


def _last(change: Change, type_: EventType) -> bytes:
    """What an event shows: of an object that ceased to match what it was when it did, with the new revision."""
    if type_ is EventType.DELETED and change.type is not EventType.DELETED and change.old is not None:
        return restamp(change.old.data, str(change.old.revision), change.revision)
    return change.new.data


def _event(type_: str, data: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), data)


def _bookmark(kind: type[KubeObject], form: Form, revision: int, annotations: dict[str, str] | None = None) -> bytes:
    metadata = {"resourceVersion": str(revision), **({"annotations": annotations} if annotations else {})}
    if form.as_ == content.TABLE:
        return _event("BOOKMARK", views.head(kind, form, metadata) + b"]}")
    name, version = (form.as_, form.api_version) if form.as_ else (kind.__name__, views.api_version(kind))
    return _event("BOOKMARK", dump({"kind": name, "apiVersion": version, "metadata": metadata}))
