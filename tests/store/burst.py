"""A child that writes until it is killed: `burst.py DIRECTORY`. Each acknowledged write is one line on stdout."""

import os
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).parents[2]))

from orchestr.api.base import ObjectMeta
from orchestr.api.core import ConfigMap
from orchestr.store import LocalCluster
from tests.contract.clusters import local

RUN = sys.argv[2] if len(sys.argv) > 2 else "0"


async def write(cluster: LocalCluster, worker: int) -> None:
    number = 0
    while True:
        number += 1
        name = f"c-{RUN}-{worker}-{number}"
        made = await cluster.create(ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data={"n": "0"}))
        os.write(1, f"{name} 0\n".encode())
        made = await cluster.update(made.but(data={"n": "1"}))
        os.write(1, f"{name} 1\n".encode())
        if number % 3 == 0:
            await cluster.delete(made)
            os.write(1, f"{name} gone\n".encode())


async def main() -> None:
    async with local(Path(sys.argv[1]), uid=lambda: os.urandom(16).hex()) as cluster, trio.open_nursery() as nursery:
        for worker in range(16):
            nursery.start_soon(write, cluster, worker)


if __name__ == "__main__":
    trio.run(main)
