"""DaemonSet (apps/v1): a pod on every node that it selects; here that is this machine or none."""

from typing import ClassVar

from orchestr.api.base import Condition, Items, KubeObject, Model
from orchestr.api.meta import IntOrString, LabelSelector
from orchestr.api.pod import PodTemplateSpec


class RollingUpdateDaemonSet(Model):
    max_surge: IntOrString = 0
    max_unavailable: IntOrString = 1


class DaemonSetUpdateStrategy(Model):
    type: str = "RollingUpdate"  # RollingUpdate, OnDelete
    rolling_update: RollingUpdateDaemonSet | None = None


class DaemonSetSpec(Model):
    selector: LabelSelector
    template: PodTemplateSpec
    update_strategy: DaemonSetUpdateStrategy = DaemonSetUpdateStrategy()
    min_ready_seconds: int = 0
    revision_history_limit: int = 10


class DaemonSetStatus(Model):
    current_number_scheduled: int = 0
    number_misscheduled: int = 0
    desired_number_scheduled: int = 0
    number_ready: int = 0
    observed_generation: int | None = None
    updated_number_scheduled: int | None = None
    number_available: int | None = None
    number_unavailable: int | None = None
    collision_count: int | None = None
    conditions: Items[Condition] = ()


class DaemonSet(KubeObject):
    PLURAL: ClassVar[str] = "daemonsets"
    GROUP: ClassVar[str] = "apps"
    SHORT: ClassVar[tuple[str, ...]] = ("ds",)

    api_version: str = "apps/v1"
    kind: str = "DaemonSet"
    spec: DaemonSetSpec
    status: DaemonSetStatus = DaemonSetStatus()
