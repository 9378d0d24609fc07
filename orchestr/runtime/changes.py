"""Who wants to know of containers is told the latest of each: a reader that is slow skips what is outdated."""

from collections.abc import Iterable
from typing import Self
from weakref import WeakSet

import trio

from orchestr.runtime.seam import Container


class Reader:
    """An asynchronous iterator without end; needs no closing."""

    def __init__(self) -> None:
        self._pending: dict[str, Container] = {}
        self._news = trio.Event()

    def tell(self, container: Container) -> None:
        self._pending.pop(container.id, None)  # the order is that of the last change
        self._pending[container.id] = container
        self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Container:
        while not self._pending:
            self._news = trio.Event()
            await self._news.wait()
        return self._pending.pop(next(iter(self._pending)))


class Feed:
    """Memory is bounded by the number of containers, whatever the readers do."""

    def __init__(self) -> None:
        self._readers: WeakSet[Reader] = WeakSet()

    def tell(self, container: Container) -> None:
        for reader in self._readers:
            reader.tell(container)

    def read(self, now: Iterable[Container]) -> Reader:
        """First what is known `now`, then every change."""
        reader = Reader()
        for container in now:
            reader.tell(container)
        self._readers.add(reader)
        return reader
