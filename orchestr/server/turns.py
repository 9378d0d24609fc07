"""Who is served when: no user takes the place of all others. No I/O.

Each user has some requests carried out at once; more of theirs wait in line, and the lines take turns. What goes on for
long (watches, logs, exec) has a bound of its own. Who is over it, or in a line that is full, is told 429 and when
to come again. The masters, who may do everything anyway, never wait.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import trio

from orchestr.api.errors import ApiError
from orchestr.server.attributes import Attributes
from orchestr.server.user import User

AT_ONCE = 16  # requests of one user that are carried out
TOGETHER = 64  # of all users
LINE = 512  # requests of one user that wait
STREAMS = 512  # of one user that go on for long
LONG = ("exec", "attach", "portforward", "log", "proxy")


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"

    def __init__(self, message: str = "too many requests, please try again later", **more: Any) -> None:
        super().__init__(message, **{"details": {"retryAfterSeconds": 1}, **more})


@dataclass
class _User:
    running: int = 0
    streams: int = 0
    waiting: deque[trio.Event] = field(default_factory=deque)

    @property
    def idle(self) -> bool:
        return not (self.running or self.streams or self.waiting)


class Turns:
    """The turns of one daemon."""

    def __init__(
        self, at_once: int = AT_ONCE, together: int = TOGETHER, line: int = LINE, streams: int = STREAMS
    ) -> None:
        self._at_once, self._together, self._line, self._streams = at_once, together, line, streams
        self._users: dict[str, _User] = {}  # in the order in which they get their next turn
        self._running = 0

    def turn(self) -> "Turn":
        return Turn(self)

    def enter(self, name: str) -> None:
        """Counts something that goes on for long. TooManyRequests."""
        user = self._users.setdefault(name, _User())
        if user.streams >= self._streams:
            raise TooManyRequests(f"too many streams: {user.streams} of {name} go on (end some)")
        user.streams += 1

    async def begin(self, name: str) -> None:
        """Returns when it is this request's turn. TooManyRequests."""
        user = self._users.setdefault(name, _User())
        if user.running < self._at_once and self._running < self._together and not user.waiting:
            self._start(user)
            return
        if len(user.waiting) >= self._line:
            raise TooManyRequests
        called = trio.Event()
        user.waiting.append(called)
        try:
            await called.wait()
        except BaseException:
            if called.is_set():
                self.end(name)
            else:
                user.waiting.remove(called)
                self._forget(name)
            raise

    def leave(self, name: str) -> None:
        self._users[name].streams -= 1
        self._forget(name)

    def end(self, name: str) -> None:
        self._users[name].running -= 1
        self._running -= 1
        self._forget(name)
        self._call()

    def _start(self, user: _User) -> None:
        user.running += 1
        self._running += 1

    def _call(self) -> None:
        """Gives free places to those who wait, one user after the other."""
        while self._running < self._together:
            fits = (name for name, user in self._users.items() if user.waiting and user.running < self._at_once)
            name = next(fits, None)
            if name is None:
                return
            user = self._users.pop(name)
            self._users[name] = user  # behind all others
            self._start(user)
            user.waiting.popleft().set()

    def _forget(self, name: str) -> None:
        if self._users[name].idle:
            del self._users[name]


class Turn:
    """One request's; used as a context manager, so that it always ends."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._name, self._long = turns, "", False

    async def begin(self, user: User, wanted: Attributes) -> None:
        """Raises TooManyRequests."""
        if user.unrestricted:
            return
        self._long = wanted.verb == "watch" or wanted.sub in LONG
        if self._long:
            self._turns.enter(user.name)
        else:
            await self._turns.begin(user.name)
        self._name = user.name

    @property
    def long(self) -> bool:
        return self._long

    def end(self) -> None:
        name, self._name = self._name, ""
        if name:
            (self._turns.leave if self._long else self._turns.end)(name)

    def __enter__(self) -> "Turn":
        return self

    def __exit__(self, *_error: object) -> None:
        self.end()
