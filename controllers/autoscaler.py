"""HorizontalPodAutoscaler (autoscaling/v2): looks every fifteen seconds what pods use, and scales what runs them.

Works on everything with spec.replicas and a selector, and on custom resources with the scale sub-resource. usage.py
says how many pods a metric asks for, scaling.py how fast to get there. Source: pkg/controller/podautoscaler of
Kubernetes.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from controllers.scaling import FEWER, MORE, History, decide
from controllers.usage import TOLERANCE, Proposal, Unknown, Wanted, propose
from orchestr.api import scheme
from orchestr.api.autoscaling import (
    ContainerResourceMetricStatus,
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerStatus,
    MetricSpec,
    MetricStatus,
    MetricValueStatus,
    ResourceMetricStatus,
)
from orchestr.api.base import Condition, KubeObject
from orchestr.api.core import Pod
from orchestr.api.errors import ApiError
from orchestr.api.metrics import PodMetrics
from orchestr.api.quantity import milli, parse
from orchestr.api.scale import Scale, scale, scaled
from orchestr.engine import After, ControllerCluster, Key, Watches
from orchestr.engine.conditions import second, with_condition

PERIOD = timedelta(seconds=15)  # between two looks

WATCHES = Watches(HorizontalPodAutoscaler, reads=(Pod,))


class Looked(NamedTuple):
    """The last look at an autoscaler."""

    at: datetime
    generation: int | None
    past: History


class Told:
    """The status of this look, as it grows."""

    def __init__(self, hpa: HorizontalPodAutoscaler, now: datetime) -> None:
        self.hpa, self.now = hpa, now
        self.conditions = hpa.status.conditions
        self.metrics: tuple[MetricStatus, ...] = hpa.status.current_metrics
        self.scaled_at = hpa.status.last_scale_time

    def say(self, type_: str, status: bool, reason: str, message: str) -> None:
        new = Condition(type=type_, status=str(status), reason=reason, message=message)
        self.conditions = with_condition(self.conditions, new, self.now)

    def status(self, current: int | None, desired: int) -> HorizontalPodAutoscalerStatus:
        return HorizontalPodAutoscalerStatus(
            observed_generation=self.hpa.metadata.generation,
            last_scale_time=self.scaled_at,
            current_replicas=current,
            desired_replicas=desired,
            current_metrics=self.metrics,
            conditions=self.conditions,
        )


_LOOKED: dict[str, Looked] = {}  # by uid; what windows and rates count from, in memory as in Kubernetes


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    hpa, now = await cluster.get(HorizontalPodAutoscaler, key), cluster.now()
    if hpa is None or hpa.metadata.deleting:
        _forget(now)
        return None
    uid = hpa.metadata.uid or ""
    last = _LOOKED.get(uid)
    if last and last.generation == hpa.metadata.generation and (left := last.at + PERIOD - now) > timedelta():
        return After(left.total_seconds())  # woken by its own status
    past = last.past if last else History()
    _LOOKED[uid] = Looked(now, hpa.metadata.generation, past)
    told = Told(hpa, now)
    try:
        current, desired = await _look(cluster, told, past)
    except Stopped as stopped:
        await cluster.patch_status(hpa, told.status(stopped.current, stopped.desired))
    else:
        await cluster.patch_status(hpa, told.status(current, desired))
    return After(PERIOD.total_seconds())


def _forget(now: datetime) -> None:
    """Those that were not looked at for long are gone."""
    for uid in [uid for uid, last in _LOOKED.items() if now - last.at > 4 * PERIOD]:
        del _LOOKED[uid]


class Stopped(Exception):
    """Nothing more can be done at this look; conditions and events say why."""

    def __init__(self, current: int | None, desired: int) -> None:
        self.current, self.desired = current, desired


async def _look(cluster: ControllerCluster, told: Told, past: History) -> tuple[int, int]:
    """(pods there were to be, pods there are to be now). Stopped."""
    hpa, now = told.hpa, told.now
    target, found = await _target(cluster, told)
    current, least, most = found.wanted, hpa.spec.min_replicas or 1, hpa.spec.max_replicas
    if not past.recommended:
        past.recommend(current, now)
    if current == 0:
        text = "scaling is disabled since the replica count of the target is zero"
        told.say("ScalingActive", False, "ScalingDisabled", text)
        return 0, 0
    if current > most:
        desired, why = most, "Current number of replicas above Spec.MaxReplicas"
        told.say("ScalingLimited", True, *MORE)
    elif current < least:
        desired, why = least, "Current number of replicas below Spec.MinReplicas"
        told.say("ScalingLimited", True, *FEWER)
    else:
        asked, name = await _asked(cluster, told, found)
        why = f"{name} above target" if asked > current else "All metrics below target"
        decision = decide(hpa, current, asked, past, now)
        desired = decision.replicas
        told.say("AbleToScale", True, *decision.able)
        within = "DesiredWithinRange", "the desired count is within the acceptable range"
        told.say("ScalingLimited", decision.limited is not None, *(decision.limited or within))
    if desired != current:
        await _scale(cluster, told, target, (current, desired), why)
        past.change(desired - current, now)
    return current, desired


async def _target(cluster: ControllerCluster, told: Told) -> tuple[KubeObject, Scale]:
    """What is scaled, and its scale."""
    hpa, ref = told.hpa, told.hpa.spec.scale_target_ref
    try:
        kind = scheme.kind_of(ref.api_version or "v1", ref.kind)
        target = await cluster.get(kind, Key(hpa.key.namespace if kind.NAMESPACED else "", ref.name))
        found = scale(target) if target is not None else None
        why = f'{kind.PLURAL} "{ref.name}" not found' if target is None else f"{ref.kind} has no scale sub-resource"
    except ApiError as error:
        target, found, why = None, None, str(error)
    if target is None or found is None:
        text = f"the HPA controller was unable to get the target's current scale: {why}"
        told.say("AbleToScale", False, "FailedGetScale", text)
        cluster.record(hpa, "FailedGetScale", why, warning=True)
        raise Stopped(hpa.status.current_replicas, hpa.status.desired_replicas)
    text = "the HPA controller was able to get the target's current scale"
    told.say("AbleToScale", True, "SucceededGetScale", text)
    return target, found


async def _asked(cluster: ControllerCluster, told: Told, found: Scale) -> tuple[int, str]:
    """(what the metric that asks for most asks for, its name). Stopped when that is not known well enough."""
    hpa, current = told.hpa, found.wanted
    if found.matches is None:
        text = "the HPA target's scale is missing a selector"
        told.say("ScalingActive", False, "InvalidSelector", text)
        cluster.record(hpa, "SelectorRequired", "selector is required", warning=True)
        raise Stopped(current, current)
    namespace, matches = hpa.key.namespace, found.matches
    pods = [pod for pod in await cluster.list(Pod, namespace=namespace) if matches(pod.metadata.labels)]
    names = {pod.metadata.name for pod in pods}
    readings = [each for each in await cluster.list(PodMetrics, namespace=namespace) if each.metadata.name in names]
    proposals: list[tuple[MetricSpec, Proposal]] = []
    failures: list[tuple[str, str]] = []
    for metric in hpa.spec.metrics:
        try:
            proposals.append((metric, propose(_wanted(hpa, metric), pods, readings, current, cluster.now())))
        except Unknown as error:
            reason = f"FailedGet{metric.type}Metric"
            failures.append((reason, f"failed to get {_name(metric)}: {error}"))
            cluster.record(hpa, reason, f"failed to get {_name(metric)}: {error}", warning=True)
    best = max(proposals, key=lambda each: each[1].replicas, default=None)
    told.metrics = tuple(_status(each, proposal) for each, proposal in proposals)
    if best is None or (failures and best[1].replicas < current):
        reason, text = failures[0]
        text = f"the HPA was unable to compute the replica count: {text}"
        told.say("ScalingActive", False, reason, text)
        cluster.record(hpa, "FailedComputeMetricsReplicas", text, warning=True)
        raise Stopped(current, hpa.status.desired_replicas)
    name = _name(best[0])
    text = f"the HPA was able to successfully calculate a replica count from {name}"
    told.say("ScalingActive", True, "ValidMetricFound", text)
    return best[1].replicas, name


async def _scale(cluster: ControllerCluster, told: Told, target: KubeObject, counts: tuple[int, int], why: str) -> None:
    hpa, (current, desired) = told.hpa, counts
    try:
        await cluster.patch(type(target), target.key, scaled(target, desired))
    except ApiError as error:
        text = f"the HPA controller was unable to update the target scale: {error}"
        told.say("AbleToScale", False, "FailedUpdateScale", text)
        cluster.record(hpa, "FailedRescale", f"New size: {desired}; reason: {why}; error: {error}", warning=True)
        raise Stopped(current, current) from error
    text = f"the HPA controller was able to update the target scale to {desired}"
    told.say("AbleToScale", True, "SucceededRescale", text)
    told.scaled_at = second(told.now)
    cluster.record(hpa, "SuccessfulRescale", f"New size: {desired}; reason: {why}")


def _source(metric: MetricSpec) -> tuple[str, str]:
    """(resource, container)"""
    if metric.container_resource is not None:
        return metric.container_resource.name, metric.container_resource.container
    return (metric.resource.name if metric.resource else ""), ""


def _wanted(hpa: HorizontalPodAutoscaler, metric: MetricSpec) -> Wanted:
    source = metric.container_resource or metric.resource
    assert source is not None  # validation asks for it
    resource, container = _source(metric)
    amount = source.target.average_value
    behavior = hpa.spec.behavior
    rules = (behavior.scale_down, behavior.scale_up) if behavior else (None, None)
    down, up = (float(parse(each.tolerance)) if each and each.tolerance else TOLERANCE for each in rules)
    percent = None if amount is not None else source.target.average_utilization
    return Wanted(resource, container, percent, float(parse(amount)) if amount is not None else None, (down, up))


def _name(metric: MetricSpec) -> str:
    source = metric.container_resource or metric.resource
    resource, container = _source(metric)
    of = f"{resource} container resource" if container else f"{resource} resource"
    by_value = source is not None and source.target.average_value is not None
    return of if by_value else f"{of} utilization (percentage of request)"


def _status(metric: MetricSpec, proposal: Proposal) -> MetricStatus:
    resource, container = _source(metric)
    amount = f"{milli(str(proposal.average))}m" if resource == "cpu" else str(int(proposal.average))
    current = MetricValueStatus(average_value=amount, average_utilization=proposal.percent)
    if container:
        told = ContainerResourceMetricStatus(name=resource, container=container, current=current)
        return MetricStatus(type=metric.type, container_resource=told)
    return MetricStatus(type=metric.type, resource=ResourceMetricStatus(name=resource, current=current))
