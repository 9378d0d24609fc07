"""PodDisruptionBudget (policy/v1): how many pods of a set evictions may take at once."""

from typing import ClassVar

from orchestr.api.base import Condition, Dict, Items, KubeObject, Model, Time
from orchestr.api.meta import IntOrString, LabelSelector


class PodDisruptionBudgetSpec(Model):
    min_available: IntOrString | None = None
    max_unavailable: IntOrString | None = None
    selector: LabelSelector | None = None
    unhealthy_pod_eviction_policy: str | None = None  # IfHealthyBudget, AlwaysAllow


class PodDisruptionBudgetStatus(Model):
    observed_generation: int | None = None
    disrupted_pods: Dict[Time] = {}
    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    conditions: Items[Condition] = ()


class PodDisruptionBudget(KubeObject):
    PLURAL: ClassVar[str] = "poddisruptionbudgets"
    GROUP: ClassVar[str] = "policy"
    SHORT: ClassVar[tuple[str, ...]] = ("pdb",)

    api_version: str = "policy/v1"
    kind: str = "PodDisruptionBudget"
    spec: PodDisruptionBudgetSpec = PodDisruptionBudgetSpec()
    status: PodDisruptionBudgetStatus = PodDisruptionBudgetStatus()
