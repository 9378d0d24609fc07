"""Kubernetes' rules for Job and CronJob: what is wrong, what an update must not change.

Source: pkg/apis/batch/validation of Kubernetes.
"""

from collections.abc import Iterator

from orchestr.api import indexes, names
from orchestr.api.base import camel
from orchestr.api.batch import Job, JobSpec, PodFailurePolicyRule, SuccessPolicyRule
from orchestr.api.cronjob import CronJob
from orchestr.api.errors import Cause
from orchestr.api.metarules import check_annotations, check_labels, check_template, selects
from orchestr.api.pod import PodTemplateSpec
from orchestr.api.rules import at_least, one_of, required, same, wrong
from orchestr.api.schedule import ScheduleError, parse, zone_of

INDEXED_PARALLELISM, RULES_LIMIT, VALUES_LIMIT = 100_000, 20, 255
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
    yield from one_of(f"{at}.completionMode", spec.completion_mode, ("NonIndexed", "Indexed"))
    yield from _replacement(spec, at)
    yield from _indexes(spec, at)
    if spec.pod_failure_policy is not None:
        yield from _failure_policy(spec, at)
    if spec.success_policy is not None:
        yield from _success_policy(spec, at)
    if spec.managed_by is not None:
        yield from wrong(f"{at}.managedBy", _path(spec.managed_by))
    yield from check_template(spec.template, f"{at}.template")
    if spec.template.spec.restart_policy not in ("OnFailure", "Never"):
        given = spec.template.spec.restart_policy
        message = f"must be OnFailure or Never in a Job, since {given}, the default, would never end"
        yield Cause(f"{at}.template.spec.restartPolicy", message, "FieldValueRequired")


def _path(text: str) -> str:
    """A domain and a path, of at most 63 characters."""
    if "/" not in text or names.label_key(text.lower()) or len(text) > 63:
        return f"must be a domain and a path such as example.com/controller, not {text!r}"
    return ""


def _replacement(spec: JobSpec, at: str) -> Iterator[Cause]:
    allowed = ("Failed",) if spec.pod_failure_policy else ("TerminatingOrFailed", "Failed")
    yield from one_of(f"{at}.podReplacementPolicy", spec.pod_replacement_policy, allowed)


def _indexes(spec: JobSpec, at: str) -> Iterator[Cause]:
    per_index, most = spec.backoff_limit_per_index, spec.max_failed_indexes
    yield from at_least(f"{at}.backoffLimitPerIndex", per_index, 0)
    yield from at_least(f"{at}.maxFailedIndexes", most, 0)
    if not spec.indexed:
        given = (
            ("backoffLimitPerIndex", per_index),
            ("maxFailedIndexes", most),
            ("successPolicy", spec.success_policy),
        )
        for field, value in given:
            if value is not None:
                yield Cause(f"{at}.{field}", "requires indexed job completion mode (completionMode: Indexed)")
        return
    if spec.completions is None:
        yield required(f"{at}.completions", "is required when completion mode is Indexed")
    if most is not None and per_index is None:
        yield required(f"{at}.backoffLimitPerIndex", "is required when maxFailedIndexes is set")
    if most is not None and most > (spec.completions or 0):
        yield Cause(f"{at}.maxFailedIndexes", f"must be at most completions ({spec.completions})")
    if spec.parallel > INDEXED_PARALLELISM:
        yield Cause(f"{at}.parallelism", f"must be at most {INDEXED_PARALLELISM} when completion mode is Indexed")


def _failure_policy(spec: JobSpec, at: str) -> Iterator[Cause]:
    assert spec.pod_failure_policy is not None
    rules, where = spec.pod_failure_policy.rules, f"{at}.podFailurePolicy.rules"
    if spec.template.spec.restart_policy != "Never":
        message = "only Never is supported when podFailurePolicy is specified"
        yield Cause(f"{at}.template.spec.restartPolicy", message)
    if len(rules) > RULES_LIMIT:
        yield Cause(where, f"has more than {RULES_LIMIT} rules", "FieldValueTooMany")
    for number, rule in enumerate(rules):
        yield from _failure_rule(rule, spec, f"{where}[{number}]")


