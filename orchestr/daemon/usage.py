"""What containers use now: two readings of the cgroups make a rate."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import trio

from orchestr.agent.runs import parse_id
from orchestr.api.core import Pod
from orchestr.runtime.seam import Container, Runtime, Stats
from orchestr.server.node import PodUsage, Usage
from orchestr.store.local import LocalCluster

SHORTEST, LONGEST = 0.2, 60.0  # seconds between two readings that make a rate


class Meter:
    """Remembers the last reading, so that whoever asks every second waits for nothing."""

    def __init__(self, cluster: LocalCluster, runtime: Runtime, clock: Callable[[], float]) -> None:
        self._cluster, self._runtime, self._clock = cluster, runtime, clock
        self._last: tuple[float, Mapping[str, Stats]] = (0.0, {})

    async def usage(self, namespace: str | None) -> Sequence[PodUsage]:
        running = [each for each in (await self._runtime.state()).containers if each.status == "running"]
        before = self._last
        if self._clock() - before[0] > LONGEST or not {each.id for each in running} <= set(before[1]):
            before = await self._read(running)
        if (short := SHORTEST - (self._clock() - before[0])) > 0:
            await trio.sleep(short)
        self._last = now = await self._read(running)
        return self._rates(running, before, now, namespace)

    async def _read(self, running: Sequence[Container]) -> tuple[float, Mapping[str, Stats]]:
        return self._clock(), await self._runtime.stats([each.id for each in running])

    def _rates(
        self,
        running: Sequence[Container],
        before: tuple[float, Mapping[str, Stats]],
        now: tuple[float, Mapping[str, Stats]],
        namespace: str | None,
    ) -> list[PodUsage]:
        window = now[0] - before[0]
        found: dict[str, dict[str, Usage]] = {}
        for each in running:
            parsed, then, stats = parse_id(each.id), before[1].get(each.id), now[1].get(each.id)
            if parsed is not None and then is not None and stats is not None:
                found.setdefault(parsed[0], {})[parsed[1]] = _between(then, stats, window)
        measured = datetime.fromtimestamp(now[0], UTC)
        pods = [row.object for row in self._cluster.rows(Pod, namespace=namespace).rows]
        return [
            PodUsage(pod.metadata.namespace or "", pod.metadata.name, measured, window, found[pod.metadata.uid or ""])
            for pod in pods
            if pod.metadata.uid in found
        ]


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
