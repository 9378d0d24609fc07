"""One call of the API: what was asked of which resource, and what answers with."""

import json
from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from orchestr.api.base import Key, KubeObject
from orchestr.api.errors import Cause, Invalid
from orchestr.server import content, views
from orchestr.server.answer import dump
from orchestr.server.node import Node
from orchestr.server.query import dry_run
from orchestr.server.user import User
from orchestr.store import refusals
from orchestr.store.local import LocalCluster
from orchestr.store.table import Row

MANAGER_LIMIT = 128  # bytes of a field manager's name


def field_manager(given: str) -> str:
    """The name, as Kubernetes takes it. Invalid."""
    why = ""
    if len(given.encode(errors="replace")) > MANAGER_LIMIT:
        why = f"Too long: may not be more than {MANAGER_LIMIT} bytes"
    elif not given.isprintable():
        why = f"Invalid value: {given!r}: should only contain printable characters"
    if why:
        raise Invalid(f"cannot write: fieldManager: {why}", causes=[Cause("fieldManager", why)])
    return given


class Call(NamedTuple):
    request: Request
    query: QueryParams
    cluster: LocalCluster
    node: Node
    kind: type[KubeObject]
    namespace: str | None  # None: all namespaces, or a cluster-scoped kind
    name: str
    warnings: list[str]  # what the client is to be told beside the answer

    @property
    def key(self) -> Key:
        return Key(self.namespace or "", self.name)

    @property
    def user(self) -> User:
        """Who asks."""
        found: User = self.request.scope["user"]
        return found

    @property
    def manager(self) -> str | None:
        """Who writes, for managedFields: the query, else the program's name, as Kubernetes takes it."""
        if given := self.query.get("fieldManager"):
            return field_manager(given)
        agent = self.request.headers.get("user-agent", "")
        return "".join(char for char in agent.partition("/")[0] if char.isprintable())[:MANAGER_LIMIT] or None

    def row(self) -> Row:
        """The object of the path. NotFound."""
        found = self.cluster.row(self.kind, self.key)
        if found is None:
            raise refusals.not_found(self.kind, self.name)
        return found

    def answer(self, data: bytes, status: int = 200) -> Response:
        """An object's JSON in the form that the client wants."""
        form = content.form(self.request.headers.get("accept"), content.OBJECT_VIEWS)
        if self.request.method != "GET" and dry_run(self.query):
            data = self._unstored(data)
        return views.one(self.kind, self.query, form, data, status)

    def _unstored(self, data: bytes) -> bytes:
        """Without the resourceVersion that a dry run would have given, but did not."""
        wire = json.loads(data)
        found = self.cluster.row(self.kind, self.key) if self.name else None
        wire["metadata"]["resourceVersion"] = str(found.revision) if found else None
        wire["metadata"] = {key: value for key, value in wire["metadata"].items() if value is not None}
        return dump(wire)

    def stored(self, obj: KubeObject) -> bytes:
        """The JSON of what a write returned: the store's own bytes, unless it was a dry run."""
        found = self.cluster.row(self.kind, obj.key)
        return found.data if found is not None and found.object is obj else obj.canonical()
