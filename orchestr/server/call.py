"""One call of the API: what was asked of which resource, and what answers with."""

from typing import NamedTuple

from starlette.datastructures import QueryParams
from starlette.requests import Request

from orchestr.api.base import Key, KubeObject
from orchestr.server.node import Node
from orchestr.store.local import LocalCluster
from orchestr.store.store import Store


class Call(NamedTuple):
    request: Request
    query: QueryParams
    cluster: LocalCluster
    node: Node
    kind: type[KubeObject]
    namespace: str | None  # None: all namespaces, or a cluster-scoped kind
    name: str

    @property
    def store(self) -> Store:
        return self.cluster.store

    @property
    def key(self) -> Key:
        return Key(self.namespace or "", self.name)
