"""Kubernetes' defaults and rules for HorizontalPodAutoscalers. Source: pkg/apis/autoscaling of Kubernetes."""

from collections.abc import Iterator

from orchestr.api.autoscaling import (
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior,
    HPAScalingPolicy,
    HPAScalingRules,
    MetricSpec,
    MetricTarget,
    ResourceMetricSource,
)
from orchestr.api.errors import Cause
from orchestr.api.quantity import parse
from orchestr.api.rbacrules import path_segment
from orchestr.api.rules import at_least, one_of, required, wrong

CPU = MetricSpec(
    type="Resource",
    resource=ResourceMetricSource(name="cpu", target=MetricTarget(type="Utilization", average_utilization=80)),
)
UP = HPAScalingRules(
    stabilization_window_seconds=0,
    select_policy="Max",
    policies=(
        HPAScalingPolicy(type="Pods", value=4, period_seconds=15),
        HPAScalingPolicy(type="Percent", value=100, period_seconds=15),
    ),
)
DOWN = HPAScalingRules(select_policy="Max", policies=(HPAScalingPolicy(type="Percent", value=100, period_seconds=15),))
LONGEST_WINDOW, LONGEST_PERIOD = 3600, 1800  # seconds


def default(hpa: HorizontalPodAutoscaler) -> HorizontalPodAutoscaler:
    spec = hpa.spec
    if spec.min_replicas is None:
        spec = spec.but(min_replicas=1)
    if not spec.metrics:
        spec = spec.but(metrics=(CPU,))
    if spec.behavior is not None:
        filled = HorizontalPodAutoscalerBehavior(
            scale_up=_filled(spec.behavior.scale_up, UP), scale_down=_filled(spec.behavior.scale_down, DOWN)
        )
        spec = spec if spec.behavior == filled else spec.but(behavior=filled)
    return hpa if spec is hpa.spec else hpa.but(spec=spec)


def _filled(given: HPAScalingRules | None, usual: HPAScalingRules) -> HPAScalingRules:
    if given is None:
        return usual
    window = given.stabilization_window_seconds
    return given.but(
        stabilization_window_seconds=usual.stabilization_window_seconds if window is None else window,
        select_policy=given.select_policy or usual.select_policy,
        policies=given.policies or usual.policies,
    )


def validate(hpa: HorizontalPodAutoscaler) -> Iterator[Cause]:
    spec = hpa.spec
    yield from at_least("spec.minReplicas", spec.min_replicas, 1)
    if spec.max_replicas < 1:
        yield Cause("spec.maxReplicas", "must be greater than 0")
    elif spec.max_replicas < (spec.min_replicas or 1):
        yield Cause("spec.maxReplicas", "must be greater than or equal to `minReplicas`")
    for field, text in (("kind", spec.scale_target_ref.kind), ("name", spec.scale_target_ref.name)):
        at = f"spec.scaleTargetRef.{field}"
        yield from wrong(at, path_segment(text)) if text else [required(at)]
    for index, metric in enumerate(spec.metrics):
        yield from _metric(f"spec.metrics[{index}]", metric)
    if spec.behavior is not None:
        for field, rules in (("scaleUp", spec.behavior.scale_up), ("scaleDown", spec.behavior.scale_down)):
            if rules is not None:
                yield from _rules(f"spec.behavior.{field}", rules)


def _metric(at: str, metric: MetricSpec) -> Iterator[Cause]:
    sources = {"Resource": ("resource", metric.resource)}
    sources["ContainerResource"] = ("containerResource", metric.container_resource)  # type: ignore[assignment]
    for type_, (field, source) in sources.items():
        if type_ == metric.type and source is None:
            yield required(f"{at}.{field}", "must populate information for the given metric source")
        elif type_ != metric.type and source is not None:
            text = "must populate the given metric source only"
            yield Cause(f"{at}.{field}", text, "FieldValueForbidden")
        elif source is not None:
            yield from [] if source.name else [required(f"{at}.{field}.name", "must specify a resource name")]
            yield from _target(f"{at}.{field}.target", source.target)
    if metric.container_resource is not None and not metric.container_resource.container:
        yield required(f"{at}.containerResource.container", "must specify a container")


def _target(at: str, target: MetricTarget) -> Iterator[Cause]:
    yield from one_of(f"{at}.type", target.type, ("Utilization", "Value", "AverageValue"))
    if target.average_utilization is None and target.average_value is None:
        yield required(f"{at}.averageUtilization", "must set either a target raw value or a target utilization")
    if target.average_utilization is not None and target.average_value is not None:
        text = "may not set both a target raw value and a target utilization"
        yield Cause(f"{at}.averageValue", text, "FieldValueForbidden")
    yield from at_least(f"{at}.averageUtilization", target.average_utilization, 1)
    for field, amount in (("value", target.value), ("averageValue", target.average_value)):
        if amount is not None and parse(amount) <= 0:
            yield Cause(f"{at}.{field}", f"must be positive, not {amount}")


def _rules(at: str, rules: HPAScalingRules) -> Iterator[Cause]:
    window = rules.stabilization_window_seconds
    yield from at_least(f"{at}.stabilizationWindowSeconds", window, 0)
    if window is not None and window > LONGEST_WINDOW:
        yield Cause(f"{at}.stabilizationWindowSeconds", f"must be at most {LONGEST_WINDOW}, not {window}")
    yield from one_of(f"{at}.selectPolicy", rules.select_policy, ("Max", "Min", "Disabled"))
    if not rules.policies:
        yield required(f"{at}.policies", "must specify at least one Policy")
    for index, policy in enumerate(rules.policies):
        here = f"{at}.policies[{index}]"
        yield from one_of(f"{here}.type", policy.type, ("Pods", "Percent"))
        yield from at_least(f"{here}.value", policy.value, 1)
        yield from at_least(f"{here}.periodSeconds", policy.period_seconds, 1)
        if policy.period_seconds > LONGEST_PERIOD:
            yield Cause(f"{here}.periodSeconds", f"must be at most {LONGEST_PERIOD}, not {policy.period_seconds}")
    if rules.tolerance is not None and parse(rules.tolerance) < 0:
        yield Cause(f"{at}.tolerance", f"must not be negative, not {rules.tolerance}")
