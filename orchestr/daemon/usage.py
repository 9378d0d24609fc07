"""What containers use now: two readings of the cgroups make a rate."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import trio

from orchestr.agent.runs import parse_id
from orchestr.api.base import ObjectMeta
from orchestr.api.core import Pod
from orchestr.api.metrics import ContainerMetrics, PodMetrics
from orchestr.runtime.seam import Container, Runtime, Stats
from orchestr.server.node import PodUsage, Usage
from orchestr.store.local import LocalCluster

SHORTEST, LONGEST = 0.2, 60.0  # seconds between two readings that make a rate
STEADY, FIRST = 5.0, 1.0  # the same for autoscalers; the first time there is nothing to wait for
Reading = tuple[float, Mapping[str, Stats]]  # when; by container


class Meter:
    """Remembers the last reading, so that whoever asks every second waits for nothing."""

    def __init__(self, cluster: LocalCluster, runtime: Runtime, clock: Callable[[], float]) -> None:
        self._cluster, self._runtime, self._clock = cluster, runtime, clock
        self._last: Reading = (0.0, {})

    async def usage(self, namespace: str | None) -> Sequence[PodUsage]:
        running = await self._running()
        before = self._last
        if self._clock() - before[0] > LONGEST or not {each.id for each in running} <= set(before[1]):
            before = await self._read(running)
        if (short := SHORTEST - (self._clock() - before[0])) > 0:
            await trio.sleep(short)
        self._last = now = await self._read(running)
        return self.rates(before, now, namespace)

    async def read(self) -> Reading:
        return await self._read(await self._running())

    async def _running(self) -> list[Container]:
        return [each for each in (await self._runtime.state()).containers if each.status == "running"]

    async def _read(self, running: Sequence[Container]) -> Reading:
        return self._clock(), await self._runtime.stats([each.id for each in running])

    def rates(self, before: Reading, now: Reading, namespace: str | None) -> list[PodUsage]:
        """Of the containers that are in both."""
        window = now[0] - before[0]
        found: dict[str, dict[str, Usage]] = {}
        for identifier, stats in now[1].items():
            parsed, then = parse_id(identifier), before[1].get(identifier)
            if parsed is not None and then is not None:
                found.setdefault(parsed[0], {})[parsed[1]] = _between(then, stats, window)
        measured = datetime.fromtimestamp(now[0], UTC)
        pods = [row.object for row in self._cluster.rows(Pod, namespace=namespace).rows]
        return [
            PodUsage(pod.metadata.namespace or "", pod.metadata.name, measured, window, found[pod.metadata.uid or ""])
            for pod in pods
            if pod.metadata.uid in found
        ]


class Gauge:
    """PodMetrics for autoscalers: over windows of some seconds, since shorter ones are mostly noise.

    A container has none until it was there at two readings.
    """

    def __init__(self, cluster: LocalCluster, runtime: Runtime, clock: Callable[[], float]) -> None:
        self._meter, self._clock = Meter(cluster, runtime, clock), clock
        self._lock = trio.Lock()
        self._before: Reading | None = None
        self._last: tuple[float, Sequence[PodMetrics]] = (0.0, ())

    async def metrics(self, namespace: str | None) -> Sequence[PodMetrics]:
        async with self._lock:
            if self._clock() - self._last[0] >= STEADY:
                await self._measure()
        return [each for each in self._last[1] if namespace in (None, each.metadata.namespace)]

    async def _measure(self) -> None:
        if self._before is None or self._clock() - self._before[0] > LONGEST:
            self._before = await self._meter.read()
            await trio.sleep(FIRST)
        now = await self._meter.read()
        self._last = now[0], [_wire(pod) for pod in self._meter.rates(self._before, now, None)]
        self._before = now


def _wire(pod: PodUsage) -> PodMetrics:
    containers = tuple(
        ContainerMetrics(name=name, usage={"cpu": f"{each.cpu_nanocores}n", "memory": f"{each.memory_bytes // 1024}Ki"})
        for name, each in pod.containers.items()
    )
    metadata = ObjectMeta(name=pod.name, namespace=pod.namespace, creation_timestamp=pod.measured)
    return PodMetrics(metadata=metadata, timestamp=pod.measured, window=f"{pod.window:.3f}s", containers=containers)


def _between(then: Stats, now: Stats, window: float) -> Usage:
    """cpu and throttling of the time in between; the rest as it is."""
    return Usage(
        max(0, int((now.cpu_ns - then.cpu_ns) / window)),
        now.memory_bytes,
        now.pids,
        now.read_bytes,
        now.write_bytes,
        max(0, now.periods - then.periods),
        max(0, now.throttled_periods - then.throttled_periods),
    )
