"""Our daemon without containers: store, controllers, agent and HTTP as ever, on FakeRuntime and a network of none.

`python -m bench.fake FOLDER VOLATILE` serves FOLDER/orch.sock until its standard input ends; it says "ready" when it
does. VOLATILE is a folder in memory, as /run is.
"""

import gc
import random
import sys
import time
import uuid
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import SimpleNamespace
from typing import Any

import trio

from orchestr.agent.agent import Agent
from orchestr.daemon.inside import PodIdentity
from orchestr.daemon.node import utc_now
from orchestr.engine.manager import Manager
from orchestr.images.seam import Image, ImageConfig
from orchestr.runtime.fake import FakeRuntime
from orchestr.server import bootstraproles
from orchestr.server.app import App
from orchestr.server.listen import serve, unix_socket
from orchestr.server.pki import new_key
from orchestr.server.tokens import Issuer
from orchestr.store.local import open_cluster

PODS = IPv4Network("10.128.0.0/14"), IPv6Network("fd00:128::/64")


class Network:
    """A Dataplane that does nothing."""

    async def start(self) -> None:
        await trio.lowlevel.checkpoint()

    async def attach(self, link: Any, netns: int) -> None:
        await trio.lowlevel.checkpoint()

    async def detach(self, pod: str) -> None:
        await trio.lowlevel.checkpoint()

    async def lost(self):
        await trio.sleep_forever()
        yield ""

    async def apply(self, state: Any) -> dict[Any, Any]:
        await trio.lowlevel.checkpoint()
        return {}

    async def connections(self, address: IPv4Address) -> int:
        await trio.lowlevel.checkpoint()
        return 0

    async def dns_server(self) -> tuple[IPv4Address, IPv6Address]:
        await trio.lowlevel.checkpoint()
        return IPv4Address("10.128.0.1"), IPv6Address("fd00:128::1")


class Images:
    """Has every image."""

    def local(self, reference: str) -> bool:
        return True

    def resolve(self, reference: str) -> Image:
        return Image("sha256:b", (reference,), ImageConfig(stop_signal="SIGKILL"), ("/lower",), 1, "")


async def main(folder: str, volatile: str) -> None:
    async with (
        open_cluster(
            f"{folder}/orch.db", node="bench", services4=IPv4Network("10.89.0.0/16"),
            services6=IPv6Network("fd00:89::/112"), clock=utc_now, uid=lambda: str(uuid.uuid4()),
            chance=random.Random(),
        ) as cluster,
        trio.open_nursery() as nursery,
    ):  # fmt: skip
        manager, runtime = Manager(cluster), FakeRuntime(volatile=volatile)
        network: Any = Network()
        images: Any = Images()
        registry: Any = None  # every image is here
        authority: Any = SimpleNamespace(ca_pem=b"no certificate")
        issuer = Issuer(new_key(), time.time, lambda: str(uuid.uuid4()))
        agent = Agent(
            cluster, manager.informers, manager.recorder, runtime, network, images, registry, name="bench",
            state=f"{folder}/state", cgroup="bench", dns=("10.128.0.1",), pod_networks=PODS,
            identity=PodIdentity(cluster, issuer, authority),
        )  # fmt: skip
        await agent.adopt()
        nursery.start_soon(agent.run)
        nursery.start_soon(manager.run)
        await bootstraproles.ensure(cluster)
        node: Any = None
        started = trio.Event()
        socket = unix_socket(f"{folder}/orch.sock")
        nursery.start_soon(partial(serve, App(cluster, node), [socket], started=started.set))
        await started.wait()
        gc.collect()
        gc.freeze()  # as the daemon does
        print("ready", flush=True)
        await trio.lowlevel.wait_readable(sys.stdin)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
