"""HorizontalPodAutoscaler (autoscaling/v1): the same objects as autoscaling/v2's.

What v1 has no field for travels in annotations, as in Kubernetes, so that nothing is lost on the way there and back.
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from orchestr.api import autoscaling as v2
from orchestr.api.base import KubeObject, Model, Time

PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, CURRENT, CONDITIONS, BEHAVIOR = (
    PREFIX + name for name in ("metrics", "current-metrics", "conditions", "behavior")
)


class HorizontalPodAutoscalerSpec(Model):
    scale_target_ref: v2.CrossVersionObjectReference
    min_replicas: int | None = None
    max_replicas: int
    target_cpu: int | None = Field(default=None, alias="targetCPUUtilizationPercentage")


class HorizontalPodAutoscalerStatus(Model):
    observed_generation: int | None = None
    last_scale_time: Time | None = None
    current_replicas: int = 0
    desired_replicas: int = 0
    current_cpu: int | None = Field(default=None, alias="currentCPUUtilizationPercentage")


class HorizontalPodAutoscaler(KubeObject):
    PLURAL: ClassVar[str] = "horizontalpodautoscalers"
    GROUP: ClassVar[str] = "autoscaling"
    VERSION: ClassVar[str] = "v1"
    SHORT: ClassVar[tuple[str, ...]] = ("hpa",)
    STORED = v2.HorizontalPodAutoscaler

    api_version: str = "autoscaling/v1"
    kind: str = "HorizontalPodAutoscaler"
    spec: HorizontalPodAutoscalerSpec
    status: HorizontalPodAutoscalerStatus = HorizontalPodAutoscalerStatus()

    def stored(self) -> v2.HorizontalPodAutoscaler:
        """As it is kept. pydantic.ValidationError for an annotation that is none of ours."""
        spec, status, kept = self.spec, self.status, self.metadata.annotations
        metrics = [_cpu(spec.target_cpu)] if spec.target_cpu is not None else []
        cpu = {"averageUtilization": status.current_cpu}
        current = [_metric("cpu", current=cpu)] if status.current_cpu is not None else []
        wire = {
            "metadata": self.metadata.but(annotations=_without(kept)).wire(),
            "spec": {
                **_shared(spec.wire(), "targetCPUUtilizationPercentage"),
                "metrics": metrics + _read(kept, METRICS, []),
                "behavior": _read(kept, BEHAVIOR, None),
            },
            "status": {
                **_shared(status.wire(), "currentCPUUtilizationPercentage"),
                "currentMetrics": current + _read(kept, CURRENT, []),
                "conditions": _read(kept, CONDITIONS, []),
            },
        }
        return v2.HorizontalPodAutoscaler.model_validate(wire)

    @classmethod
    def of(cls, stored: v2.HorizontalPodAutoscaler) -> "HorizontalPodAutoscaler":
        """As it is served here."""
        wire = stored.wire()
        spec, status = wire["spec"], wire["status"]
        target, metrics = _split(spec.pop("metrics", []), "target")
        now, current = _split(status.pop("currentMetrics", []), "current")
        left = {METRICS: metrics, CURRENT: current, CONDITIONS: status.pop("conditions", None)}
        left[BEHAVIOR] = spec.pop("behavior", None)
        notes = {name: json.dumps(value, separators=(",", ":")) for name, value in left.items() if value}
        wire["metadata"]["annotations"] = {**wire["metadata"].get("annotations", {}), **notes}
        shown = {**status, "currentCPUUtilizationPercentage": now}
        wanted = {**spec, "targetCPUUtilizationPercentage": target}
        return cls.model_validate({"metadata": wire["metadata"], "spec": wanted, "status": shown})


def _shared(wire: dict[str, Any], own: str) -> dict[str, Any]:
    return {name: value for name, value in wire.items() if name != own}


def _without(annotations: Mapping[str, str]) -> dict[str, str]:
    ours = (METRICS, CURRENT, CONDITIONS, BEHAVIOR)
    return {name: value for name, value in annotations.items() if name not in ours}


def _read(annotations: Mapping[str, str], name: str, default: Any) -> Any:
    """The JSON in an annotation; as Kubernetes, one that cannot be read is as good as none."""
    try:
        return json.loads(annotations[name]) if name in annotations else default
    except ValueError:
        return default


def _metric(resource: str, **more: Any) -> dict[str, Any]:
    return {"type": "Resource", "resource": {"name": resource, **more}}


def _cpu(percent: int) -> dict[str, Any]:
    return _metric("cpu", target={"type": "Utilization", "averageUtilization": percent})


def _split(metrics: list[dict[str, Any]], side: str) -> tuple[int | None, list[dict[str, Any]]]:
    """The percentage of CPU that v1 has a field for, and all the others."""
    for index, metric in enumerate(metrics):
        found = metric.get("resource") or {}
        percent = found.get(side, {}).get("averageUtilization")
        if found.get("name") == "cpu" and percent is not None:
            return percent, metrics[:index] + metrics[index + 1 :]
    return None, metrics
