"""What the store says of a pod's containers from before the daemon started, as runs; the runtime's records come after.

A run that the store saw running and that the runtime does not know has ended unseen.
"""

from orchestr.agent.backoff import Backoff
from orchestr.agent.runs import Run, container_id
from orchestr.api.core import ContainerStateTerminated, ContainerStatus
from orchestr.runtime.seam import Container as Record


def remembered(uid: str, known: ContainerStatus) -> Run | None:
    """None when there has not been a run yet."""
    state, last = known.state, known.last_state.terminated
    identifier = container_id(uid, known.name, known.restart_count)
    if state.running:
        began = state.running.started_at
        record = Record(
            identifier,
            uid,
            "exited",
            started_at=began.timestamp() if began else None,
            message="the machine or the supervisor went down while it ran",
        )
    elif end := state.terminated or last:  # what waits for its next run shows the end of the last one
        record = ended_record(identifier, uid, end)
    else:
        return None
    before = last if state.running or state.terminated else None
    return Run(
        known.name,
        known.restart_count,
        identifier,
        record,
        backoff=Backoff(known.restart_count),  # forgotten after a good run, as ever
        image=known.image,
        image_id=known.image_id,
        ready=known.ready,
        started=bool(known.started),
        resources=known.resources,
        previous=ended_record(container_id(uid, known.name, known.restart_count - 1), uid, before) if before else None,
    )


def ended_record(identifier: str, sandbox: str, end: ContainerStateTerminated) -> Record:
    unknown = end.reason == "ContainerStatusUnknown"
    return Record(
        identifier,
        sandbox,
        "exited",
        started_at=end.started_at.timestamp() if end.started_at else None,
        finished_at=end.finished_at.timestamp() if end.finished_at else None,
        exit_code=None if unknown else end.exit_code,
        signal=end.signal,
        message=(end.message or "") if unknown else "",
    )
