"""PersistentVolumeClaim (core/v1): bound at once, for the agent makes its directory when a pod first mounts it."""

from orchestr.api.claim import PersistentVolumeClaim, PersistentVolumeClaimStatus
from orchestr.engine import Condition, ControllerCluster, Key, Watches
from orchestr.engine.conditions import with_condition

CLASSES = ("", "local", "standard")  # all of them mean: a directory of this machine
REFUSED = "ProvisioningFailed"

WATCHES = Watches(PersistentVolumeClaim)


def obstacle(claim: PersistentVolumeClaim) -> str | None:
    """Why the claim cannot be bound here, and what to write; None when it can."""
    spec = claim.spec
    if (spec.storage_class_name or "") not in CLASSES:
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
    why = obstacle(claim)
    if why is None:
        await cluster.patch_status(claim, bound(claim))
        return
    refused = Condition(type=REFUSED, status="True", reason="NotSupported", message=f"cannot bind {claim.ref}: {why}")
    conditions = with_condition(claim.status.conditions, refused, cluster.now())
    if conditions != claim.status.conditions:
        cluster.record(claim, REFUSED, f"cannot bind {claim.ref}: {why}", warning=True)
    await cluster.patch_status(claim, claim.status.but(phase="Pending", conditions=conditions))
