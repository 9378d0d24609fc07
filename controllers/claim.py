"""PersistentVolumeClaim (core/v1): bound to a volume that fits, else to a new directory of this machine.

A volume is taken in one write (its claimRef), so that of two claims one loses and looks again; the rest of the binding
follows from that and can be repeated. Which volume fits and what a new one looks like: fitting.py. Where directories
of this machine lie is said by the Node; the agent makes and removes them. Source: pkg/controller/volume of Kubernetes.
"""

from collections.abc import Iterable
from typing import NamedTuple

from controllers.fitting import (
    BIND_COMPLETED,
    BOUND_BY_US,
    STORAGE_PROVISIONER,
    best,
    class_of,
    mismatch,
    provisioned,
    refer,
    reference,
    size,
)
from orchestr.api.claim import PersistentVolumeClaim, PersistentVolumeClaimStatus
from orchestr.api.core import Node
from orchestr.api.pod import Pod
from orchestr.api.storage import (
    LOCAL,
    PROVISIONED_BY,
    PROVISIONER,
    PVC_PROTECTION,
    PersistentVolume,
    PersistentVolumeStatus,
    StorageClass,
)
from orchestr.engine import AlreadyExists, By, Condition, ControllerCluster, Index, Key, Related, Watches
from orchestr.engine.conditions import second, with_condition, without_condition

USES = "uses claim"  # index of pods
WAITS = "Waiting"  # condition that says why a claim is not bound
NO_CLASS = "no persistent volumes available for this claim and no storage class is set"
CONSUMER = "WaitForFirstConsumer"
ALIASES = (LOCAL, "standard")  # classes that mean a directory of this machine also where nobody made them


def used(pod: Pod) -> Iterable[Key]:
    """The claims that a pod mounts."""
    claims = (volume.persistent_volume_claim for volume in pod.spec.volumes)
    return [Key(pod.key.namespace, claim.claim_name) for claim in claims if claim]


def _unbound(_: StorageClass | Node, index: Index) -> list[Key]:
    return [claim.key for claim in index.all(PersistentVolumeClaim) if claim.status.phase != "Bound"]


def _concerned(volume: PersistentVolume, index: Index) -> Iterable[Key]:
    """The claim that has it, else those that might take it."""
    ref = volume.spec.claim_ref
    if ref is not None:
        return [Key(ref.namespace or "", ref.name or "")]
    claims = index.all(PersistentVolumeClaim)
    named = volume.metadata.name
    return [c.key for c in claims if c.status.phase != "Bound" or c.spec.volume_name == named]


WATCHES = Watches(
    PersistentVolumeClaim,
    related=(
        Related(PersistentVolume, _concerned),
        Related(StorageClass, _unbound),
        Related(Node, _unbound),
        Related(Pod, lambda pod, _: used(pod)),
    ),
    indexes=(By(Pod, USES, used),),
)


class Why(NamedTuple):
    """Why a claim waits."""

    reason: str
    message: str
    warning: bool = True
    phase: str = "Pending"


async def reconcile(cluster: ControllerCluster, key: Key) -> None:
    claim = await cluster.get(PersistentVolumeClaim, key)
    if claim is None:
        return
    if claim.metadata.deleting:
        await _let_go(cluster, claim)
        return
    found = await _volume(cluster, claim)
    if isinstance(found, PersistentVolume):
        await _bind(cluster, claim, found)
        return
    word = Condition(type=WAITS, status="True", reason=found.reason, message=found.message)
    conditions = with_condition(claim.status.conditions, word, cluster.now())
    if conditions != claim.status.conditions:
        cluster.record(claim, found.reason, found.message, warning=found.warning)
    await cluster.patch_status(claim, claim.status.but(phase=found.phase, conditions=conditions))


async def _let_go(cluster: ControllerCluster, claim: PersistentVolumeClaim) -> None:
    """A claim that is being deleted goes when no pod mounts it any more."""
    users = [pod for pod in cluster.by(Pod, USES, claim.key) if pod.spec.node_name and not pod.finished]
    if PVC_PROTECTION in claim.metadata.finalizers and not users:
        left = tuple(name for name in claim.metadata.finalizers if name != PVC_PROTECTION)
        await cluster.update(claim.but(metadata=claim.metadata.but(finalizers=left)))


async def _volume(cluster: ControllerCluster, claim: PersistentVolumeClaim) -> PersistentVolume | Why:
    """The volume that is or becomes the claim's."""
    name, complete = claim.spec.volume_name, BIND_COMPLETED in claim.metadata.annotations
    if not name:
        return await _chosen(cluster, claim)
    volume = cluster.one(PersistentVolume, Key("", name))
    if volume is None:
        text = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        return Why("ClaimLost", text, phase="Lost") if complete else Why("FailedBinding", f"volume {name} not found")
    ref = volume.spec.claim_ref
    if ref is not None and not reference(volume, claim):
        text = f'volume "{name}" already bound to a different claim.'
        return Why("ClaimMisbound", text, phase="Lost") if complete else Why("FailedBinding", text)
    if not complete and ref is None and (why := mismatch(claim, volume)):
        return Why("VolumeMismatch", f'Cannot bind to requested volume "{name}": {why}')
    return volume


