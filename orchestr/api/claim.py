"""PersistentVolumeClaim (core/v1): a volume that outlives its pods."""

from typing import ClassVar, Literal

from orchestr.api.base import Condition, Dict, Items, KubeObject, Model
from orchestr.api.meta import LabelSelector
from orchestr.api.quantity import Quantity


class VolumeResourceRequirements(Model):
    requests: Dict[Quantity] = {}
    limits: Dict[Quantity] = {}


class PersistentVolumeClaimSpec(Model):
    access_modes: Items[str] = ()  # ReadWriteOnce, ReadOnlyMany, ReadWriteMany, ReadWriteOncePod
    resources: VolumeResourceRequirements = VolumeResourceRequirements()
    selector: LabelSelector | None = None
    storage_class_name: str | None = None
    volume_mode: Literal["Filesystem"] | None = None
    volume_name: str | None = None


class PersistentVolumeClaimStatus(Model):
    phase: str | None = None  # Pending, Bound, Lost
    access_modes: Items[str] = ()
    capacity: Dict[Quantity] = {}
    conditions: Items[Condition] = ()


class PersistentVolumeClaim(KubeObject):
    PLURAL: ClassVar[str] = "persistentvolumeclaims"
    SHORT: ClassVar[tuple[str, ...]] = ("pvc",)

    api_version: str = "v1"
    kind: str = "PersistentVolumeClaim"
    spec: PersistentVolumeClaimSpec = PersistentVolumeClaimSpec()
    status: PersistentVolumeClaimStatus = PersistentVolumeClaimStatus()
