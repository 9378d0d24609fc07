"""PodMetrics (metrics.k8s.io/v1beta1): what the containers of a pod use. Measured when asked for, never stored."""

from typing import ClassVar

from orchestr.api.base import Dict, Items, KubeObject, Model, Time
from orchestr.api.quantity import Quantity


class ContainerMetrics(Model):
    name: str
    usage: Dict[Quantity] = {}  # cpu, memory


class PodMetrics(KubeObject):
    PLURAL: ClassVar[str] = "pods"
    GROUP: ClassVar[str] = "metrics.k8s.io"
    VERSION: ClassVar[str] = "v1beta1"

    api_version: str = "metrics.k8s.io/v1beta1"
    kind: str = "PodMetrics"
    timestamp: Time  # end of the window
    window: str = "0s"
    containers: Items[ContainerMetrics] = ()

    @property
    def seconds(self) -> float:
        """How long was measured."""
        return float(self.window.removesuffix("s") or 0)
