"""The supervisor's loop: descriptors by epoll(7), and a few timers. A handler that raises is reported, not fatal."""

import heapq
import select
import sys
import time
import traceback
from collections.abc import Callable
from itertools import count

Handler = Callable[[int], None]  # gets the EPOLL* bits
_TURN = 32  # descriptors served between two looks at the timers: keeps a loud log from starving requests


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._running = True

    def add(self, fd: int, events: int, handler: Handler) -> None:
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def modify(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Must come before close(2): epoll keeps what another process still holds open."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), call))

    def stop(self) -> None:
        self._running = False

    def run(self) -> None:
        while self._running:
            for fd, events in self._epoll.poll(self._timeout(), _TURN):
                handler = self._handlers.get(fd)
                if handler is not None:  # else removed by a handler before it in this turn
                    _guarded(lambda handler=handler, events=events: handler(events))  # type: ignore[misc]
            while self._timers and self._timers[0][0] <= time.monotonic():
                _guarded(heapq.heappop(self._timers)[2])

    def _timeout(self) -> float | None:
        return max(self._timers[0][0] - time.monotonic(), 0) if self._timers else None


def _guarded(call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:  # one container's trouble must not take the parent of all others down
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
