"""Sandboxes while they are kept: namespaces by descriptor, and where they can be found again.

Nothing but descriptors and living processes holds a namespace. A new supervisor reopens them from the shared pid
namespace's holder or from any running container of the sandbox; one that has neither is gone, and is reported so by
no longer being listed.
"""

import os
import select
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from orchestr.runtime import cgroups, namespaces
from orchestr.runtime.seam import RuntimeFailure, SandboxSpec
from orchestr.runtime.supervisor import exits
from orchestr.runtime.supervisor.loop import Loop
from orchestr.runtime.supervisor.records import Records, SandboxRecord, checked_id


class Box:
    __slots__ = ("holder", "ns", "record")

    def __init__(self, record: SandboxRecord, ns: namespaces.Namespaces, holder: int) -> None:
        self.record, self.ns, self.holder = record, ns, holder  # holder: pidfd, -1 without share_pid

    @property
    def spec(self) -> SandboxSpec:
        return self.record.spec


class Sandboxes:
    def __init__(self, loop: Loop, records: Records) -> None:
        self._loop, self._records = loop, records
        self.all: dict[str, Box] = {}

    def get(self, id: str) -> Box:
        if (box := self.all.get(id)) is None:
            raise RuntimeFailure(
                f"cannot find sandbox {id}: it is not there (create it first)", reason="SandboxNotFound"
            )
        return box

    def create(self, spec: SandboxSpec) -> Box:
        if (there := self.all.get(checked_id(spec.id))) is not None:
            return there
        cgroups.create(spec.cgroup, spec.resources)
        try:
            ns = namespaces.make(spec)
        except BaseException:
            cgroups.remove(spec.cgroup)
            raise
        record = SandboxRecord(spec, ns.holder, exits.start_time(ns.holder) if ns.holder else 0, self._records.boot)
        self._records.write_sandbox(record)
        return self._keep(record, ns)

    def adopt(self, record: SandboxRecord, living: Sequence[int]) -> bool:
        """Reopens the namespaces from the holder, or from one of the processes `living`; False when it is gone."""
        for pid in (record.holder, *living):
            with suppress(OSError, RuntimeFailure):  # it may end at any moment; a zombie has no namespaces
                if pid:
                    self._keep(record, namespaces.of(pid, record.spec))
                    return True
        return False

    def sweep(self, record: SandboxRecord) -> None:
        """Of a sandbox that is gone, after its containers' cgroups were read for the last time."""
        if record.spec.id not in self.all:
            cgroups.kill_all(record.spec.cgroup)
            with suppress(OSError):
                cgroups.remove(record.spec.cgroup)
            self._records.forget_sandbox(record.spec.id)

    def _keep(self, record: SandboxRecord, ns: namespaces.Namespaces) -> Box:
        holder = exits.open_same(record.holder, record.holder_start) if record.holder else -1
        box = self.all[record.spec.id] = Box(record, ns, holder)
        if holder >= 0:
            self._loop.add(holder, select.EPOLLIN, lambda _events: self._holder_ended(box))
        return box

    def _holder_ended(self, box: Box) -> None:
        """Somebody killed the shared pid namespace's pid 1: its containers died with it."""
        self._loop.remove(box.holder)
        _reap(box.holder)
        os.close(box.holder)
        box.holder = -1

    def remove(self, id: str) -> None:
        """When no container runs in it any more."""
        box = self.all.pop(id, None)
        if box is None:
            return
        if box.holder >= 0:
            self._loop.remove(box.holder)
            signal.pidfd_send_signal(box.holder, signal.SIGKILL)
            _reap(box.holder)
            os.close(box.holder)
        box.ns.close()
        cgroups.remove(box.spec.cgroup)
        self._records.forget_sandbox(id)

    def update(self, id: str, resources: Mapping[str, Any]) -> None:
        cgroups.update(self.get(id).spec.cgroup, resources)


def remove_if_empty(cgroup: str) -> None:
    """The instance's own cgroup, above those of the pods; "" for none."""
    for directory in list(cgroups.directories(cgroup)) if cgroup else ():
        with suppress(OSError):  # somebody else's things are in it
            os.rmdir(directory)


def _reap(pidfd: int) -> None:
    """Waits for the end of a process that was killed; reaps it if it is our child."""
    ended = select.poll()
    ended.register(pidfd, select.POLLIN)
    ended.poll()
    try:
        exits.reap(pidfd)
    except ChildProcessError:
        return  # adopted: init reaps it
