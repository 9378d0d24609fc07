"""POST /orchestr.dev/v1/apply: server-side apply of a whole list in one transaction, or none of it."""

from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.errors import BadRequest
from orchestr.server.answer import dump, json_bytes
from orchestr.server.body import json_object
from orchestr.server.query import dry_run, flag
from orchestr.store.local import LocalCluster

LIMIT = 64 * 1024 * 1024  # bytes of a whole list; each object has its own limit


async def apply(cluster: LocalCluster, request: Request) -> Response:
    """An ApplyResult in the items' order, or a Status whose causes name items[N] and the field."""
    query = request.query_params
    manager = query.get("manager")
    if not manager:
        raise BadRequest("cannot apply: no field manager (give manager=NAME)")
    items = (await json_object(request, LIMIT)).get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadRequest('cannot apply: no list of objects (send {"kind": "List", "items": [{...}]})')
    results = await cluster.apply_all(
        items, manager=manager, dry_run=dry_run(query), prune=query.get("prune"), force=flag(query, "force")
    )
    parts = [b'{"action":%b,"object":%b}' % (dump(action), obj.canonical()) for action, obj in results]
    return json_bytes(b'{"kind":"ApplyResult","apiVersion":"orchestr.dev/v1","items":[%b]}' % b",".join(parts))
