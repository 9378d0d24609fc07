"""POST /orchestr.dev/v1/apply: server-side apply of a whole list in one transaction, or none of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from orchestr.api import scheme
from orchestr.api.errors import BadRequest
from orchestr.server.access import Access
from orchestr.server.advice import advice
from orchestr.server.answer import dump, json_bytes
from orchestr.server.attributes import Attributes
from orchestr.server.body import LIMIT as ONE
from orchestr.server.body import json_object
from orchestr.server.query import dry_run, flag
from orchestr.server.user import User
from orchestr.store.applying import Applied

LIMIT = 64 * 1024 * 1024  # bytes of a whole list, from the masters; each object has its own limit


async def apply(access: Access, request: Request) -> Response:
    """An ApplyResult in the items' order, or a Status whose causes name items[N] and the field."""
    query = request.query_params
    manager = query.get("manager")
    if not manager:
        raise BadRequest("cannot apply: no field manager (give manager=NAME)")
    limit = LIMIT if request.scope["user"].unrestricted else ONE
    items = (await json_object(request, limit)).get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadRequest('cannot apply: no list of objects (send {"kind": "List", "items": [{...}]})')
    prune = _labels(query["prune"]) if "prune" in query else None
    _check_rights(access, request.scope["user"], items, prune=prune is not None)
    results = await access.cluster.apply_all(
        items, manager=manager, dry_run=dry_run(query), prune=prune, force=flag(query, "force")
    )
    parts = [
        b'{"action":"%b","object":%b%b}' % (done.action.encode(), done.row.data, _warnings(access, done))
        for done in results
    ]
    return json_bytes(b'{"kind":"ApplyResult","apiVersion":"orchestr.dev/v1","items":[%b]}' % b",".join(parts))


def _warnings(access: Access, done: Applied) -> bytes:
    """The member that tells a person more about an object that was created; mostly nothing."""
    if done.action != "created":
        return b""
    said = list(advice(access.cluster, done.object))
    return b',"warnings":' + dump(said) if said else b""


def _check_rights(access: Access, user: User, items: Sequence[Mapping[str, Any]], *, prune: bool) -> None:
    """Forbidden unless the user may patch every item, and with `prune` delete all that might be pruned.

    That an item may also be created, if it is, is checked where it is (escalation.py).
    """
    if user.unrestricted:
        return
    namespaces = set()
    for item in items:
        kind = scheme.kind_of(str(item.get("apiVersion", "")), str(item.get("kind", "")))
        metadata = item.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        namespace = str(metadata.get("namespace") or "default") if kind.NAMESPACED else ""
        namespaces.add(namespace)
        wanted = Attributes("patch", kind.GROUP, kind.VERSION, kind.PLURAL, namespace=namespace)
        access.require(user, wanted._replace(name=str(metadata.get("name") or "")))
    for namespace in sorted(namespaces - {""}) if prune else ():
        for kind in scheme.KINDS:
            if kind.NAMESPACED:
                access.require(user, Attributes("delete", kind.GROUP, kind.VERSION, kind.PLURAL, namespace=namespace))


def _labels(text: str) -> dict[str, str]:
    """What may be pruned: "true" is all that the manager applied before, "a=b,c=d" what has these labels."""
    if text == "true":
        return {}
    labels = dict(term.partition("=")[::2] for term in text.split(","))
    if not all(labels) or not all("=" in term for term in text.split(",")):
        raise BadRequest(f"cannot apply: prune={text[:64]!r} is neither true nor labels (write prune=app=web)")
    return labels
