"""Kubernetes' rules for Job and CronJob: what is wrong, what an update must not change.

Source: pkg/apis/batch/validation of Kubernetes.
"""

from collections.abc import Iterator

from orchestr.api.batch import Job, JobSpec
from orchestr.api.cronjob import CronJob
from orchestr.api.errors import Cause
from orchestr.api.metarules import check_annotations, check_labels, check_template, selects
from orchestr.api.rules import at_least, one_of, required
from orchestr.api.schedule import ScheduleError, parse, zone_of

CRON_NAME = 52  # characters; eleven more are the name of a Job


def job(job: Job) -> Iterator[Cause]:
    yield from job_spec(job.spec, "spec")
    if job.spec.manual_selector and job.spec.selector is not None:
        yield from selects(job.spec.selector, job.spec.template)
    elif job.spec.manual_selector:
        yield required("spec.selector", "is required with manualSelector")


def job_spec(spec: JobSpec, at: str) -> Iterator[Cause]:
    for field, value in (
        ("parallelism", spec.parallelism),
        ("completions", spec.completions),
        ("backoffLimit", spec.backoff_limit),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
    ):
        yield from at_least(f"{at}.{field}", value, 0)
    yield from one_of(f"{at}.podReplacementPolicy", spec.pod_replacement_policy, ("TerminatingOrFailed", "Failed"))
    yield from check_template(spec.template, f"{at}.template")
    if spec.template.spec.restart_policy not in ("OnFailure", "Never"):
        given = spec.template.spec.restart_policy
        message = f"must be OnFailure or Never in a Job, since {given}, the default, would never end"
        yield Cause(f"{at}.template.spec.restartPolicy", message, "FieldValueRequired")


def cron_job(cron: CronJob) -> Iterator[Cause]:
    spec, at = cron.spec, "spec.jobTemplate"
    if len(cron.metadata.name) > CRON_NAME:
        yield Cause("metadata.name", f"must be no more than {CRON_NAME} characters")
    yield from _schedule(cron)
    yield from one_of("spec.concurrencyPolicy", spec.concurrency_policy, ("Allow", "Forbid", "Replace"))
    for field, value in (
        ("startingDeadlineSeconds", spec.starting_deadline_seconds),
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ):
        yield from at_least(f"spec.{field}", value, 0)
    yield from check_labels(spec.job_template.metadata.labels, f"{at}.metadata.labels")
    yield from check_annotations(spec.job_template.metadata.annotations, f"{at}.metadata.annotations")
    yield from job_spec(spec.job_template.spec, f"{at}.spec")
    if spec.job_template.spec.manual_selector:
        yield Cause(f"{at}.spec.manualSelector", "must not be set: each Job gets a selector of its own")


def _schedule(cron: CronJob) -> Iterator[Cause]:
    if not cron.spec.schedule:
        yield required("spec.schedule")
        return
    try:
        zone_of(cron.spec.time_zone)
    except ScheduleError as error:
        yield Cause("spec.timeZone", str(error))
        return
    try:
        parse(cron.spec.schedule, cron.spec.time_zone)
    except ScheduleError as error:
        yield Cause("spec.schedule", str(error))
