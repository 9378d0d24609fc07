"""Lines of many containers as they come: one thread a container, new pods join as they start."""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestr.cli.loglines import Printer, Source, read
from orchestr.client.paths import path
from orchestr.client.sync import Client

GATHER = 0.05  # seconds in which lines of several streams are put in order
Pod = Mapping[str, Any]


class Follower:
    """`containers(pod)`: those whose lines are wanted. `options`: of the log request, for what is there at first."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        printer: Printer,
        containers: Callable[[Pod], list[str]],
        options: Mapping[str, object],
        selector: str | None = None,
    ) -> None:
        self._client, self._namespace, self._printer = client, namespace, printer
        self._containers, self._options, self._query = containers, options, {"labelSelector": selector}
        self._lines: queue.Queue[tuple[Source, bytes] | None] = queue.Queue(10000)
        self._known: set[Source] = set()
        self._ended = 0
        self._over = False

    def end(self) -> None:
        """From any thread: `run` returns when it has printed what is there."""
        self._over = True
        self._lines.put(None)

    def run(self, first: Callable[[], Sequence[Pod]], finished: Callable[[], bool]) -> None:
        """Until all that was followed has ended and `finished`, or `end`. Ctrl-C ends it by KeyboardInterrupt.

        `first` gives the pods that are there.
        """
        since = self._client.get(path("pods", self._namespace), {"limit": 1})["metadata"]["resourceVersion"]
        for pod in first():
            for name in self._containers(pod):
                self._printer.name((pod["metadata"]["name"], name))
            self._join(pod, self._options)
        threading.Thread(target=self._newcomers, args=(since,), daemon=True).start()
        while not self._over and (self._ended < len(self._known) or not finished()):
            self._batch()
        while self._over and not self._lines.empty():
            self._batch()

    def _batch(self) -> None:
        batch = [self._lines.get()]
        time.sleep(GATHER)
        while not self._lines.empty():
            batch.append(self._lines.get_nowait())
        for item in sorted((item for item in batch if item), key=lambda item: item[1].partition(b" ")[0]):
            self._printer.line(*item)
        self._printer.flush()
        self._ended += 0 if self._over else batch.count(None)

    def _join(self, pod: Pod, options: Mapping[str, object]) -> None:
        for name in self._containers(pod):
            source = (pod["metadata"]["name"], name)
            if source not in self._known:
                self._known.add(source)
                threading.Thread(target=self._read, args=(source, options), daemon=True).start()

    def _read(self, source: Source, options: Mapping[str, object]) -> None:
        own = Client(self._client.address, start=self._client.start)
        try:
            for line in read(own, self._namespace, source, options):
                self._lines.put((source, line))
        except Exception as error:
            self._lines.put((source, f"0 (log ended: {error})".encode()))
        self._lines.put(None)

    def _newcomers(self, since: str) -> None:
        own = Client(self._client.address, start=self._client.start)
        fresh = {**self._options, "tailLines": None, "sinceSeconds": None, "sinceTime": None}
        while True:
            for event in own.watch(path("pods", self._namespace), since=since, query=self._query):
                since = event["object"]["metadata"].get("resourceVersion", since)
                if event["type"] in ("ADDED", "MODIFIED"):
                    self._join(event["object"], fresh)
