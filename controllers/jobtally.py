"""What the pods of a Job (batch/v1) say: how many succeeded and failed, and of an Indexed Job which. Pure.

Nothing is counted below what status says, for finished pods may have been deleted since.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from controllers import jobpolicy
from controllers.pods import ended_at
from orchestr.api.batch import FAILURES, INDEX, Job
from orchestr.api.indexes import numbers
from orchestr.api.pod import ContainerStatus, Pod


@dataclass(frozen=True)
class Tally:
    active: tuple[Pod, ...]
    ending: tuple[Pod, ...]  # deleted, and not finished yet
    succeeded: int
    failed: int
    restarts: int  # of containers in active pods
    streak: int  # failures since the last success
    last_failure: datetime | None
    doom: str  # what podFailurePolicy fails the Job for; "" for nothing
    completed: frozenset[int] = frozenset()  # indexes that succeeded
    lost: frozenset[int] = frozenset()  # indexes that failed for good
    counts: tuple[tuple[int, int], ...] = ()  # (index, failures so far) of those that may be tried again
    latest: tuple[tuple[int, datetime], ...] = ()  # (index, its last failure)


def index(pod: Pod) -> int | None:
    """The completion index of a pod."""
    text = pod.metadata.annotations.get(INDEX, "")
    return int(text) if text.isascii() and text.isdecimal() else None


def tally(job: Job, pods: Sequence[Pod]) -> Tally:
    finished = sorted((pod for pod in pods if pod.finished), key=ended_at)
    succeeded = [pod for pod in finished if pod.status.phase == "Succeeded"]
    failed = [(pod, jobpolicy.meaning(job, pod)) for pod in finished if pod.status.phase == "Failed"]
    since = ended_at(succeeded[-1]) if succeeded else None
    recent = [pod for pod, _ in failed if since is None or ended_at(pod) > since]
    active = tuple(pod for pod in pods if pod.active)
    indexed = _indexed(job, succeeded, failed) if job.spec.indexed else Indexed()
    return Tally(
        active=active,
        ending=tuple(pod for pod in pods if pod.metadata.deleting and not pod.finished),
        succeeded=len(indexed.completed) if job.spec.indexed else max(len(succeeded), job.status.succeeded or 0),
        failed=max(sum(each.action != jobpolicy.IGNORE for _, each in failed), job.status.failed or 0),
        restarts=sum(each.restart_count for pod in active for each in _containers(pod)),
        streak=len(recent),
        last_failure=ended_at(recent[-1]) if recent else None,
        doom=next((each.why for _, each in failed if each.action == jobpolicy.FAIL_JOB), ""),
        completed=indexed.completed,
        lost=indexed.lost,
        counts=tuple(indexed.counts),
        latest=tuple(indexed.latest),
    )


def _containers(pod: Pod) -> tuple[ContainerStatus, ...]:
    return (*pod.status.init_container_statuses, *pod.status.container_statuses)


@dataclass(frozen=True)
class Indexed:
    completed: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    counts: Iterable[tuple[int, int]] = ()
    latest: Iterable[tuple[int, datetime]] = ()


def _told(text: str | None, total: int) -> set[int]:
    """Indexes in the status, which others may write, too; nothing of what is none."""
    try:
        return numbers(text, total)
    except ValueError:
        return set()


def _indexed(job: Job, succeeded: Sequence[Pod], failed: Sequence[tuple[Pod, jobpolicy.Meaning]]) -> Indexed:
    """Index by index. An index whose pods are gone has its failures written on the next pod (annotation FAILURES)."""
    total, limit = job.spec.completions or 0, job.spec.backoff_limit_per_index
    completed = {number for pod in succeeded if (number := index(pod)) is not None and number < total}
    completed |= _told(job.status.completed_indexes, total)
    lost = _told(job.status.failed_indexes, total)
    counts: dict[int, int] = {}
    latest: dict[int, datetime] = {}
    for pod, meaning in failed:
        number = index(pod)
        if number is None or number >= total:
            continue
        latest[number] = ended_at(pod)
        before = pod.metadata.annotations.get(FAILURES, "")
        new = (int(before) if before.isdecimal() else 0) + (meaning.action != jobpolicy.IGNORE)
        counts[number] = max(counts.get(number, 0), new)
        if limit is not None and (counts[number] > limit or meaning.action == jobpolicy.FAIL_INDEX):
            lost.add(number)
    return Indexed(frozenset(completed), frozenset(lost - completed), counts.items(), latest.items())
