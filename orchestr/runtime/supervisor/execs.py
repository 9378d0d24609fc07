"""Processes started in a running container. Each belongs to the connection that asked, and ends with it."""

import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from orchestr.runtime import enter, launch
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.spawn import Launched
from orchestr.runtime.supervisor import exits
from orchestr.runtime.supervisor.containers import Containers
from orchestr.runtime.supervisor.loop import Loop
from orchestr.runtime.supervisor.records import Records
from orchestr.runtime.supervisor.sandboxes import Sandboxes

Told = Callable[[int, int | None], None]  # number of the exec, its wait(2) status


class Started:
    __slots__ = ("console", "number", "pid", "pidfd")

    def __init__(self, number: int, launched: Launched) -> None:
        self.number, self.pid, self.pidfd, self.console = number, launched.pid, launched.pidfd, launched.console


class Execs:
    def __init__(self, loop: Loop, records: Records, containers: Containers, sandboxes: Sandboxes) -> None:
        self._loop, self._records, self._containers, self._sandboxes = loop, records, containers, sandboxes
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
        tracked = self._containers.get(spec["container"])
        oci = self._records.spec(spec["container"]).oci
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        in_, out, err = stdio if len(stdio) == 3 else (null, null, null)
        try:
            return enter.enter(
                tracked.container.pid or 0,
                tracked.record.cgroup,
                self._sandboxes.get(tracked.container.sandbox).spec,
                process(oci, spec),
                (in_, out, err),
                bool(spec["tty"]),
                seccomp=(oci.get("linux") or {}).get("seccomp"),
                name=str((oci.get("annotations") or {}).get(launch.NAME) or spec["container"]),
            )
        finally:
            os.close(null)


def process(oci: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """The container's OCI process with what the exec asks for in its place."""
    changed: dict[str, Any] = {"oomScoreAdj": 0, **(oci.get("process") or {})}
    changed.update(args=list(spec["args"]), terminal=bool(spec["tty"]))
    if spec["env"] is not None:
        own = [each for each in changed.get("env") or () if each.partition("=")[0] not in spec["env"]]
        changed["env"] = [*own, *(f"{name}={value}" for name, value in spec["env"].items())]
    if spec["cwd"] is not None:
        changed["cwd"] = spec["cwd"]
    if spec["user"] is not None:
        changed["user"] = {"username": spec["user"]}
    return changed
