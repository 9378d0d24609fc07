"""A run of a container has ended: what follows for the next one, and the Event that tells of it."""

from orchestr.agent.runs import Run
from orchestr.agent.work import Work
from orchestr.runtime.seam import Container as Record


def ended(work: Work, run: Run, record: Record) -> Run:
    """The run with its end and when the next may start. An end that is known already, also from a status, which has
    whole seconds only, is not told again."""
    if run.record is not None and run.record.status == "exited" and _second(run.record) == _second(record):
        return run.but(record=record)
    scope = work.probes.pop(run.container, None)
    if scope is not None:
        scope.cancel()
    finished = record.finished_at or work.node.clock()
    backoff = run.backoff.after_run(finished - (record.started_at or finished))
    over = run.but(record=record, ready=False, backoff=backoff, not_before=finished + backoff.delay(work.node.random))
    _report(work, over)
    return over


def _second(record: Record) -> int | None:
    return None if record.finished_at is None else int(record.finished_at)


def _report(work: Work, run: Run) -> None:
    if run.record is not None and (run.record.exit_code != 0 or run.record.oom):
        reason = "OOMKilled" if run.record.oom else "Exited"
        work.node.recorder.record(work.pod, reason, f"container {run.container} {run.outcome}", warning=True)
