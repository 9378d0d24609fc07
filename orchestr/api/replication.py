"""ReplicationController (core/v1): a ReplicaSet with a plain map for its selector."""

from typing import ClassVar

from orchestr.api.base import Condition, Dict, Items, KubeObject, Model
from orchestr.api.pod import PodTemplateSpec


class ReplicationControllerSpec(Model):
    replicas: int = 1
    min_ready_seconds: int = 0
    selector: Dict[str] = {}
    template: PodTemplateSpec | None = None


class ReplicationControllerStatus(Model):
    replicas: int = 0
    observed_generation: int | None = None
    fully_labeled_replicas: int | None = None
    ready_replicas: int | None = None
    available_replicas: int | None = None
    conditions: Items[Condition] = ()


class ReplicationController(KubeObject):
    PLURAL: ClassVar[str] = "replicationcontrollers"
    SHORT: ClassVar[tuple[str, ...]] = ("rc",)

    api_version: str = "v1"
    kind: str = "ReplicationController"
    spec: ReplicationControllerSpec = ReplicationControllerSpec()
    status: ReplicationControllerStatus = ReplicationControllerStatus()
