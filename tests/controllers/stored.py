"""Controllers at work on a real store: open_cluster plus a Manager with only those that a test names."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import trio

from orchestr.api.base import Key, KubeObject, ObjectMeta
from orchestr.api.core import ConfigMap, Namespace
from orchestr.engine.manager import Manager
from orchestr.store import LocalCluster
from tests.contract.clusters import local


@asynccontextmanager
async def controlled(
    path: Path, *modules: ModuleType, before: Callable[[LocalCluster], Awaitable[Any]] | None = None, ahead: float = 0
) -> AsyncIterator[LocalCluster]:
    """The cluster with these controllers running; `before` fills the store first, their clock is `ahead` seconds."""
    async with local(path) as cluster:
        if before is not None:
            await before(cluster)
        found: Any = {module.__name__.rpartition(".")[2]: module for module in modules}
        clock = lambda: datetime.now(UTC) + timedelta(seconds=ahead)  # noqa: E731
        manager = Manager(cluster, found, clock=clock, detect=True)
        async with trio.open_nursery() as nursery:
            await nursery.start(manager.run)
            yield cluster
            manager.verify()
            nursery.cancel_scope.cancel()


async def until(cluster: LocalCluster, kind: type[KubeObject], check: Callable[[], Awaitable[bool]]) -> None:
    """Waits, by a watch, until `check` holds."""
    with trio.fail_after(10):
        async with cluster.watch(kind) as events:
            async for _ in events:
                if await check():
                    return


async def gone(cluster: LocalCluster, obj: KubeObject) -> None:
    async def check() -> bool:
        return await cluster.get(type(obj), obj.key) is None

    await until(cluster, type(obj), check)


def config(name: str, *owners: KubeObject, namespace: str = "default", **meta: Any) -> ConfigMap:
    references = tuple(owner.owner_reference() for owner in owners)
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace, owner_references=references, **meta))


async def space(cluster: LocalCluster, name: str) -> Namespace:
    return await cluster.create(Namespace(metadata=ObjectMeta(name=name)))


__all__ = ["Key", "config", "controlled", "gone", "space", "until"]
