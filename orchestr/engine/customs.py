"""Informers of custom resources: they come and go with the definitions of their kinds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import trio

from orchestr.api.custom import Custom, kinds_of
from orchestr.api.definition import CustomResourceDefinition
from orchestr.engine.controller import Related
from orchestr.engine.informers import Informers
from orchestr.engine.loop import Loop


class Running(NamedTuple):
    kind: type[Custom]
    scope: trio.CancelScope


class Customs:
    """Starts an informer for each established definition, for the controllers that look at all kinds."""

    def __init__(self, informers: Informers, loops: Sequence[Loop]) -> None:
        self._informers = informers
        self._loops = [loop for loop in loops if loop.controller.WATCHES.custom is not None]
        self._running: dict[str, Running] = {}

    async def run(self) -> None:
        """Never returns."""
        if not self._loops:
            return
        async with trio.open_nursery() as nursery:

            def changed(old: CustomResourceDefinition | None, new: CustomResourceDefinition | None) -> None:
                self._changed(nursery, old, new)

            self._informers.add(CustomResourceDefinition).add_handler(changed)
            await trio.sleep_forever()

    def _changed(
        self, nursery: trio.Nursery, old: CustomResourceDefinition | None, new: CustomResourceDefinition | None
    ) -> None:
        name = (new or old).metadata.name  # type: ignore[union-attr]
        kind = kinds_of(new).stored if new is not None and new.status.has("Established") else None
        running = self._running.get(name)
        if running is not None and running.kind is kind:
            return
        if running is not None:
            del self._running[name]
            running.scope.cancel()
            self._informers.remove(running.kind, tell=kind is None)
        if kind is not None:
            self._running[name] = Running(kind, trio.CancelScope())
            nursery.start_soon(self._follow, self._running[name])

    async def _follow(self, running: Running) -> None:
        informer: Any = self._informers.add(running.kind, indexes(self._loops, running.kind))
        for loop in self._loops:
            custom = loop.controller.WATCHES.custom
            assert custom is not None
            informer.add_handler(loop.related(Related(running.kind, custom)))
        with running.scope:
            await informer.run()


def indexes(loops: Sequence[Loop], kind: type[Custom]) -> list[Any]:
    """The indexes that controllers want of every custom resource."""
    return [by._replace(kind=kind) for loop in loops for by in loop.controller.WATCHES.indexes if by.kind is Custom]
