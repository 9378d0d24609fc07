"""The store: one create with admission and fsync at a time, and a list of all."""

import tempfile
import time
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from random import Random
from statistics import median
from uuid import uuid4

import trio

from bench.samples import OURS, Goal, Row
from bench.world import World
from orchestr.api.base import ObjectMeta
from orchestr.api.core import ConfigMap
from orchestr.store import open_cluster

OBJECTS = 1000


def measure(world: World) -> list[Row]:
    creates, lists = [], []
    for _ in range(world.rounds(5, 1)):
        with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as folder:  # /tmp may have no disk
            create, listed = trio.run(once, folder)
        creates.append(create * 1e3)
        lists.append(listed * 1e3)
    return [
        Row(
            "store: create with fsync, p50", "ms", {OURS: creates}, Goal("3.6 ms: twice kube-apiserver with etcd", 3.6)
        ),
        Row(f"store: list {OBJECTS:,}", "ms", {OURS: lists}),
    ]


async def once(folder: str) -> tuple[float, float]:
    settings = {
        "node": "bench",
        "services4": IPv4Network("10.89.0.0/16"),
        "services6": IPv6Network("fd00:89::/112"),
        "clock": lambda: datetime.now(UTC),
        "uid": lambda: str(uuid4()),
        "chance": Random(),
    }
    async with open_cluster(str(Path(folder, "orch.db")), **settings) as cluster:
        taken = []
        for number in range(OBJECTS):
            obj = ConfigMap(metadata=ObjectMeta(name=f"c{number}", namespace="default"), data={"a": "b"})
            began = time.perf_counter()
            await cluster.create(obj)
            taken.append(time.perf_counter() - began)
        began = time.perf_counter()
        found = await cluster.list(ConfigMap, namespace="default")
        listed = time.perf_counter() - began
        assert len(found) >= OBJECTS
    return median(taken), listed
