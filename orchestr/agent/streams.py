"""What people ask of a running pod: its log, a command in it, its usage."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import trio

from orchestr.agent.node import Node
from orchestr.agent.runs import Run
from orchestr.agent.worker import Worker
from orchestr.api.core import Container, Pod
from orchestr.api.errors import BadRequest, NotFound
from orchestr.runtime import logs
from orchestr.runtime.seam import ExecSession, ExecSpec, Stats

BATCH = 256 * 1024  # bytes of log text that travel together
NEXT_RUN = 0.2  # seconds between looks for the next run of a container whose log is followed


@dataclass(frozen=True, slots=True)
class LogQuery:
    container: str | None = None
    follow: bool = False
    tail: int | None = None
    since: datetime | None = None
    previous: bool = False
    timestamps: bool = False
    stream: str | None = None  # "stdout", "stderr"


@dataclass(frozen=True, slots=True)
class Measured:
    """Usage of one pod; cpu in billionths of a core over `window` seconds."""

    pod: Pod
    at: datetime
    window: float
    cpu: Mapping[str, int]
    stats: Mapping[str, Stats]


class Streams:
    def __init__(self, node: Node, workers: Mapping[str, Worker], find: Callable[[str, str], Pod | None]) -> None:
        self._node, self._workers, self._find = node, workers, find
        self._before: dict[str, tuple[float, int]] = {}

    def _pod(self, namespace: str, name: str) -> Pod:
        pod = self._find(namespace, name)
        if pod is None:
            raise NotFound(f'pods "{name}" not found', details={"name": name, "kind": "pods"})
        return pod

    def _container(self, pod: Pod, name: str | None) -> Container:
        every = (*pod.spec.containers, *pod.spec.init_containers)
        if name is None:
            return every[0]
        found = next((container for container in every if container.name == name), None)
        if found is None:
            there = ", ".join(container.name for container in every)
            raise BadRequest(f"container {name} is not in pod {pod.metadata.name} (it has {there})")
        return found

    def _attempt(self, pod: Pod, name: str) -> int | None:
        """The latest run's number, from the worker or, for a finished pod, from its status."""
        worker = self._workers.get(pod.metadata.uid or "")
        run: Run | None = worker.runs.get(name) if worker else None
        if run is not None:
            return run.attempt
        statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses)
        known = next((status for status in statuses if status.name == name), None)
        return known.restart_count if known is not None and known.container_id else None

    async def logs(self, namespace: str, name: str, query: LogQuery) -> AsyncIterator[bytes]:
        """Pieces of whole lines. Raises NotFound, BadRequest before the first."""
        pod = self._pod(namespace, name)
        container = self._container(pod, query.container)
        attempt = self._attempt(pod, container.name)
        if query.previous:
            if not attempt:
                raise BadRequest(f'previous terminated container "{container.name}" in pod "{name}" not found')
            attempt -= 1
        return self._run(pod, container.name, attempt, query)

    async def _run(self, pod: Pod, container: str, attempt: int | None, query: LogQuery) -> AsyncIterator[bytes]:
        since = int(query.since.timestamp() * 1e9) if query.since else None
        tail = query.tail
        while True:
            if attempt is not None:
                place = self._node.places.log(pod, container, attempt)
                async for piece in self._one(place, query, tail, since):
                    yield piece
                tail = since = None
            if not query.follow or query.previous:
                return
            following = await self._next(pod, container, attempt)
            if following is None:
                return
            attempt = following

    async def _next(self, pod: Pod, container: str, attempt: int | None) -> int | None:
        """The number of the run after this one, once it has begun; None when there will be none."""
        while True:
            now = self._find(pod.metadata.namespace or "", pod.metadata.name)
            latest = self._attempt(pod, container)
            if latest is not None and (attempt is None or latest > attempt):
                return latest
            if now is None or now.metadata.uid != pod.metadata.uid or now.finished:
                return None
            await trio.sleep(NEXT_RUN)

    async def _one(self, place: str, query: LogQuery, tail: int | None, since: int | None) -> AsyncIterator[bytes]:
        try:
            if query.follow and not query.previous:
                async for line in logs.follow(place, tail=tail, since_ns=since, stream=query.stream):
                    yield text(line, query.timestamps)
            else:
                lines = logs.read(place, tail=tail, since_ns=since, stream=query.stream)
                while buffer := await trio.to_thread.run_sync(_batch, lines, query.timestamps):
                    yield b"".join(buffer)
        except FileNotFoundError:
            return  # nothing was printed yet, or the pod is gone

    async def exec(
        self, namespace: str, name: str, args: Sequence[str], *, container: str | None, tty: bool
    ) -> ExecSession:
        pod = self._pod(namespace, name)
        wanted = self._container(pod, container)
        worker = self._workers.get(pod.metadata.uid or "")
        run = worker.runs.get(wanted.name) if worker else None
        if run is None or not run.running:
            raise BadRequest(f"container {wanted.name} of pod {name} is not running (orch status says why)")
        return await self._node.runtime.exec(ExecSpec(container=run.id, args=tuple(args), tty=tty))

    async def usage(self, namespace: str | None) -> list[Measured]:
        """Of all running pods. The first look at a container has no cpu figure yet: it is 0 over 0 s."""
        workers = [
            worker
            for worker in self._workers.values()
            if namespace in (None, worker.pod.metadata.namespace) and any(run.running for run in worker.runs.values())
        ]
        ids = [run.id for worker in workers for run in worker.runs.values() if run.running]
        stats = await self._node.runtime.stats(ids)
        now = time.monotonic()
        found = []
        for worker in workers:
            mine = {run.container: stats[run.id] for run in worker.runs.values() if run.id in stats}
            rates = {
                run.container: self._rate(run.id, stats[run.id], now) for run in worker.runs.values() if run.id in stats
            }
            window = max((span for _, span in rates.values()), default=0.0)
            cpu = {name: rate for name, (rate, _) in rates.items()}
            found.append(Measured(worker.pod, datetime.now(UTC), window, cpu, mine))
        self._before = {id: known for id, known in self._before.items() if id in stats}
        return found

    def _rate(self, id: str, stats: Stats, now: float) -> tuple[int, float]:
        before = self._before.get(id)
        self._before[id] = (now, stats.cpu_ns)
        if before is None or now - before[0] <= 0:
            return 0, 0.0
        span = now - before[0]
        return max(int((stats.cpu_ns - before[1]) / span), 0), span


def text(line: logs.Line, stamped: bool) -> bytes:
    """A line as it is served; with RFC 3339 nanoseconds in front when asked for."""
    body = line.data + b"\n"
    if not stamped:
        return body
    seconds, nanos = divmod(line.time_ns, 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{moment}.{nanos:09d}Z ".encode() + body


def _batch(lines: Iterator[logs.Line], stamped: bool) -> list[bytes]:
    found: list[bytes] = []
    size = 0
    for line in lines:
        found.append(text(line, stamped))
        size += len(found[-1])
        if size >= BATCH:
            break
    return found
