"""What the agent knows of one container of a pod: its latest run and when the next may begin."""

import signal
from dataclasses import dataclass, field, replace

from orchestr.agent.backoff import Backoff
from orchestr.api.container import ResourceRequirements
from orchestr.runtime.seam import Container as Record


def container_id(uid: str, name: str, attempt: int) -> str:
    """The runtime's id of one run: it carries all that adoption needs."""
    return f"{uid}.{name}.{attempt}"


def parse_id(identifier: str) -> tuple[str, str, int] | None:
    """(pod uid, container name, attempt), None for an id that is not one of ours."""
    parts = identifier.split(".")
    return (parts[0], parts[1], int(parts[2])) if len(parts) == 3 and parts[2].isdigit() else None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a container. Times are seconds since the epoch."""

    container: str
    attempt: int
    id: str
    record: Record | None  # None: the start failed before there was a process
    backoff: Backoff = field(default_factory=Backoff)
    not_before: float = 0.0  # when the next run may start
    image: str = ""
    image_id: str = ""
    ready: bool = False
    started: bool = False  # startup probe passed, or there is none
    reason: str = ""  # why it waits or why it was ended: CamelCase
    message: str = ""
    exit_code: int | None = None  # of a start that failed: 127 no such program, 126 not to be executed
    previous: Record | None = None  # the run before
    resources: ResourceRequirements | None = None  # that it has; None: unknown, taken for those of the spec
    resize_at: float = 0.0  # when other resources may be tried again
    again: bool = False  # it is ended to be started anew, whatever restartPolicy says

    @property
    def exited(self) -> bool:
        return self.record is None or self.record.status == "exited"

    @property
    def running(self) -> bool:
        return self.record is not None and self.record.status == "running"

    @property
    def succeeded(self) -> bool:
        return self.record is not None and self.record.status == "exited" and self.record.exit_code == 0

    @property
    def outcome(self) -> str:
        """How it ended, for a sentence: "exited with code 3"."""
        record = self.record
        if record is None:
            return f"did not start: {self.message}"
        if record.oom is not None:
            return f"was killed: {oom_text(record)}"
        if record.exit_code is None:
            return f"ended unseen ({record.message or 'nobody could see its exit status'})"
        if record.signal:
            return f"was ended by {signal_name(record.signal)}"
        return f"exited with code {record.exit_code}"

    def but(self, **changes: object) -> "Run":
        return replace(self, **changes)  # type: ignore[arg-type]


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def oom_text(record: Record) -> str:
    """ "out of memory (limit 256Mi, peak 256Mi, victim python pid 41)" """
    oom = record.oom
    assert oom is not None
    parts = [
        f"limit {size(oom.limit)}" if oom.limit else "",
        f"peak {size(oom.peak)}" if oom.peak else "",
        f"victim {oom.victim}" if oom.victim else "victim unknown",
    ]
    return f"out of memory ({', '.join(part for part in parts if part)})"


def size(count: int | None) -> str:
    """Bytes as a person reads them."""
    value = float(count or 0)
    for unit in ("", "Ki", "Mi", "Gi"):
        if value < 1024:
            return f"{value:.4g}{unit}"
        value /= 1024
    return f"{value:.4g}Ti"
