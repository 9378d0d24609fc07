"""podFailurePolicy and successPolicy of a Job (batch/v1): what a failed pod means, when enough has succeeded. Pure."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from orchestr.api.batch import Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule
from orchestr.api.indexes import numbers
from orchestr.api.pod import Pod

COUNT, IGNORE, FAIL_INDEX, FAIL_JOB = "Count", "Ignore", "FailIndex", "FailJob"


class Meaning(NamedTuple):
    action: str  # Count, Ignore, FailIndex, FailJob
    why: str = ""  # of FailJob


def meaning(job: Job, pod: Pod) -> Meaning:
    """The action of the first rule that a failed pod matches; Count when it matches none."""
    policy = job.spec.pod_failure_policy
    for number, rule in enumerate(policy.rules if policy else ()):
        if what := _matches(rule, pod):
            return Meaning(rule.action, f"{what} matching {rule.action} rule at index {number}")
    return Meaning(COUNT)


def _matches(rule: PodFailurePolicyRule, pod: Pod) -> str:
    """What in the pod the rule matches, in Kubernetes' words; "" for nothing."""
    if rule.on_exit_codes is not None:
        for name, code in _exits(pod):
            if rule.on_exit_codes.container_name in (None, "", name) and _listed(rule.on_exit_codes, code):
                return f"Container {name} for pod {pod.key} failed with exit code {code}"
    for pattern in rule.on_pod_conditions:
        found = pod.status.condition(pattern.type)
        if found is not None and found.status == (pattern.status or "True"):
            return f"Pod {pod.key} has condition {pattern.type}"
    return ""


def _exits(pod: Pod) -> Iterable[tuple[str, int]]:
    """(container, exit code) of those that failed."""
    every = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    return [
        (s.name, s.state.terminated.exit_code) for s in every if s.state.terminated and s.state.terminated.exit_code
    ]


def _listed(requirement: PodFailurePolicyOnExitCodesRequirement, code: int) -> bool:
    inside: bool = requirement.operator == "In"
    return (code in requirement.values) is inside


def enough(job: Job, completed: Collection[int]) -> str:
    """Which rule of successPolicy these indexes fulfil, in Kubernetes' words; "" for none."""
    policy = job.spec.success_policy
    for number, rule in enumerate(policy.rules if policy else ()):
        named = completed
        if rule.succeeded_indexes is not None:
            wanted = numbers(rule.succeeded_indexes, job.spec.completions or 0)
            named = wanted & set(completed)
            if rule.succeeded_count is None and named != wanted:
                continue
        if rule.succeeded_count is None or len(named) >= rule.succeeded_count:
            return f"Matched rules at index {number}"
    return ""
