"""Job and CronJob: defaults, what is refused, what stays as it was created."""

from typing import Any

import pytest

from orchestr.api import scheme
from tests.api import objects


def made(**spec: Any) -> Any:
    return scheme.default(scheme.decode(objects.job(**spec)))


def refused(obj: Any) -> list[str]:
    return [cause.field for cause in scheme.validate(obj)]


def cron(schedule: str = "0 0 * * *", job: dict[str, Any] | None = None, name: str = "tick", **spec: Any) -> Any:
    body = {"schedule": schedule, "jobTemplate": {"spec": objects.job(**(job or {}))["spec"]}, **spec}
    data = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}, "spec": body}
    return scheme.default(scheme.decode(data))


def test_the_defaults_of_a_job() -> None:
    spec = made().wire()["spec"]
    told = ("parallelism", "completions", "completionMode", "backoffLimit", "suspend", "podReplacementPolicy")
    assert [spec[name] for name in told] == [1, 1, "NonIndexed", 6, False, "TerminatingOrFailed"]
    spec = made(parallelism=3).wire()["spec"]
    assert "completions" not in spec
    indexed = {"completions": 2, "completionMode": "Indexed"}
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}
    spec = made(**indexed, backoffLimitPerIndex=1, podFailurePolicy={"rules": [rule]}).wire()["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"]) == (2**31 - 1, "Failed")
    assert spec["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["status"] == "True"


RULE = "spec.podFailurePolicy.rules[0]"


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"completionMode": "Sorted"}, ["spec.completionMode"]),
        ({"completionMode": "Indexed", "parallelism": 1}, ["spec.completions"]),
        ({"backoffLimitPerIndex": 1}, ["spec.backoffLimitPerIndex"]),
        ({"successPolicy": {"rules": [{"succeededCount": 1}]}}, ["spec.successPolicy"]),
        ({"completionMode": "Indexed", "completions": 2, "maxFailedIndexes": 1}, ["spec.backoffLimitPerIndex"]),
        (
            {"completionMode": "Indexed", "completions": 2, "maxFailedIndexes": 3, "backoffLimitPerIndex": 0},
            ["spec.maxFailedIndexes"],
        ),
        ({"managedBy": "me"}, ["spec.managedBy"]),
        ({"managedBy": "example.com/me"}, []),
    ],
)
def test_a_job_is_refused(spec: dict[str, Any], fields: list[str]) -> None:
    assert refused(made(**spec)) == fields


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ({"action": "Ignore"}, [RULE]),
        ({"action": "Panic", "onPodConditions": [{"type": "A"}]}, [f"{RULE}.action"]),
        ({"action": "FailIndex", "onPodConditions": [{"type": "A"}]}, [f"{RULE}.action"]),
        ({"action": "Count", "onExitCodes": {"operator": "In", "values": [0]}}, [f"{RULE}.onExitCodes.values"]),
        ({"action": "Count", "onExitCodes": {"operator": "In", "values": [3, 1]}}, [f"{RULE}.onExitCodes.values"]),
        ({"action": "Count", "onExitCodes": {"operator": "In", "values": []}}, [f"{RULE}.onExitCodes.values"]),
        (
            {"action": "Count", "onExitCodes": {"operator": "In", "values": [1], "containerName": "x"}},
            [f"{RULE}.onExitCodes.containerName"],
        ),
        ({"action": "FailJob", "onExitCodes": {"operator": "NotIn", "values": [0, 3], "containerName": "web"}}, []),
    ],
)
def test_a_rule_about_failures_is_refused(rule: dict[str, Any], fields: list[str]) -> None:
    assert refused(made(podFailurePolicy={"rules": [rule]})) == fields


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({}, ""),
        ({"succeededCount": 4}, ".succeededCount"),
        ({"succeededCount": 0}, ".succeededCount"),
        ({"succeededIndexes": "0-3"}, ".succeededIndexes"),
        ({"succeededIndexes": "x"}, ".succeededIndexes"),
        ({"succeededIndexes": "0,1", "succeededCount": 3}, ".succeededCount"),
    ],
)
def test_a_rule_about_success_is_refused(rule: dict[str, Any], field: str) -> None:
    job = made(completionMode="Indexed", completions=3, successPolicy={"rules": [rule]})
    assert refused(job) == [f"spec.successPolicy.rules[0]{field}"]


def test_what_of_a_job_may_change() -> None:
    old = made(suspend=True)
    moved = objects.job(suspend=True)
    moved["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
    new = scheme.default(scheme.decode(moved))
    assert scheme.validate_update(old, new) == []
    assert [cause.field for cause in scheme.validate_update(made(), new)] == ["spec.template"]
    indexed = {"completionMode": "Indexed"}
    assert not scheme.validate_update(made(**indexed, completions=2), made(**indexed, completions=3, parallelism=3))
    [cause] = scheme.validate_update(made(**indexed, completions=2), made(**indexed, completions=3))
    assert cause.field == "spec.completions"


def test_the_defaults_of_a_cron_job() -> None:
    spec = cron().wire()["spec"]
    told = ("concurrencyPolicy", "suspend", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
    assert [spec[name] for name in told] == ["Allow", False, 3, 1]
    assert "parallelism" not in spec["jobTemplate"]["spec"]


@pytest.mark.parametrize(
    ("obj", "fields"),
    [
        (cron("61 * * * *"), ["spec.schedule"]),
        (cron(""), ["spec.schedule"]),
        (cron(timeZone="Mars/Olympus"), ["spec.timeZone"]),
        (cron(concurrencyPolicy="Maybe"), ["spec.concurrencyPolicy"]),
        (cron(startingDeadlineSeconds=-1), ["spec.startingDeadlineSeconds"]),
        (cron(name="x" * 53), ["metadata.name"]),
        (cron(job={"completionMode": "Sorted"}), ["spec.jobTemplate.spec.completionMode"]),
        (cron(timeZone="Europe/Berlin"), []),
    ],
)
def test_a_cron_job_is_refused(obj: Any, fields: list[str]) -> None:
    assert refused(obj) == fields
