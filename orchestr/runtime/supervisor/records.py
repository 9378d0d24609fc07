"""What the supervisor must know again after `kill -9`, as small files in the run directory (gone after a reboot).

    <run>/containers/<id>/spec     ContainerSpec, written once; read again for exec and adoption
    <run>/containers/<id>/record   Record, replaced at every change
    <run>/containers/<id>/stdout   FIFO, and stderr; stdin, for one that reads something
    <run>/sandboxes/<id>           SandboxRecord

Files are replaced by rename(2), so that a reader finds the old or the new one, whole. No fsync: what a power cut
takes, the reboot has ended. A record of another boot is nothing.
"""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from orchestr.runtime.seam import Container, ContainerSpec, RuntimeFailure, SandboxSpec
from orchestr.runtime.supervisor import wire

_UNUSABLE = (OSError, ValueError, TypeError, KeyError, AttributeError)
_ID_LIMIT = 200  # characters; an id is a directory name


class Record(NamedTuple):
    """A container. While `pid` is None it was being launched: nothing of that is worth keeping."""

    container: Container
    cgroup: str
    start_time: int  # ticks since boot, see exits.start_time
    boot: str
    classed: str = ""  # where nftables has its network class: in the "pod"'s namespace or the "machine"'s; "" for none


class SandboxRecord(NamedTuple):
    spec: SandboxSpec
    holder: int  # pid of the shared pid namespace's pid 1, 0 when there is none
    holder_start: int
    boot: str


def checked_id(id: str) -> str:
    """RuntimeFailure when it cannot be a file name."""
    if (
        0 < len(id) <= _ID_LIMIT
        and id.isascii()
        and id.replace("-", "a").replace("_", "a").replace(".", "a").isalnum()
        and id[0] != "."
    ):
        return id
    raise RuntimeFailure(
        f"cannot use id {id[:_ID_LIMIT]!r}: at most {_ID_LIMIT} letters, digits, '-', '_' and '.' (choose another)",
        reason="InvalidId",
    )


class Records:
    def __init__(self, run: str, boot: str) -> None:
        self.boot = boot
        self._containers, self._sandboxes = f"{run}/containers", f"{run}/sandboxes"
        for directory in (self._containers, self._sandboxes):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def directory(self, id: str) -> str:
        return f"{self._containers}/{id}"

    def new(self, spec: ContainerSpec) -> None:
        """Makes the container's directory with its spec; what an earlier try left there goes."""
        self.forget(spec.id)
        os.mkdir(self.directory(spec.id), 0o700)
        _replace(f"{self.directory(spec.id)}/spec", wire.spec_to(spec))

    def spec(self, id: str) -> ContainerSpec:
        return wire.spec_from(_load(f"{self.directory(id)}/spec"))

    def write(self, record: Record) -> None:
        data = {**record._asdict(), "container": wire.container_to(record.container)}
        _replace(f"{self.directory(record.container.id)}/record", data)

    def forget(self, id: str) -> None:
        directory = self.directory(id)
        if os.path.isdir(directory):
            for name in os.listdir(directory):
                os.unlink(f"{directory}/{name}")
            os.rmdir(directory)

    def containers(self) -> list[Record]:
        """Of this boot; what is unreadable or older is removed."""
        found = []
        for id in sorted(os.listdir(self._containers)):
            try:
                data = _load(f"{self.directory(id)}/record")
                record = Record(**{**data, "container": wire.container_from(data["container"])})
            except _UNUSABLE:
                record = None
            if record is None or record.boot != self.boot:
                self.forget(id)
            else:
                found.append(record)
        return found

    def write_sandbox(self, record: SandboxRecord) -> None:
        _replace(f"{self._sandboxes}/{record.spec.id}", {**record._asdict(), "spec": wire.sandbox_to(record.spec)})

    def forget_sandbox(self, id: str) -> None:
        if os.path.exists(f"{self._sandboxes}/{id}"):
            os.unlink(f"{self._sandboxes}/{id}")

    def sandboxes(self) -> list[SandboxRecord]:
        found = []
        for id in sorted(name for name in os.listdir(self._sandboxes) if not name.endswith("~")):
            try:
                data = _load(f"{self._sandboxes}/{id}")
                record = SandboxRecord(**{**data, "spec": wire.sandbox_from(data["spec"])})
            except _UNUSABLE:
                record = None
            if record is None or record.boot != self.boot:
                self.forget_sandbox(id)
            else:
                found.append(record)
        return found


def _replace(place: str, data: Mapping[str, Any]) -> None:
    fresh = f"{place}~"
    with open(fresh, "w") as file:
        file.write(json.dumps(data, separators=(",", ":")))  # json.dump would encode in Python, not in C
    os.replace(fresh, place)


def _load(place: str) -> dict[str, Any]:
    with open(place) as file:
        data = json.load(file)
    if not isinstance(data, dict):
        raise ValueError(f"{place} holds no object")
    return data
