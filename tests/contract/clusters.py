"""The clusters that the contract is run against. Another one joins with one line in CLUSTERS."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from orchestr.engine import Cluster
from orchestr.store import LocalCluster, open_cluster
from tests.contract.remote import over_http, over_https

Opened = Callable[[Path], AbstractAsyncContextManager[Cluster]]

NODE = "node-1"


def uids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"00000000-0000-4000-8000-{next(numbers):012x}"


@asynccontextmanager
async def local(path: Path, **settings: Any) -> AsyncIterator[LocalCluster]:
    """A LocalCluster in the directory `path`, with small service ranges and counted uids."""
    defaults: dict[str, Any] = {
        "node": NODE,
        "services4": IPv4Network("10.89.0.0/24"),
        "services6": IPv6Network("fd00:89::/120"),
        "clock": lambda: datetime.now(UTC),
        "uid": uids(),
        "chance": Random(7),
    }
    async with open_cluster(str(path / "orch.db"), **{**defaults, **settings}) as cluster:
        yield cluster


CLUSTERS: dict[str, Opened] = {"local": local, "remote": over_http(local), "https": over_https(local)}
