"""StorageClass (storage.k8s.io/v1) and PersistentVolume (core/v1)."""

from typing import Annotated, Any, ClassVar

from orchestr.api.base import Dict, Items, KubeObject, Model, Time
from orchestr.api.meta import ObjectReference
from orchestr.api.quantity import Quantity
from orchestr.api.schema import Kept
from orchestr.api.volume import HostPathVolumeSource

PROVISIONER = "orchestr.dev/local-directory"  # the one that this machine is
LOCAL = "local"  # the StorageClass that is there from the start
VOLUMES = "orchestr.dev/volumes"  # annotation of a Node: the directory that the volumes it provisions lie in
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"  # annotation
LEGACY_CLASS = "volume.beta.kubernetes.io/storage-class"  # annotation, from before there was storageClassName
PV_PROTECTION, PVC_PROTECTION = "kubernetes.io/pv-protection", "kubernetes.io/pvc-protection"  # finalizers
IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"  # annotation


class StorageClass(KubeObject):
    PLURAL: ClassVar[str] = "storageclasses"
    GROUP: ClassVar[str] = "storage.k8s.io"
    NAMESPACED: ClassVar[bool] = False
    SHORT: ClassVar[tuple[str, ...]] = ("sc",)

    api_version: str = "storage.k8s.io/v1"
    kind: str = "StorageClass"
    provisioner: str
    parameters: Dict[str] = {}
    reclaim_policy: str | None = None  # Delete, Retain
    mount_options: Items[str] = ()
    allow_volume_expansion: bool | None = None
    volume_binding_mode: str | None = None  # Immediate, WaitForFirstConsumer
    allowed_topologies: Annotated[Any, Kept("[@core.v1.TopologySelectorTerm")] = None


class LocalVolumeSource(Model):
    path: str
    fs_type: str | None = None


class PersistentVolumeSpec(Model):
    capacity: Dict[Quantity] = {}
    host_path: HostPathVolumeSource | None = None
    local: LocalVolumeSource | None = None
    csi: Annotated[Any, Kept("@core.v1.CSIPersistentVolumeSource")] = None  # kept; no driver here mounts it
    access_modes: Items[str] = ()
    claim_ref: ObjectReference | None = None
    persistent_volume_reclaim_policy: str | None = None  # Retain, Delete
    storage_class_name: str | None = None
    volume_mode: str | None = None
    mount_options: Items[str] = ()
    node_affinity: Annotated[Any, Kept("@core.v1.VolumeNodeAffinity")] = None

    @property
    def path(self) -> str:
        """Where it lies on this machine."""
        source = self.host_path or self.local
        return source.path if source else ""


class PersistentVolumeStatus(Model):
    phase: str | None = None  # Available, Bound, Released, Failed
    message: str | None = None
    reason: str | None = None
    last_phase_transition_time: Time | None = None


class PersistentVolume(KubeObject):
    PLURAL: ClassVar[str] = "persistentvolumes"
    NAMESPACED: ClassVar[bool] = False
    SHORT: ClassVar[tuple[str, ...]] = ("pv",)

    api_version: str = "v1"
    kind: str = "PersistentVolume"
    spec: PersistentVolumeSpec = PersistentVolumeSpec()
    status: PersistentVolumeStatus = PersistentVolumeStatus()
