"""PriorityClass (scheduling.k8s.io/v1): names for the priority of pods, which admission writes into them."""

from typing import ClassVar

from orchestr.api.base import KubeObject

HIGHEST_USER = 1_000_000_000  # above are the classes of the system
SYSTEM = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}  # there from the start
SYSTEM_PREFIX = "system-"


class PriorityClass(KubeObject):
    PLURAL: ClassVar[str] = "priorityclasses"
    GROUP: ClassVar[str] = "scheduling.k8s.io"
    NAMESPACED: ClassVar[bool] = False
    SHORT: ClassVar[tuple[str, ...]] = ("pc",)

    api_version: str = "scheduling.k8s.io/v1"
    kind: str = "PriorityClass"
    value: int = 0
    global_default: bool | None = None
    description: str | None = None
    preemption_policy: str | None = None  # PreemptLowerPriority, Never
