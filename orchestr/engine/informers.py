"""All informers of a daemon: one per kind, whoever asks for it. Fulfils `Index`."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from orchestr.api.base import Key, KubeObject
from orchestr.engine.cluster import Cluster
from orchestr.engine.controller import By
from orchestr.engine.informer import Informer

K = TypeVar("K", bound=KubeObject)


class Informers:
    """Informers by kind. `add` before they run."""

    def __init__(self, cluster: Cluster, *, detect: bool = False) -> None:
        self._cluster = cluster
        self._detect = detect
        self._informers: dict[type[KubeObject], Informer[Any]] = {}

    def __iter__(self) -> Iterator[Informer[Any]]:
        return iter(self._informers.values())

    def add(self, kind: type[K], indexes: Iterable[By] = ()) -> Informer[K]:
        informer = self._informers.get(kind)
        if informer is None:
            informer = self._informers[kind] = Informer(self._cluster, kind, detect=self._detect)
        for index in indexes:
            if index.kind is kind:
                informer.cache.add_index(index.name, index.values)
        return informer

    def of(self, kind: type[K]) -> Informer[K] | None:
        return cast("Informer[K] | None", self._informers.get(kind))

    def all(self, kind: type[K], *, namespace: str | None = None) -> Sequence[K]:
        return self._known(kind).cache.list(namespace=namespace)

    def one(self, kind: type[K], key: Key) -> K | None:
        return self._known(kind).cache.get(key)

    def by(self, kind: type[K], index: str, value: Hashable) -> Sequence[K]:
        return self._known(kind).cache.by(index, value)

    def _known(self, kind: type[K]) -> Informer[K]:
        informer = self.of(kind)
        if informer is None:
            raise LookupError(f"cannot read the cache of {kind.PLURAL}: nobody watches them (name them in WATCHES)")
        return informer
