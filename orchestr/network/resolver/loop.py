"""A select loop with timers: all the concurrency this process needs, in 2 MB less than any async library."""

import heapq
import selectors
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class File(Protocol):
    """A socket or a pipe."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Loop:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self.running = True

    def watch(self, sock: File, events: int, call: Callable[[int], None]) -> None:
        """`call(events)` whenever the socket is ready; once more changes events or call, 0 ends it."""
        known = sock.fileno() in self._selector.get_map()
        if not events:
            if known:
                self._selector.unregister(sock)
        elif known:
            self._selector.modify(sock, events, call)
        else:
            self._selector.register(sock, events, call)

    def close(self, sock: File) -> None:
        if sock.fileno() >= 0:
            self.watch(sock, 0, lambda _: None)
            sock.close()

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def run(self) -> None:
        while self.running:
            wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
            for key, events in self._selector.select(wait):
                if key.fileobj.fileno() >= 0:  # type: ignore[union-attr]  # closed by a call before in this round
                    key.data(events)
            while self._timers and self._timers[0][0] <= time.monotonic():
                timer = heapq.heappop(self._timers)[2]
                if timer.call:
                    timer.call()
