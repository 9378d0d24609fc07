"""Deployment and ReplicaSet (apps/v1)."""

from typing import ClassVar

from orchestr.api.base import Condition, Items, KubeObject, Model
from orchestr.api.meta import IntOrString, LabelSelector
from orchestr.api.pod import PodTemplateSpec

POD_TEMPLATE_HASH = "pod-template-hash"  # label that a Deployment puts on its ReplicaSets and their pods
REVISION = "deployment.kubernetes.io/revision"  # annotation on ReplicaSets and their Deployment


class RollingUpdateDeployment(Model):
    max_surge: IntOrString = "25%"
    max_unavailable: IntOrString = "25%"


class DeploymentStrategy(Model):
    type: str = "RollingUpdate"  # RollingUpdate, Recreate
    rolling_update: RollingUpdateDeployment | None = None


class DeploymentSpec(Model):
    selector: LabelSelector
    template: PodTemplateSpec
    replicas: int = 1
    strategy: DeploymentStrategy = DeploymentStrategy()
    min_ready_seconds: int = 0
    paused: bool | None = None
    progress_deadline_seconds: int = 600
    revision_history_limit: int = 10


class DeploymentStatus(Model):
    observed_generation: int | None = None
    replicas: int | None = None
    updated_replicas: int | None = None
    ready_replicas: int | None = None
    available_replicas: int | None = None
    unavailable_replicas: int | None = None
    terminating_replicas: int | None = None
    collision_count: int | None = None
    conditions: Items[Condition] = ()


class Deployment(KubeObject):
    PLURAL: ClassVar[str] = "deployments"
    GROUP: ClassVar[str] = "apps"
    SHORT: ClassVar[tuple[str, ...]] = ("deploy",)

    api_version: str = "apps/v1"
    kind: str = "Deployment"
    spec: DeploymentSpec
    status: DeploymentStatus = DeploymentStatus()


class ReplicaSetSpec(Model):
    selector: LabelSelector
    template: PodTemplateSpec = PodTemplateSpec()
    replicas: int = 1
    min_ready_seconds: int = 0


class ReplicaSetStatus(Model):
    replicas: int = 0
    observed_generation: int | None = None
    fully_labeled_replicas: int | None = None
    ready_replicas: int | None = None
    available_replicas: int | None = None
    terminating_replicas: int | None = None
    conditions: Items[Condition] = ()


class ReplicaSet(KubeObject):
    PLURAL: ClassVar[str] = "replicasets"
    GROUP: ClassVar[str] = "apps"
    SHORT: ClassVar[tuple[str, ...]] = ("rs",)

    api_version: str = "apps/v1"
    kind: str = "ReplicaSet"
    spec: ReplicaSetSpec
    status: ReplicaSetStatus = ReplicaSetStatus()

    @property
    def revision(self) -> int:
        """Of its Deployment's templates, counted from 1; 0 where none is noted."""
        text = self.metadata.annotations.get(REVISION, "0")
        return int(text) if text.isdecimal() else 0
