"""All informers of a daemon: one per kind, whoever asks for it. Fulfils `Index`.

Those of custom resources come and go while the daemon runs, and a change of a definition gives its kind another class:
they are found by group and plural, and where there is none yet, nothing is known of the kind.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

from orchestr.api.base import Key, KubeObject
from orchestr.api.custom import Custom
from orchestr.engine.cluster import Cluster
from orchestr.engine.controller import By
from orchestr.engine.informer import Informer

K = TypeVar("K", bound=KubeObject)


class Informers:
    """Informers by kind. `add` before they run, but for custom resources."""

    def __init__(self, cluster: Cluster, *, detect: bool = False) -> None:
        self._cluster = cluster
        self._detect = detect
        self._informers: dict[Hashable, Informer[Any]] = {}

    def __iter__(self) -> Iterator[Informer[Any]]:
        return iter(self._informers.values())

    def add(self, kind: type[K], indexes: Iterable[By] = ()) -> Informer[K]:
        informer = self._informers.get(_ident(kind))
        if informer is None:
            informer = self._informers[_ident(kind)] = Informer(self._cluster, kind, detect=self._detect)
        for index in indexes:
            if index.kind is kind:
                informer.cache.add_index(index.name, index.values)
        return informer

    def of(self, kind: type[K]) -> Informer[K] | None:
        """The informer; None where there is none, or none yet that has seen all of a custom kind."""
        found = self._informers.get(_ident(kind))
        if found is not None and issubclass(kind, Custom) and not found.synced.is_set():
            return None
        return cast("Informer[K] | None", found)

    def remove(self, kind: type[KubeObject], *, tell: bool) -> None:
        """Forgets the informer of a custom kind; with `tell` its handlers hear that every object is gone."""
        informer = self._informers.pop(_ident(kind))
        if tell:
            informer.clear()

    def all(self, kind: type[K], *, namespace: str | None = None) -> Sequence[K]:
        informer = self._known(kind)
        return informer.cache.list(namespace=namespace) if informer else ()

    def one(self, kind: type[K], key: Key) -> K | None:
        informer = self._known(kind)
        return informer.cache.get(key) if informer else None

    def by(self, kind: type[K], index: str, value: Hashable) -> Sequence[K]:
        informer = self._known(kind)
        return informer.cache.by(index, value) if informer else ()

    def _known(self, kind: type[K]) -> Informer[K] | None:
        informer = self.of(kind)
        if informer is None and not issubclass(kind, Custom):
            raise LookupError(f"cannot read the cache of {kind.PLURAL}: nobody watches them (name them in WATCHES)")
        return informer


def _ident(kind: type[KubeObject]) -> Hashable:
    return (kind.GROUP, kind.PLURAL) if issubclass(kind, Custom) else kind
