"""PersistentVolume (core/v1): says whether a volume is free, taken or left behind, and what becomes of it then.

What this machine provisioned is removed by the agent, with its directory (reclaiming.py there); of others the content
is nobody's to delete here.
"""

from collections.abc import Iterable

from orchestr.api.claim import PersistentVolumeClaim
from orchestr.api.storage import PROVISIONED_BY, PV_PROTECTION, PersistentVolume, PersistentVolumeStatus
from orchestr.engine import By, ControllerCluster, Index, Key, Related, Watches
from orchestr.engine.conditions import second

CLAIMED = "claimed by"  # index of volumes


def _of(claim: PersistentVolumeClaim, index: Index) -> Iterable[Key]:
    """The volume that a claim has or had."""
    return [volume.key for volume in index.by(PersistentVolume, CLAIMED, claim.key)]


def _claims(volume: PersistentVolume) -> Iterable[Key]:
    ref = volume.spec.claim_ref
    return [Key(ref.namespace or "", ref.name or "")] if ref else []


WATCHES = Watches(
    PersistentVolume,
    related=(Related(PersistentVolumeClaim, _of),),
    indexes=(By(PersistentVolume, CLAIMED, _claims),),
)


def state(volume: PersistentVolume, claim: PersistentVolumeClaim | None) -> tuple[str, str]:
    """(phase, message), given the claim that is there under the name in claimRef. Pure."""
    ref = volume.spec.claim_ref
    if ref is None or not ref.uid:
        return "Available", ""
    there = claim is not None and claim.metadata.uid == ref.uid
    if there and claim is not None and claim.spec.volume_name in (None, "", volume.metadata.name):
        return "Bound", ""
    ours = volume.metadata.annotations.get(PROVISIONED_BY)
    if volume.spec.persistent_volume_reclaim_policy == "Delete" and not ours:
        return "Failed", "error getting deleter volume plugin for volume: no deletable volume plugin matched"
    return "Released", ""


async def reconcile(cluster: ControllerCluster, key: Key) -> None:
    volume = await cluster.get(PersistentVolume, key)
    if volume is None:
        return
    claim = next((cluster.one(PersistentVolumeClaim, each) for each in _claims(volume)), None)
    phase, message = state(volume, claim)
    if volume.metadata.deleting:
        if phase != "Bound" and PV_PROTECTION in volume.metadata.finalizers:
            left = tuple(name for name in volume.metadata.finalizers if name != PV_PROTECTION)
            await cluster.update(volume.but(metadata=volume.metadata.but(finalizers=left)))
        return
    if volume.status.phase == phase:
        return  # what others wrote beside it stays
    if phase == "Failed":
        cluster.record(volume, "VolumeFailedDelete", message, warning=True)
    reason = "VolumeFailedDelete" if message else None
    since = second(cluster.now())
    told = PersistentVolumeStatus(phase=phase, message=message or None, reason=reason, last_phase_transition_time=since)
    await cluster.patch_status(volume, told)
