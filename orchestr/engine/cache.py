"""What an informer knows of one kind: frozen objects, found by key, namespace, controlling owner, label or own index.

Every index is a dict of buckets; a bucket is a dict by key, so that a change costs a few dict operations however many
objects there are. The index of a label key is built when that label is first asked for.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from orchestr.api.base import Key, KubeObject

K = TypeVar("K", bound=KubeObject)
Values = Callable[[Any], Iterable[Hashable]]

NAMESPACE, OWNER, ORPHANS = "namespace", "owner", "orphans"


class MutationDetected(AssertionError):
    """A controller changed an object that the cache handed out."""


def _label(key: str) -> Values:
    def values(obj: KubeObject) -> Iterable[Hashable]:
        value = obj.metadata.labels.get(key)
        return () if value is None else (value,)

    return values


def _owner(obj: KubeObject) -> Iterable[Hashable]:
    owner = obj.metadata.controller
    return (owner.uid,) if owner else ()


def _orphan(obj: KubeObject) -> Iterable[Hashable]:
    return () if obj.metadata.controller else (obj.key.namespace,)


class Cache(Generic[K]):
    """Objects of one kind. With `detect`, `verify` finds objects that were changed after they came in."""

    def __init__(self, *, detect: bool = False) -> None:
        self._objects: dict[Key, K] = {}
        self._values: dict[str, Values] = {}
        self._buckets: dict[str, dict[Hashable, dict[Key, K]]] = {}
        self._digests: dict[Key, bytes] | None = {} if detect else None
        self.add_index(NAMESPACE, lambda obj: (obj.key.namespace,))
        self.add_index(OWNER, _owner)
        self.add_index(ORPHANS, _orphan)

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[K]:
        return iter(self._objects.values())

    def keys(self) -> set[Key]:
        return set(self._objects)

    def get(self, key: Key) -> K | None:
        return self._objects.get(key)

    def add_index(self, name: str, values: Values) -> None:
        """Adds an index; a name that exists stays as it is."""
        if name not in self._values:
            self._values[name], self._buckets[name] = values, {}
            for key, obj in self._objects.items():
                self._enter(name, key, obj)

    def by(self, index: str, value: Hashable) -> list[K]:
        return list(self._buckets[index].get(value, {}).values())

    def list(
        self, *, namespace: str | None = None, labels: Mapping[str, str] | None = None, owner: str | None = None
    ) -> list[K]:
        """Objects that fulfil all that is given; owner is a uid. Starts from the smallest bucket."""
        wanted: list[tuple[str, Hashable]] = []
        if owner is not None:
            wanted.append((OWNER, owner))
        if namespace is not None:
            wanted.append((NAMESPACE, namespace))
        for key, value in (labels or {}).items():
            self.add_index(f"label {key}", _label(key))
            wanted.append((f"label {key}", value))
        if not wanted:
            return list(self._objects.values())
        buckets = sorted((self._buckets[index].get(value, {}) for index, value in wanted), key=len)
        return [obj for key, obj in buckets[0].items() if all(key in bucket for bucket in buckets[1:])]

    def put(self, obj: K) -> K | None:
        """Enters the object; the one that it replaces."""
        key = obj.key
        old = self.remove(key)
        self._objects[key] = obj
        for name in self._values:
            self._enter(name, key, obj)
        if self._digests is not None:
            self._digests[key] = _digest(obj)
        return old

    def remove(self, key: Key) -> K | None:
        old = self._objects.pop(key, None)
        if old is not None:
            for name, values in self._values.items():
                self._leave(name, values(old), key)
            if self._digests is not None:
                _check(old, self._digests.pop(key))
        return old

    def verify(self) -> None:
        """Raises MutationDetected when an object is not as it came in."""
        for key, digest in (self._digests or {}).items():
            _check(self._objects[key], digest)

    def _enter(self, name: str, key: Key, obj: K) -> None:
        buckets = self._buckets[name]
        for value in self._values[name](obj):
            buckets.setdefault(value, {})[key] = obj

    def _leave(self, name: str, values: Iterable[Hashable], key: Key) -> None:
        buckets = self._buckets[name]
        for value in values:
            bucket = buckets.get(value)
            if bucket is not None:
                bucket.pop(key, None)
                if not bucket:
                    del buckets[value]


def _digest(obj: KubeObject) -> bytes:
    return hashlib.sha256(obj.canonical()).digest()


def _check(obj: KubeObject, digest: bytes) -> None:
    if _digest(obj) != digest:
        raise MutationDetected(f"cannot trust {obj.ref}: it was changed in the cache (make a copy with .but())")
