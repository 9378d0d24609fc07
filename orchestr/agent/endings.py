"""A run of a container has ended: what follows for the next one, and the Event that tells of it."""

from orchestr.agent.runs import Run
from orchestr.agent.work import Work
from orchestr.runtime.seam import Container as Record


def ended(work: Work, run: Run, record: Record) -> Run:
    """The run with its end and when the next may start; the same run when this end is known already."""
    if run.record is not None and run.record.status == "exited" and run.record.finished_at == record.finished_at:
        return run
    scope = work.probes.pop(run.container, None)
    if scope is not None:
        scope.cancel()
    finished = record.finished_at or work.node.clock()
    backoff = run.backoff.after_run(finished - (record.started_at or finished))
    over = run.but(record=record, ready=False, backoff=backoff, not_before=finished + backoff.delay(work.node.random))
    _report(work, over)
    return over


def _report(work: Work, run: Run) -> None:
    if run.record is not None and (run.record.exit_code != 0 or run.record.oom):
        reason = "OOMKilled" if run.record.oom else "Exited"
        work.node.recorder.record(work.pod, reason, f"container {run.container} {run.outcome}", warning=True)
