"""PersistentVolumeClaim (core/v1): bound at once, for the agent makes its directory when a pod first mounts it."""

from orchestr.api.claim import PersistentVolumeClaim, PersistentVolumeClaimStatus
from orchestr.api.storage import PROVISIONER, StorageClass
from orchestr.engine import Condition, ControllerCluster, Index, Key, Related, Watches
from orchestr.engine.conditions import with_condition

CLASSES = ("", "local", "standard")  # all of them mean: a directory of this machine, also without a StorageClass
REFUSED = "ProvisioningFailed"


def _waiting(storage: StorageClass, index: Index) -> list[Key]:
    """Claims that name the class and are not bound yet."""
    claims = index.all(PersistentVolumeClaim)
    name = storage.metadata.name
    return [c.key for c in claims if c.spec.storage_class_name == name and c.status.phase != "Bound"]


WATCHES = Watches(PersistentVolumeClaim, related=(Related(StorageClass, _waiting),))


def obstacle(claim: PersistentVolumeClaim, storage: StorageClass | None = None) -> str | None:
    """Why the claim cannot be bound here, and what to write; None when it can. `storage` is the class that it names."""
    spec = claim.spec
    if storage is not None and storage.provisioner != PROVISIONER:
        return (
            f"provisioner {storage.provisioner} of class {storage.metadata.name} is not supported (use {PROVISIONER})"
        )
    if storage is None and (spec.storage_class_name or "") not in CLASSES:
        return f"storageClassName {spec.storage_class_name!r} is not supported (leave it out, or write local)"
    if spec.volume_mode not in (None, "Filesystem"):
        return f"volumeMode {spec.volume_mode} is not supported (write Filesystem)"
    if spec.volume_name:
        return "choosing a volume by volumeName is not supported (leave it out)"
    return None


def bound(claim: PersistentVolumeClaim) -> PersistentVolumeClaimStatus:
    return PersistentVolumeClaimStatus(
        phase="Bound", access_modes=claim.spec.access_modes, capacity=claim.spec.resources.requests
    )


async def reconcile(cluster: ControllerCluster, key: Key) -> None:
    claim = await cluster.get(PersistentVolumeClaim, key)
    if claim is None or claim.metadata.deleting:
        return
    name = claim.spec.storage_class_name
    why = obstacle(claim, cluster.one(StorageClass, Key("", name)) if name else None)
    if why is None:
        await cluster.patch_status(claim, bound(claim))
        return
    refused = Condition(type=REFUSED, status="True", reason="NotSupported", message=f"cannot bind {claim.ref}: {why}")
    conditions = with_condition(claim.status.conditions, refused, cluster.now())
    if conditions != claim.status.conditions:
        cluster.record(claim, REFUSED, f"cannot bind {claim.ref}: {why}", warning=True)
    await cluster.patch_status(claim, claim.status.but(phase="Pending", conditions=conditions))
