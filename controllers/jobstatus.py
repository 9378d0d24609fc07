"""What the status of a Job (batch/v1) says: counts, indexes, and the conditions on its way to an end. Pure."""

from collections.abc import Sequence
from datetime import datetime

from controllers.jobtally import tally
from orchestr.api import indexes
from orchestr.api.base import Condition
from orchestr.api.batch import Job, JobStatus
from orchestr.api.pod import Pod
from orchestr.engine.conditions import condition, second, with_condition

GOALS = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}  # end -> what comes before it


def goal(job: Job) -> Condition | None:
    """The end that was decided on, while pods still run; a decision stands."""
    for end, before in GOALS.items():
        found = condition(job.status.conditions, before)
        if found and found.status == "True":
            return Condition(type=end, status="True", reason=found.reason, message=found.message)
    return None


def status(job: Job, pods: Sequence[Pod], finish: Condition | None, now: datetime, *, ending: int = 0) -> JobStatus:
    """`ending`: how many pods were deleted just now and still have to end, besides `pods`."""
    seen = tally(job, pods)
    start = job.status.start_time or second(now)
    conditions = _suspension(job, now)
    over = not seen.active and not seen.ending and not ending
    if finish:
        conditions = with_condition(conditions, finish.but(type=GOALS[finish.type]), now)
    if finish and over:
        conditions = with_condition(conditions, finish, now)
    per_index = job.spec.backoff_limit_per_index is not None
    return JobStatus(
        start_time=None if job.spec.suspend else start,
        completion_time=second(now) if finish and over and finish.type == "Complete" else None,
        active=len(seen.active),
        ready=sum(pod.ready for pod in seen.active),
        succeeded=seen.succeeded,
        failed=seen.failed,
        terminating=len(seen.ending) + ending,
        completed_indexes=indexes.text(seen.completed) or None,
        failed_indexes=indexes.text(seen.lost) if per_index else None,
        conditions=conditions,
    )


def _suspension(job: Job, now: datetime) -> tuple[Condition, ...]:
    old = condition(job.status.conditions, "Suspended")
    if job.spec.suspend:
        suspended = Condition(type="Suspended", status="True", reason="JobSuspended", message="Job suspended")
        return with_condition(job.status.conditions, suspended, now)
    if old and old.status == "True":
        resumed = Condition(type="Suspended", status="False", reason="JobResumed", message="Job resumed")
        return with_condition(job.status.conditions, resumed, now)
    return job.status.conditions
