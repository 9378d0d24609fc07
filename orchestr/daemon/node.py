"""The machine as the HTTP server sees it: what server.node.Node asks, answered by agent, runtime and images."""

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trio

from orchestr import __version__
from orchestr.agent.collecting import fullness, uses
from orchestr.agent.node import Node as AgentNode
from orchestr.agent.places import Places
from orchestr.agent.runs import parse_id
from orchestr.api.base import timestamp
from orchestr.api.core import Pod
from orchestr.api.errors import BadRequest
from orchestr.daemon.attach import Attachment
from orchestr.daemon.forwarding import Forwarding
from orchestr.daemon.podlog import PodLog, container_of, pod_of
from orchestr.daemon.processes import processes
from orchestr.daemon.usage import Meter
from orchestr.images.bootstrap import bootstrap
from orchestr.images.registry.exchange import Exchange
from orchestr.images.seam import Image, Progress, Uses
from orchestr.images.store import Images
from orchestr.instance import Instance
from orchestr.network.dataplane import LinuxDataplane
from orchestr.runtime.seam import Container, ExecSession, ExecSpec, Runtime
from orchestr.server.node import Command, Connect, LogOptions, PodUsage
from orchestr.server.session import Session
from orchestr.store.local import LocalCluster

if TYPE_CHECKING:
    from orchestr.images.build.builder import Builder
    from orchestr.images.build.state import Request as BuildRequest

FRESH = 60.0  # seconds


def utc_now() -> datetime:
    return datetime.now(UTC)