async def _chosen(cluster: ControllerCluster, claim: PersistentVolumeClaim) -> PersistentVolume | Why:
    """A volume that is there, or a new one."""
    name = class_of(claim)
    storage = cluster.one(StorageClass, Key("", name)) if name else None
    waits = storage is not None and storage.volume_binding_mode == CONSUMER
    consumed = not waits or any(pod.active for pod in cluster.by(Pod, USES, claim.key))
    found = best(claim, cluster.all(PersistentVolume), reserved_only=not consumed)
    if found is not None:
        return found
    if not consumed:
        return Why(CONSUMER, "waiting for first consumer to be created before binding", warning=False)
    if not name and claim.status.phase != "Bound":  # one that is bound without a volume is of an earlier release
        return Why("FailedBinding", NO_CLASS, warning=False)
    if name and storage is None and name not in ALIASES:
        return Why("ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found (use {LOCAL})')
    if storage is not None and storage.provisioner != PROVISIONER:
        return await _elsewhere(cluster, claim, storage.provisioner)
    if claim.spec.selector is not None and not claim.spec.selector.empty:
        return Why("ProvisioningFailed", "a new volume cannot be chosen by a selector: not supported (leave it out)")
    return await _made(cluster, claim, storage)


async def _elsewhere(cluster: ControllerCluster, claim: PersistentVolumeClaim, provisioner: str) -> Why:
    """Somebody else's class: its provisioner is told, should there be one."""
    if claim.metadata.annotations.get(STORAGE_PROVISIONER) != provisioner:
        annotations = {**claim.metadata.annotations, STORAGE_PROVISIONER: provisioner}
        await cluster.update(claim.but(metadata=claim.metadata.but(annotations=annotations)))
    text = f"waiting for a volume to be created either by the external provisioner '{provisioner}' or by hand"
    return Why("ExternalProvisioning", text, warning=False)


async def _made(
    cluster: ControllerCluster, claim: PersistentVolumeClaim, storage: StorageClass | None
) -> PersistentVolume | Why:
    node = next(iter(cluster.all(Node)), None)
    wanted = provisioned(claim, storage, node) if node is not None else None
    if wanted is None:
        return Why("ProvisioningFailed", "the machine has not said yet where its volumes lie", warning=False)
    try:
        made = await cluster.create(wanted)
    except AlreadyExists:  # by the run before this one; the cache does not have it yet
        there = await cluster.get(PersistentVolume, wanted.key)
        if there is None:
            raise
        return there
    cluster.record(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {made.metadata.name}")
    return made


async def _bind(cluster: ControllerCluster, claim: PersistentVolumeClaim, volume: PersistentVolume) -> None:
    """Each step is skipped when it was done before."""
    ref = volume.spec.claim_ref
    if ref is None or not ref.uid:
        annotations = volume.metadata.annotations if ref else {**volume.metadata.annotations, BOUND_BY_US: "yes"}
        spec = volume.spec.but(claim_ref=refer(claim))
        volume = await cluster.update(volume.but(spec=spec, metadata=volume.metadata.but(annotations=annotations)))
    volume = await _grown(cluster, claim, volume)
    if volume.status.phase != "Bound":
        told = PersistentVolumeStatus(phase="Bound", last_phase_transition_time=second(cluster.now()))
        volume = await cluster.patch_status(volume, told)
    marks = {BIND_COMPLETED: "yes"} if claim.spec.volume_name else {BIND_COMPLETED: "yes", BOUND_BY_US: "yes"}
    if claim.spec.volume_name != volume.metadata.name or BIND_COMPLETED not in claim.metadata.annotations:
        metadata = claim.metadata.but(annotations={**claim.metadata.annotations, **marks})
        named = claim.spec.but(volume_name=volume.metadata.name)
        claim = await cluster.update(claim.but(spec=named, metadata=metadata))
    status = PersistentVolumeClaimStatus(
        phase="Bound",
        access_modes=volume.spec.access_modes,
        capacity=volume.spec.capacity,
        conditions=without_condition(claim.status.conditions, WAITS),
    )
    await cluster.patch_status(claim, status)


async def _grown(
    cluster: ControllerCluster, claim: PersistentVolumeClaim, volume: PersistentVolume
) -> PersistentVolume:
    """A directory of ours is as large as the claim asks: nothing limits it but the disk."""
    ours = volume.metadata.annotations.get(PROVISIONED_BY) == PROVISIONER
    if not ours or size(claim.spec.resources.requests) <= size(volume.spec.capacity):
        return volume
    capacity = {"storage": claim.spec.resources.requests["storage"]}
    return await cluster.update(volume.but(spec=volume.spec.but(capacity=capacity)))
