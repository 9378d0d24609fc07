"""The work queue, in layers of one idea each. The contract, as client-go's `util/workqueue/doc.go` states it:

- Fair: keys come out in the order they first went in.
- Stingy: a key that is added while it waits comes out once; a key is never worked on by two workers at a time. Added
  while it is being worked on, it comes out again after `done`.
- Lossless: what was added comes out, at once or after its delay; no failure forgets a key.
- Idle: without work and without delays nothing runs and no timer is set.

    Queue           de-duplicates, with a dirty and a processing set
    DelayingQueue   add(key) after a time; an earlier time wins over a later one
    BackoffQueue    after a failure: 5 ms doubling to 60 s, with jitter; `forget` after a success

Not promised: anything after a crash. Controllers are level-triggered and start with every key.
"""

import heapq
import random
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import trio

T = TypeVar("T", bound=Hashable)

BASE, LIMIT = 0.005, 60.0  # seconds


class Queue(Generic[T]):
    """De-duplicating queue; see the contract above."""

    def __init__(self) -> None:
        self._waiting: dict[T, None] = {}  # ordered set: dirty and not being worked on
        self._processing: set[T] = set()
        self._again: set[T] = set()  # dirty while being worked on
        self._idle = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        return bool(self._waiting or self._processing)

    def add(self, key: T) -> None:
        if key in self._processing:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting[key] = None
            self._idle.unpark()

    async def get(self) -> T:
        """The next key; it is the caller's alone until `done(key)`."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            await self._idle.park()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._processing.add(key)
        return key

    def done(self, key: T) -> None:
        self._processing.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)


class DelayingQueue(Queue[T]):
    """A queue with `add_after`. `run` must be running for delayed keys to come out."""

    def __init__(self, *, clock: Callable[[], float] = trio.current_time) -> None:
        super().__init__()
        self._clock = clock
        self._due: dict[T, float] = {}
        self._heap: list[tuple[float, int, T]] = []  # may hold entries that a nearer time has replaced
        self._count = 0  # keeps the heap from comparing keys
        self._sooner = trio.Event()

    @property
    def delayed(self) -> int:
        return len(self._due)

    def add_after(self, key: T, seconds: float) -> None:
        if seconds <= 0:
            self.add(key)
            return
        when = self._clock() + seconds
        if when >= self._due.get(key, float("inf")):
            return
        self._due[key] = when
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, key))
        if self._heap[0][2] == key:
            self._sooner.set()

    async def run(self) -> None:
        """Moves keys whose time has come; never returns."""
        while True:
            self._sooner = trio.Event()
            self._move()
            wait = self._heap[0][0] - self._clock() if self._heap else float("inf")
            with trio.move_on_after(max(wait, 0)):
                await self._sooner.wait()

    def _move(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key)


class BackoffQueue(DelayingQueue[T]):
    """A queue that lets failing keys wait longer each time."""

    def __init__(
        self, *, clock: Callable[[], float] = trio.current_time, chance: Callable[[], float] = random.random
    ) -> None:
        super().__init__(clock=clock)
        self._chance = chance
        self._failures: dict[T, int] = {}

    def failures(self, key: T) -> int:
        return self._failures.get(key, 0)

    def add_failed(self, key: T) -> float:
        """Puts the key back after its back-off; the delay in seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        seconds = backoff(failures, self._chance())
        self.add_after(key, seconds)
        return seconds

    def forget(self, key: T) -> None:
        """The key did well: its next failure waits the shortest time again."""
        self._failures.pop(key, None)


def backoff(failures: int, chance: float, *, base: float = BASE, limit: float = LIMIT) -> float:
    """Seconds to wait after so many failures in a row (1 or more); chance in [0, 1) spreads it by a quarter down."""
    whole = limit if failures > 40 else min(limit, base * 2 ** (failures - 1))
    return whole * (1 - chance / 4)