class LocalNode:
    def __init__(
        self,
        instance: Instance,
        cluster: LocalCluster,
        runtime: Runtime,
        dataplane: LinuxDataplane,
        images: Images,
        registry: Exchange,
        *,
        name: str,
        clock: Callable[[], float],
        end: Callable[[bool], None],
        pods: AgentNode,
    ) -> None:
        self.images, self.scratch, self.registry = images, images.root, registry
        self.urls: tuple[str, ...] = ()  # where https listens
        self._instance, self._cluster, self._runtime, self._dataplane = instance, cluster, runtime, dataplane
        self._name, self._clock, self._end = name, clock, end
        self._places = Places(instance.state, runtime.volatile())
        self._meter = Meter(cluster, runtime, clock)
        self._started = utc_now()
        self._pods = pods
        self._builder: Builder | None = None
        self._attached: set[str] = set()  # containers that somebody was at

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncGenerator[bytes]:
        return PodLog(self._cluster, self._places, pod_of(self._cluster, namespace, pod), options).pieces()

    async def exec(self, namespace: str, pod: str, command: Command) -> ExecSession:
        found = pod_of(self._cluster, namespace, pod)
        record = await self._running(found, container_of(found, command.container), "exec in")
        return await self._runtime.exec(
            ExecSpec(record.id, command.args, command.env or None, command.directory, command.user, command.tty)
        )

    async def signal(self, namespace: str, pod: str, container: str | None, number: int) -> None:
        found = pod_of(self._cluster, namespace, pod)
        record = await self._running(found, container_of(found, container), "send a signal to")
        await self._runtime.kill(record.id, number)

    async def processes(self, namespace: str, pod: str, container: str | None) -> Sequence[Mapping[str, Any]]:
        found = pod_of(self._cluster, namespace, pod)
        record = await self._running(found, container_of(found, container), "look into")
        return await trio.to_thread.run_sync(processes, record.pid or 0)

    async def attach(self, namespace: str, pod: str, wanted: Command) -> Session:
        """Gives of what is wanted what the container has."""
        found = pod_of(self._cluster, namespace, pod)
        name = container_of(found, wanted.container)
        record = await self._running(found, name, "attach to")
        spec = next(each for each in found.spec.every_container if each.name == name)
        tty, once = bool(spec.tty), bool(spec.stdin_once)
        wanted = replace(wanted, tty=tty, stdin=wanted.stdin and bool(spec.stdin), stderr=wanted.stderr and not tty)
        # Whoever started it for this session sees all that it wrote until he was there.
        fresh = once and record.id not in self._attached and self._clock() - (record.started_at or 0) < FRESH
        self._attached.add(record.id)
        parsed = parse_id(record.id)
        assert parsed is not None
        directory = self._places.log(found, name, parsed[2])
        return Attachment(self._runtime, record.id, directory, wanted, once=once, whole=fresh)

    async def forward(self, namespace: str, pod: str) -> Connect:
        found = pod_of(self._cluster, namespace, pod)
        sandboxes = {sandbox.id for sandbox in (await self._runtime.state()).sandboxes if sandbox.pid_path}
        if found.metadata.uid not in sandboxes:
            phase = found.status.phase or "Pending"
            raise BadRequest(f"cannot forward ports of pod {pod}: it is not running ({phase}; see orch status)")
        return Forwarding(self._runtime, found).connect

    async def _running(self, pod: Pod, container: str, what: str) -> Container:
        records = (await self._runtime.state()).containers
        self._attached &= {record.id for record in records}
        for record in records:
            if record.status == "running" and record.sandbox == pod.metadata.uid:
                parsed = parse_id(record.id)
                if parsed is not None and parsed[1] == container:
                    return record
        where = f"{container} of pod {pod.metadata.name}"
        raise BadRequest(f"cannot {what} {where}: it is not running (see orch status)")

    async def usage(self, namespace: str | None) -> Sequence[PodUsage]:
        return await self._meter.usage(namespace)

    async def layers_of(self, namespace: str, pod: str, container: str | None) -> tuple[str, str]:
        found = pod_of(self._cluster, namespace, pod)
        name = container_of(found, container)
        record = await self._running(found, name, "compare")
        parsed = parse_id(record.id)
        assert parsed is not None
        statuses = (*found.status.container_statuses, *found.status.init_container_statuses)
        digest = next((each.image_id for each in statuses if each.name == name), "")
        upper = self._places.upper(parsed[0], name, parsed[2])
        return f"container@{digest}", os.path.join(upper, "upper")

    async def uses(self) -> Uses:
        return await uses(self._cluster)

    async def bootstrap(self, name: str, suite: str, packages: Sequence[str]) -> AsyncGenerator[Mapping[str, Any]]:
        lines: Any = bootstrap(self.images, name, suite, packages, utc_now)
        async with aclosing(lines):
            async for line in lines:
                yield line

    @property
    def builder(self) -> "Builder":
        if self._builder is None:
            from orchestr.daemon.building import builder  # when it is used: most daemons never build

            self._builder = builder(self._pods, self.images, self.registry, utc_now)
        return self._builder

    async def build(self, wanted: "BuildRequest", place: str, archive: str, progress: Progress) -> Image:
        context = os.path.join(place, "context")
        await trio.to_thread.run_sync(os.mkdir, context)
        return await self.builder.build(wanted, place, context, progress, archive=archive)

    async def system(self) -> Mapping[str, Any]:
        instance = self._instance
        return {
            "running": True,
            "pid": os.getpid(),
            "supervisorPid": (await self._runtime.state()).supervisor_pid,
            "resolverPid": self._dataplane.resolver,
            "instance": instance.name,
            "node": self._name,
            "socket": instance.socket,
            "https": list(self.urls),
            "state": instance.state,
            "run": instance.run,
            "bridge": instance.bridge,
            "podCIDR": instance.pod_cidr,
            "serviceCIDR": instance.service_cidr,
            "version": __version__,
            "startedAt": timestamp(self._started),
            "diskUsedPercent": fullness(instance.state),
            "quarantined": len(self._cluster.quarantined),
        }

    async def stop(self, *, everything: bool) -> None:
        self._end(everything)
        await trio.lowlevel.checkpoint()