def _failure_rule(rule: PodFailurePolicyRule, spec: JobSpec, at: str) -> Iterator[Cause]:
    yield from one_of(f"{at}.action", rule.action, ("Count", "FailIndex", "FailJob", "Ignore"))
    if rule.action == "FailIndex" and spec.backoff_limit_per_index is None:
        yield Cause(f"{at}.action", "FailIndex requires the use of job with per-index backoffLimit")
    if (rule.on_exit_codes is None) == (not rule.on_pod_conditions):
        yield Cause(at, "specifying one of onExitCodes and onPodConditions is required, and not both")
    for number, pattern in enumerate(rule.on_pod_conditions):
        here = f"{at}.onPodConditions[{number}]"
        yield from wrong(f"{here}.type", names.label_key(pattern.type))
        yield from one_of(f"{here}.status", pattern.status, ("True", "False", "Unknown"))
    codes = rule.on_exit_codes
    if codes is None:
        return
    here, values = f"{at}.onExitCodes", codes.values
    yield from one_of(f"{here}.operator", codes.operator, ("In", "NotIn"))
    every = {each.name for each in (*spec.template.spec.containers, *spec.template.spec.init_containers)}
    if codes.container_name is not None and codes.container_name not in every:
        yield Cause(f"{here}.containerName", "must be one of the container or initContainer names in the pod template")
    if not values:
        yield required(f"{here}.values", "at least one value is required")
    if len(values) > VALUES_LIMIT:
        yield Cause(f"{here}.values", f"has more than {VALUES_LIMIT} values", "FieldValueTooMany")
    if list(values) != sorted(set(values)):
        yield Cause(f"{here}.values", "must be ordered, and none there twice")
    if codes.operator == "In" and 0 in values:
        yield Cause(f"{here}.values", "must not be 0 for the In operator: a container that exits so has not failed")


def _success_policy(spec: JobSpec, at: str) -> Iterator[Cause]:
    assert spec.success_policy is not None
    rules, where = spec.success_policy.rules, f"{at}.successPolicy.rules"
    if not rules:
        yield required(where, "at least one rules must be specified when the successPolicy is specified")
    if len(rules) > RULES_LIMIT:
        yield Cause(where, f"has more than {RULES_LIMIT} rules", "FieldValueTooMany")
    for number, rule in enumerate(rules):
        yield from _success_rule(rule, spec.completions or 0, f"{where}[{number}]")


def _success_rule(rule: SuccessPolicyRule, completions: int, at: str) -> Iterator[Cause]:
    text, most = rule.succeeded_indexes, rule.succeeded_count
    if text is None and most is None:
        yield required(at, "at least one of succeededCount or succeededIndexes must be specified")
    total = completions
    if text is not None:
        try:
            total = len(indexes.numbers(text, completions))
            if not text or indexes.highest(text) >= completions:
                raise ValueError(f"must name indexes from 0 to {completions - 1}")
        except ValueError as error:
            yield Cause(f"{at}.succeededIndexes", f"error parsing succeededIndexes: {error}")
            return
    yield from at_least(f"{at}.succeededCount", most, 1)
    if most is not None and most > total:
        what = "completions" if text is None else "the number of indexes in succeededIndexes"
        yield Cause(f"{at}.succeededCount", f"must be less than or equal to {total} ({what})")


def job_update(old: Job, new: Job) -> Iterator[Cause]:
    before, after = old.spec, new.spec
    for field in ("completion_mode", "selector", "pod_failure_policy", "backoff_limit_per_index", "managed_by"):
        yield from same(getattr(before, field), getattr(after, field), f"spec.{camel(field)}")
    yield from same(before.success_policy, after.success_policy, "spec.successPolicy")
    if before.completions != after.completions and not (after.indexed and after.completions == after.parallel):
        message = "fields are immutable, but completions of an Indexed Job, in tandem with parallelism"
        yield Cause("spec.completions", message)
    free = bool(before.suspend) and old.status.start_time is None
    yield from same(_fixed(before.template, free=free), _fixed(after.template, free=free), "spec.template")


def _fixed(template: PodTemplateSpec, *, free: bool) -> PodTemplateSpec:
    """What stays of a template; of a Job that was made suspended and never ran, not where its pods go."""
    if not free:
        return template
    placed = template.spec.but(
        node_selector={}, affinity=None, tolerations=None, scheduling_gates=(), topology_spread_constraints=None
    )
    return template.but(metadata=template.metadata.but(labels={}, annotations={}), spec=placed)


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
