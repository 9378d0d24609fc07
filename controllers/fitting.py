"""Which volume a claim takes, and what one that is made for it looks like. Pure."""

import os
from collections.abc import Iterable, Mapping
from decimal import Decimal

from orchestr.api.base import ObjectMeta
from orchestr.api.claim import PersistentVolumeClaim
from orchestr.api.core import Node
from orchestr.api.meta import ObjectReference
from orchestr.api.quantity import parse
from orchestr.api.storage import (
    LEGACY_CLASS,
    PROVISIONED_BY,
    PROVISIONER,
    VOLUMES,
    LocalVolumeSource,
    PersistentVolume,
    PersistentVolumeSpec,
    StorageClass,
)

BIND_COMPLETED, BOUND_BY_US = "pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
HOSTNAME = "kubernetes.io/hostname"


def size(amounts: Mapping[str, str]) -> Decimal:
    return parse(amounts.get("storage", "0"))


def class_of(obj: PersistentVolumeClaim | PersistentVolume) -> str:
    return obj.metadata.annotations.get(LEGACY_CLASS) or obj.spec.storage_class_name or ""


def reference(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume is kept for this claim, or bound to it."""
    ref = volume.spec.claim_ref
    return (
        ref is not None
        and (ref.namespace, ref.name) == (claim.metadata.namespace, claim.metadata.name)
        and ref.uid in (None, "", claim.metadata.uid)
    )


def refer(claim: PersistentVolumeClaim) -> ObjectReference:
    return ObjectReference(
        api_version="v1",
        kind="PersistentVolumeClaim",
        namespace=claim.metadata.namespace,
        name=claim.metadata.name,
        uid=claim.metadata.uid,
        resource_version=claim.metadata.resource_version,
    )


def mismatch(claim: PersistentVolumeClaim, volume: PersistentVolume) -> str:
    """Why the claim cannot have the volume; "" when it can."""
    if (claim.spec.volume_mode or "Filesystem") != (volume.spec.volume_mode or "Filesystem"):
        return "incompatible volumeMode"
    if size(claim.spec.resources.requests) > size(volume.spec.capacity):
        return "requested PV is too small"
    if class_of(claim) != class_of(volume):
        return "storageClassName does not match"
    if not set(claim.spec.access_modes) <= set(volume.spec.access_modes):
        return "incompatible accessMode"
    return ""


def best(
    claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume], *, reserved_only: bool = False
) -> PersistentVolume | None:
    """One that names the claim, else the smallest of those that nobody has and that fit."""
    there = [volume for volume in volumes if not volume.metadata.deleting]
    asked = size(claim.spec.resources.requests)
    kept = [volume for volume in there if reference(volume, claim) and size(volume.spec.capacity) >= asked]
    if kept or reserved_only:
        return kept[0] if kept else None
    selector = claim.spec.selector
    fit = [
        volume
        for volume in there
        if volume.spec.claim_ref is None
        and volume.status.phase == "Available"
        and not mismatch(claim, volume)
        and (selector is None or selector.matches(volume.metadata.labels))
    ]
    return min(fit, key=lambda volume: (size(volume.spec.capacity), volume.metadata.name), default=None)


def provisioned(claim: PersistentVolumeClaim, storage: StorageClass | None, node: Node) -> PersistentVolume | None:
    """A new directory of this machine; None as long as the machine does not say where those lie.

    A claim that was bound by an earlier release, which knew no volumes, keeps its directory.
    """
    root, uid = node.metadata.annotations.get(VOLUMES), claim.metadata.uid or ""
    if not root:
        return None
    old = claim.status.phase == "Bound"
    folder = claim.metadata.name if old else f"{claim.metadata.name}-{uid[:8]}"
    here = {"key": HOSTNAME, "operator": "In", "values": [node.metadata.labels.get(HOSTNAME, node.metadata.name)]}
    spec = PersistentVolumeSpec(
        capacity={"storage": claim.spec.resources.requests.get("storage", "0")},
        local=LocalVolumeSource(path=os.path.join(root, claim.metadata.namespace or "", folder)),
        access_modes=claim.spec.access_modes,
        claim_ref=refer(claim),
        persistent_volume_reclaim_policy=(storage.reclaim_policy if storage else None) or "Delete",
        storage_class_name=class_of(claim) or None,
        volume_mode="Filesystem",
        mount_options=storage.mount_options if storage else (),
        node_affinity={"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    )
    metadata = ObjectMeta(name=f"pvc-{uid}", annotations={PROVISIONED_BY: PROVISIONER})
    return PersistentVolume(metadata=metadata, spec=spec)
