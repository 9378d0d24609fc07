"""HorizontalPodAutoscaler (autoscaling/v2): how many pods a workload has, by what they use."""

from typing import ClassVar, Literal

from orchestr.api.base import Condition, Items, KubeObject, Model, Time
from orchestr.api.quantity import Quantity


class CrossVersionObjectReference(Model):
    api_version: str | None = None
    kind: str
    name: str


class MetricTarget(Model):
    type: str  # Utilization, AverageValue
    value: Quantity | None = None
    average_value: Quantity | None = None
    average_utilization: int | None = None  # percent of what the pods request


class ResourceMetricSource(Model):
    name: str  # cpu, memory
    target: MetricTarget


class ContainerResourceMetricSource(Model):
    name: str
    container: str
    target: MetricTarget


class MetricSpec(Model):
    type: Literal["Resource", "ContainerResource"]
    resource: ResourceMetricSource | None = None
    container_resource: ContainerResourceMetricSource | None = None


class HPAScalingPolicy(Model):
    type: str  # Pods, Percent
    value: int
    period_seconds: int


class HPAScalingRules(Model):
    stabilization_window_seconds: int | None = None
    select_policy: str | None = None  # Max, Min, Disabled
    policies: Items[HPAScalingPolicy] = ()
    tolerance: Quantity | None = None


class HorizontalPodAutoscalerBehavior(Model):
    scale_up: HPAScalingRules | None = None
    scale_down: HPAScalingRules | None = None


class HorizontalPodAutoscalerSpec(Model):
    scale_target_ref: CrossVersionObjectReference
    min_replicas: int | None = None
    max_replicas: int
    metrics: Items[MetricSpec] = ()
    behavior: HorizontalPodAutoscalerBehavior | None = None


class MetricValueStatus(Model):
    value: Quantity | None = None
    average_value: Quantity | None = None
    average_utilization: int | None = None


class ResourceMetricStatus(Model):
    name: str
    current: MetricValueStatus


class ContainerResourceMetricStatus(Model):
    name: str
    container: str
    current: MetricValueStatus


class MetricStatus(Model):
    type: str
    resource: ResourceMetricStatus | None = None
    container_resource: ContainerResourceMetricStatus | None = None


class HorizontalPodAutoscalerStatus(Model):
    observed_generation: int | None = None
    last_scale_time: Time | None = None
    current_replicas: int | None = None
    desired_replicas: int = 0
    current_metrics: Items[MetricStatus] = ()
    conditions: Items[Condition] = ()


class HorizontalPodAutoscaler(KubeObject):
    PLURAL: ClassVar[str] = "horizontalpodautoscalers"
    GROUP: ClassVar[str] = "autoscaling"
    VERSION: ClassVar[str] = "v2"
    SHORT: ClassVar[tuple[str, ...]] = ("hpa",)

    api_version: str = "autoscaling/v2"
    kind: str = "HorizontalPodAutoscaler"
    spec: HorizontalPodAutoscalerSpec
    status: HorizontalPodAutoscalerStatus = HorizontalPodAutoscalerStatus()
