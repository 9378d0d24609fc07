"""Who wants to know of containers is told the latest of each: a reader that is slow skips what is outdated."""

from collections.abc import AsyncIterator, Iterable

import trio

from orchestr.runtime.seam import Container


class _Reader:
    def __init__(self) -> None:
        self.pending: dict[str, Container] = {}
        self.news = trio.Event()

    def tell(self, container: Container) -> None:
        self.pending.pop(container.id, None)  # the order is that of the last change
        self.pending[container.id] = container
        self.news.set()


class Feed:
    """Memory is bounded by the number of containers, whatever the readers do."""

    def __init__(self) -> None:
        self._readers: set[_Reader] = set()

    def tell(self, container: Container) -> None:
        for reader in self._readers:
            reader.tell(container)

    async def read(self, now: Iterable[Container]) -> AsyncIterator[Container]:
        """First what is known `now`, then every change."""
        reader = _Reader()
        for container in now:
            reader.tell(container)
        self._readers.add(reader)
        try:
            while True:
                while reader.pending:
                    yield reader.pending.pop(next(iter(reader.pending)))
                reader.news = trio.Event()
                await reader.news.wait()
        finally:
            self._readers.discard(reader)
