"""The log of a pod's container, across its runs: what `orch logs` and `kubectl logs` read."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from orchestr.agent.places import Places
from orchestr.api.base import Key
from orchestr.api.core import Pod
from orchestr.api.errors import BadRequest
from orchestr.runtime import logs
from orchestr.runtime.logs import Line
from orchestr.server.node import LogOptions
from orchestr.store.local import LocalCluster
from orchestr.store.refusals import not_found

PIECE = 64 * 1024  # bytes; lines that are there at once travel together


def pod_of(cluster: LocalCluster, namespace: str, name: str) -> Pod:
    """NotFound when there is none."""
    row = cluster.row(Pod, Key(namespace, name))
    if row is None:
        raise not_found(Pod, name)
    assert isinstance(row.object, Pod)
    return row.object


def container_of(pod: Pod, name: str | None) -> str:
    """The container that is meant: the named one, else the first. BadRequest names what there is."""
    names = [each.name for each in pod.spec.every_container]
    if name is not None and name not in names:
        raise BadRequest(f"container {name} is not valid for pod {pod.metadata.name} (there is {', '.join(names)})")
    return name or names[0]


class PodLog:
    """One request for a log."""

    def __init__(self, cluster: LocalCluster, places: Places, pod: Pod, options: LogOptions) -> None:
        self.cluster, self.places, self.pod, self.options = cluster, places, pod, options
        self.container = container_of(pod, options.container)
        self.stream = options.stream.lower() if options.stream else None
        self.since = int(options.since.timestamp() * 1e9) if options.since else None
        self.within = False  # a line; the parts of one that was too long for the log's own lines come one by one

    def pieces(self) -> AsyncGenerator[bytes]:
        """Checks now; BadRequest when there is no such run."""
        there = self.places.logged(self.pod, self.container)
        if self.options.previous:
            if len(there) < 2:
                raise BadRequest(f"previous terminated container {self.container!r} in pod {self._name} not found")
            return self._now(there[-2])
        if self.options.follow:
            return self._follow(there[-1] if there else -1)
        if not there:
            raise BadRequest(f"container {self.container!r} in pod {self._name} is waiting to start")
        return self._now(there[-1])

    @property
    def _name(self) -> str:
        return repr(self.pod.metadata.name)

    async def _now(self, run: int) -> AsyncGenerator[bytes]:
        directory = self.places.log(self.pod, self.container, run)
        lines = logs.read(directory, tail=self.options.tail_lines, since_ns=self.since, stream=self.stream)
        piece = bytearray()
        for line in lines:
            piece += self._text(line)
            if len(piece) >= PIECE:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)

    async def _follow(self, run: int) -> AsyncGenerator[bytes]:
        """This run, and each that follows it, until the pod is finished or gone."""
        tail = self.options.tail_lines
        async with aclosing(self._newer(run)) as numbers:
            async for number in numbers:
                directory = self.places.log(self.pod, self.container, number)
                following: Any = logs.follow(directory, tail=tail, since_ns=self.since, stream=self.stream)
                async with aclosing(following) as lines:
                    async for line in lines:
                        yield self._text(line)
                tail = None  # of what comes later, all

    async def _newer(self, run: int) -> AsyncGenerator[int]:
        """The run to begin with, then newer ones as they come."""
        given = run - 1
        async with self.cluster.watch(Pod, namespace=self.pod.metadata.namespace) as events:
            while True:
                pod = self.cluster.row(Pod, self.pod.key)
                for number in [each for each in self.places.logged(self.pod, self.container) if each > given]:
                    given = number
                    yield number
                same = pod is not None and pod.object.metadata.uid == self.pod.metadata.uid
                if not same or (isinstance(pod.object, Pod) and pod.object.finished):  # type: ignore[union-attr]
                    return
                await _change_of(events, self.pod)

    def _text(self, line: Line) -> bytes:
        end, within = b"" if line.partial else b"\n", self.within
        self.within = line.partial
        if not self.options.timestamps or within:
            return line.data + end
        seconds, nanos = divmod(line.time_ns, 10**9)
        moment = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{moment}.{nanos:09d}Z ".encode() + line.data + end


async def _change_of(events: AsyncIterator[object], pod: Pod) -> None:
    async for event in events:
        changed = getattr(event, "object", None)
        if changed is not None and changed.metadata.name == pod.metadata.name:
            return
