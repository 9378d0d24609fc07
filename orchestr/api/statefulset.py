"""StatefulSet (apps/v1): pods with names, order and storage of their own."""

from typing import ClassVar

from orchestr.api.base import Condition, Items, KubeObject, Model
from orchestr.api.claim import PersistentVolumeClaim
from orchestr.api.meta import IntOrString, LabelSelector
from orchestr.api.pod import PodTemplateSpec

REVISION_LABEL = "controller-revision-hash"  # of a pod: the name of its ControllerRevision; of a DaemonSet's, its hash
POD_NAME = "statefulset.kubernetes.io/pod-name"  # labels that a StatefulSet puts on its pods
POD_INDEX = "apps.kubernetes.io/pod-index"


class RollingUpdateStatefulSetStrategy(Model):
    partition: int = 0  # pods from the first up to this one keep the template that they have
    max_unavailable: IntOrString | None = None  # None: 1


class StatefulSetUpdateStrategy(Model):
    type: str = "RollingUpdate"  # RollingUpdate, OnDelete
    rolling_update: RollingUpdateStatefulSetStrategy | None = None


class StatefulSetPersistentVolumeClaimRetentionPolicy(Model):
    when_deleted: str = "Retain"  # Retain, Delete
    when_scaled: str = "Retain"


class StatefulSetOrdinals(Model):
    start: int = 0


class StatefulSetSpec(Model):
    selector: LabelSelector
    template: PodTemplateSpec
    service_name: str | None = None
    replicas: int = 1
    pod_management_policy: str = "OrderedReady"  # OrderedReady, Parallel
    update_strategy: StatefulSetUpdateStrategy = StatefulSetUpdateStrategy()
    volume_claim_templates: Items[PersistentVolumeClaim] = ()
    persistent_volume_claim_retention_policy: StatefulSetPersistentVolumeClaimRetentionPolicy = (
        StatefulSetPersistentVolumeClaimRetentionPolicy()
    )
    ordinals: StatefulSetOrdinals | None = None
    min_ready_seconds: int = 0
    revision_history_limit: int = 10

    @property
    def first(self) -> int:
        """The ordinal of the first pod."""
        return self.ordinals.start if self.ordinals else 0


class StatefulSetStatus(Model):
    replicas: int = 0
    observed_generation: int | None = None
    ready_replicas: int | None = None
    available_replicas: int | None = None
    current_replicas: int | None = None
    updated_replicas: int | None = None
    current_revision: str | None = None
    update_revision: str | None = None
    collision_count: int | None = None
    conditions: Items[Condition] = ()


class StatefulSet(KubeObject):
    PLURAL: ClassVar[str] = "statefulsets"
    GROUP: ClassVar[str] = "apps"
    SHORT: ClassVar[tuple[str, ...]] = ("sts",)

    api_version: str = "apps/v1"
    kind: str = "StatefulSet"
    spec: StatefulSetSpec
    status: StatefulSetStatus = StatefulSetStatus()
