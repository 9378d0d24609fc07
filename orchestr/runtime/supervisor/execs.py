"""Processes started in a running container. Each belongs to the connection that asked, and ends with it."""

import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from orchestr.runtime.launch import Launched
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.supervisor import exits
from orchestr.runtime.supervisor.containers import Containers
from orchestr.runtime.supervisor.loop import Loop
from orchestr.runtime.supervisor.records import Records

Told = Callable[[int, int | None], None]  # number of the exec, its wait(2) status


class Started:
    __slots__ = ("console", "number", "pid", "pidfd")

    def __init__(self, number: int, launched: Launched) -> None:
        self.number, self.pid, self.pidfd, self.console = number, launched.pid, launched.pidfd, launched.console


class Execs:
    def __init__(self, loop: Loop, records: Records, containers: Containers) -> None:
        self._loop, self._records, self._containers = loop, records, containers
        self._numbers = count(1)

    def start(self, spec: Mapping[str, Any], stdio: Sequence[int], told: Told) -> Started:
        """`spec` is an ExecSpec as JSON. The console (tty) is the caller's to send and close."""
        tracked = self._containers.get(spec["container"])
        if tracked.container.status != "running":
            raise RuntimeFailure(
                f"cannot run a command in {spec['container']}: it is not running (see its status)", reason="NotRunning"
            )
        started = Started(next(self._numbers), self._enter(spec, stdio))
        self._loop.add(started.pidfd, select.EPOLLIN, lambda _events: self._ended(started, told))
        return started

    def _ended(self, started: Started, told: Told) -> None:
        exit = exits.peek_child(started.pidfd)
        if exit is None:
            return
        self._loop.remove(started.pidfd)
        exits.reap(started.pidfd)
        os.close(started.pidfd)
        started.pidfd = -1
        told(started.number, exit.status)

    def kill(self, started: Started) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(started.pidfd, signal.SIGKILL)

    def _enter(self, spec: Mapping[str, Any], stdio: Sequence[int]) -> Launched:
        raise NotImplementedError
