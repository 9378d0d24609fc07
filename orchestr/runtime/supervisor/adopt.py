"""After a start: takes over what an earlier supervisor left, from its records.

A container whose process lives is watched through a pidfd, whoever its parent is now. One that ended while nobody was
looking stays `lost` until the first client has said what it saw: see protocol.py. One that was being launched is swept
away: whoever asked for it asks again.
"""

import os
import traceback
from collections.abc import Mapping

from orchestr.runtime import cgroups
from orchestr.runtime.seam import RuntimeFailure
from orchestr.runtime.supervisor import exits
from orchestr.runtime.supervisor.containers import Containers, Tracked
from orchestr.runtime.supervisor.records import Record, Records, SandboxRecord
from orchestr.runtime.supervisor.sandboxes import Sandboxes


class Adoption:
    def __init__(self, records: Records, containers: Containers, sandboxes: Sandboxes) -> None:
        self._records, self._containers, self._sandboxes = records, containers, sandboxes
        self._lost: dict[str, Tracked] = {}
        self._gone: list[SandboxRecord] = []

    def run(self) -> None:
        """What goes wrong with one is reported, and does not keep the others from being adopted."""
        living: dict[str, list[int]] = {}
        for record in self._records.containers():
            try:
                if record.container.status == "created":
                    self._sweep(record)
                elif self._take(record).pidfd >= 0:
                    living.setdefault(record.container.sandbox, []).append(record.container.pid or 0)
            except (OSError, ValueError, RuntimeFailure):
                traceback.print_exc()
        for sandbox in self._records.sandboxes():
            try:
                if not self._sandboxes.adopt(sandbox, living.get(sandbox.spec.id, [])):
                    self._gone.append(sandbox)
            except (OSError, ValueError, RuntimeFailure):
                traceback.print_exc()

    def _sweep(self, record: Record) -> None:
        cgroups.kill_all(record.cgroup)
        cgroups.remove(record.cgroup)
        self._containers.unclass(record)
        self._records.forget(record.container.id)

    def _take(self, record: Record) -> Tracked:
        tracked = self._containers.all[record.container.id] = Tracked(record)
        tracked.child = False
        self._containers.reopen_log(tracked)
        if record.container.status == "exited":
            self._containers.settle(tracked)
            return tracked
        tracked.pidfd = exits.open_same(record.container.pid or 0, record.start_time)
        if tracked.pidfd >= 0:
            self._containers.watch(tracked)
        else:
            self._lost[record.container.id] = tracked
        return tracked

    def console(self, id: str, fd: int) -> None:
        """A client kept a terminal's master open: its container goes on as before."""
        tracked = self._containers.get(id)
        if tracked.console < 0 and tracked.pidfd >= 0 and tracked.log:
            tracked.console = os.dup(fd)
            tracked.log.watch_console(tracked.console)

    def seen(self, statuses: Mapping[str, int | None]) -> None:
        """What a client knows of the exits that nobody else saw: wait(2) statuses by container."""
        for id, tracked in self._lost.items():
            self._containers.finish(tracked, exits.Exit(statuses.get(id)))
        self._lost.clear()
        for sandbox in self._gone:
            self._sandboxes.sweep(sandbox)
        self._gone.clear()
        for id, status in statuses.items():
            self._containers.learn(id, exits.Exit(status))
