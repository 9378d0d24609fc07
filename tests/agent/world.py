"""An agent on a fake cluster, runtime, dataplane and content store, in trio's own time."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import trio

from orchestr.agent.agent import Agent
from orchestr.api.base import Key, KubeObject, ObjectMeta
from orchestr.api.core import Container, Pod, PodSpec
from orchestr.engine.informers import Informers
from orchestr.images.seam import Image, ImageConfig, ImageNotFound, RegistryFailure
from orchestr.network.seam import Link, NetworkState
from orchestr.runtime.fake import FakeRuntime
from orchestr.runtime.seam import Container as Record
from tests.engine.fake import FakeCluster, eventually, virtual_clock


class FakeDataplane:
    """Remembers."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self.state: NetworkState | None = None
        self.open: dict[IPv4Address, int] = {}  # connections
        self.removed, self._removed = trio.open_memory_channel[str](10)  # pods whose link somebody removes

    async def start(self) -> None:
        await trio.lowlevel.checkpoint()

    async def attach(self, link: Link, netns: int) -> None:
        await trio.lowlevel.checkpoint()
        self.links[link.pod] = link

    async def detach(self, pod: str) -> None:
        await trio.lowlevel.checkpoint()
        self.links.pop(pod, None)

    async def lost(self) -> AsyncIterator[str]:
        while True:
            yield await self._removed.receive()

    async def apply(self, state: NetworkState) -> dict[Any, Any]:
        await trio.lowlevel.checkpoint()
        self.state = state
        return {}

    async def connections(self, address: IPv4Address) -> int:
        await trio.lowlevel.checkpoint()
        return self.open.get(address, 0)

    async def dns_server(self) -> tuple[IPv4Address, IPv6Address]:
        await trio.lowlevel.checkpoint()
        return IPv4Address("10.1.0.1"), IPv6Address("fd01::1")

    async def stop(self) -> None:
        await trio.lowlevel.checkpoint()


class FakeImages:
    """Has `busy` only."""

    def resolve(self, reference: str) -> Image:
        if reference != "busy":
            raise ImageNotFound(f"cannot find image {reference}: here are busy (load it)")
        return Image("sha256:b", ("busy",), ImageConfig(stop_signal="SIGTERM"), ("/lower",), 1, "")

    def local(self, reference: str) -> bool:
        return reference == "busy"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class FakeRegistry:
    """Has nothing: says no as often as it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def pull(self, reference: str, logins: Any = (), progress: Any = None) -> Image:
        self.asked.append(reference)
        await trio.lowlevel.checkpoint()
        raise RegistryFailure(f"cannot find {reference} at registry.example", "absent")

    async def push(self, reference: str, logins: Any = (), progress: Any = None) -> str:
        raise NotImplementedError


class Events:
    def __init__(self) -> None:
        self.reasons: list[str] = []

    def record(
        self, obj: KubeObject, reason: str, message: str, *, warning: bool = False, component: str = "agent"
    ) -> None:
        self.reasons.append(reason)


class World:
    """What outlives an agent: cluster, runtime, network, files."""

    def __init__(self, folder: Path) -> None:
        self.cluster, self.dataplane, self.events = FakeCluster(), FakeDataplane(), Events()
        self.cluster.admit = self._bound
        self.runtime = FakeRuntime(volatile=str(folder / "run"), clock=lambda: virtual_clock().timestamp())
        self.state = str(folder / "state")
        self.registry = FakeRegistry()

    @staticmethod
    def _bound(obj: Any) -> Any:
        return obj.but(spec=obj.spec.but(node_name="here")) if isinstance(obj, Pod) else obj

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        """An agent at work, having adopted what is there; it is gone at the end as if killed."""
        images: Any = FakeImages()
        cluster: Any = self.cluster
        informers = Informers(cluster)
        agent = Agent(
            cluster, informers, self.events, self.runtime, self.dataplane, images, self.registry,
            name="here", state=self.state, cgroup="orch-test", dns=("10.1.0.1",),
            pod_networks=(IPv4Network("10.1.0.0/24"), IPv6Network("fd01::/64")),
            clock=lambda: virtual_clock().timestamp(), chance=lambda: 0.5,
        )  # fmt: skip
        await agent.adopt()
        async with trio.open_nursery() as nursery:
            for informer in informers:
                nursery.start_soon(informer.run)
            nursery.start_soon(agent.run)
            yield agent
            nursery.cancel_scope.cancel()

    async def create(self, name: str = "web", annotations: Mapping[str, str] | None = None, **spec: Any) -> Pod:
        spec.setdefault("containers", (Container(name="main", image="busy", command=("run",)),))
        meta = ObjectMeta(name=name, namespace="ns", annotations=annotations or {})
        made: Pod = await self.cluster.create(Pod(metadata=meta, spec=PodSpec(**spec)))
        return made

    def pod(self, name: str = "web") -> Pod:
        found: Pod = self.cluster.objects[Pod][Key("ns", name)]  # type: ignore[assignment]
        return found

    def files(self, folder: str) -> list[str]:
        """What a directory of the state holds."""
        path = os.path.join(self.state, folder)
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def gone(self, name: str = "web") -> bool:
        return Key("ns", name) not in self.cluster.objects[Pod]

    async def record(self, name: str = "web", attempt: int = 0) -> Record:
        """The running container of a pod; waits for it."""
        found: list[Record] = []

        async def look() -> None:
            state = await self.runtime.state()
            suffix = f"{self.pod(name).metadata.uid}.main.{attempt}"
            found[:] = [each for each in state.containers if each.id == suffix and each.status == "running"]

        while True:
            await look()
            if found:
                return found[0]
            await trio.sleep(0.01)

    async def ready(self, name: str = "web") -> Pod:
        await eventually(lambda: self.pod(name).ready)
        return self.pod(name)
