"""A fake cluster that also applies, keeps what has finalizers, and deletes in the foreground: dependents first."""

from collections.abc import Mapping
from typing import Any

from orchestr.api.base import Key, KubeObject
from orchestr.api.scheme import kind_of
from orchestr.engine import EventType, Propagation
from tests.engine.fake import FakeCluster, merge

FOREGROUND = "foregroundDeletion"


class OwningCluster(FakeCluster):
    async def apply(self, obj: Mapping[str, Any], *, manager: str, force: bool = False) -> KubeObject:
        kind = kind_of(obj["apiVersion"], obj["kind"])
        new: Any = kind.model_validate(obj)
        if (old := self.objects.get(kind, {}).get(new.key)) is None:
            return await self.create(new)  # type: ignore[no-any-return]
        return self._replace(old, kind.model_validate(merge(old.wire(), obj)), "apply")  # type: ignore[no-any-return]

    async def create(self, obj: Any) -> Any:
        """What a stale controller makes for an owner on its way out is collected, as the garbage controller does."""
        made = await super().create(obj)
        owner = made.metadata.controller
        every = [each for objects in self.objects.values() for each in objects.values()]
        alive = {each.metadata.uid for each in every if not each.metadata.deleting}
        if owner and owner.uid not in alive:
            await self.delete(made)
        return made

    async def patch(self, kind: type[Any], key: Key, patch: Mapping[str, Any]) -> Any:
        obj = await super().patch(kind, key, patch)
        self._sweep()
        return obj

    async def delete(
        self, obj: KubeObject, *, propagation: Propagation = Propagation.BACKGROUND, grace: int | None = None
    ) -> None:
        old = self.objects.get(type(obj), {}).get(obj.key)
        if old is None or old.metadata.uid != obj.metadata.uid:
            return
        kept = set(old.metadata.finalizers)
        if propagation is Propagation.FOREGROUND and obj.kind != "Pod":
            kept.add(FOREGROUND)
        if not kept:
            await super().delete(obj, propagation=propagation, grace=grace)
            self._sweep()
            return
        marked = old.metadata.but(deletion_timestamp=self._now(), finalizers=tuple(sorted(kept)))
        if not old.metadata.deleting:
            self._store(EventType.MODIFIED, old.but(metadata=marked), "ask to delete")
        for child in self._dependents(old) if FOREGROUND in kept else ():
            await self.delete(child, propagation=propagation)
        self._sweep()

    def _dependents(self, owner: KubeObject) -> list[KubeObject]:
        every = [obj for objects in self.objects.values() for obj in objects.values()]
        return [obj for obj in every if (ref := obj.metadata.controller) and ref.uid == owner.metadata.uid]

    def _sweep(self) -> None:
        """Removes what waited only for its dependents, until nothing more goes."""
        for objects in list(self.objects.values()):
            for key, obj in list(objects.items()):
                waits = set(obj.metadata.finalizers) - {FOREGROUND} or self._dependents(obj)
                graceful = obj.kind == "Pod"
                if obj.metadata.deleting and not waits and not graceful:
                    del objects[key]
                    self._store(EventType.DELETED, obj, "delete")
                    self._sweep()
                    return
