"""The pods of a StatefulSet and their claims: names, identity, storage, and how long a claim is kept. Pure."""

from collections.abc import Callable, Iterable, Sequence

from controllers.pods import pod_of
from controllers.revisions import template_of
from orchestr.api.base import Key, KubeObject, ObjectMeta, OwnerReference
from orchestr.api.claim import PersistentVolumeClaim
from orchestr.api.pod import Pod, PodSpec
from orchestr.api.statefulset import POD_INDEX, POD_NAME, REVISION_LABEL, StatefulSet
from orchestr.api.templates import ControllerRevision
from orchestr.api.volume import PersistentVolumeClaimVolumeSource, Volume


def ordinal(sts: StatefulSet, name: str) -> int | None:
    """Which of its pods has this name."""
    parent, _, number = name.rpartition("-")
    return int(number) if parent == sts.metadata.name and number.isascii() and number.isdecimal() else None


def member(sts: StatefulSet) -> Callable[[Pod], bool]:
    """Whether a pod may be one of the set, by its name."""
    return lambda each: ordinal(sts, each.metadata.name) is not None


def pod(sts: StatefulSet, number: int, revision: ControllerRevision) -> Pod:
    """The pod of this number, with the template of a revision."""
    name = f"{sts.metadata.name}-{number}"
    labels = {**identity(sts, number), REVISION_LABEL: revision.metadata.name}
    made = pod_of(sts, template_of(revision), name, labels)
    spec = made.spec.but(hostname=name, subdomain=sts.spec.service_name or None, volumes=_volumes(sts, made.spec, name))
    return made.but(spec=spec)


def identity(sts: StatefulSet, number: int) -> dict[str, str]:
    return {POD_NAME: f"{sts.metadata.name}-{number}", POD_INDEX: str(number)}


def _volumes(sts: StatefulSet, spec: PodSpec, name: str) -> tuple[Volume, ...]:
    """Those of the template, and a claim in the place of each that a claim template names."""
    names = [claim.metadata.name for claim in sts.spec.volume_claim_templates]
    claims = tuple(
        Volume(name=each, persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=f"{each}-{name}"))
        for each in names
    )
    return (*claims, *(volume for volume in spec.volumes if volume.name not in names))


def claim_keys(sts: StatefulSet, number: int) -> list[Key]:
    """Of the claims of the pod of this number."""
    stem, namespace = f"{sts.metadata.name}-{number}", sts.key.namespace
    return [Key(namespace, f"{claim.metadata.name}-{stem}") for claim in sts.spec.volume_claim_templates]


def claims(sts: StatefulSet, number: int) -> list[PersistentVolumeClaim]:
    """The claims of the pod of this number, as they are made."""
    keeps = sts.spec.persistent_volume_claim_retention_policy.when_deleted == "Retain"
    return [
        PersistentVolumeClaim(
            metadata=ObjectMeta(
                name=key.name,
                namespace=sts.metadata.namespace,
                labels={**template.metadata.labels, **sts.spec.selector.match_labels},
                annotations=template.metadata.annotations,
                finalizers=template.metadata.finalizers,
                owner_references=() if keeps else (sts.owner_reference(),),
            ),
            spec=template.spec,
        )
        for key, template in zip(claim_keys(sts, number), sts.spec.volume_claim_templates, strict=True)
    ]


def owners(
    sts: StatefulSet, claim: PersistentVolumeClaim, owner: Pod, *, condemned: bool
) -> tuple[OwnerReference, ...]:
    """The owners that a claim should have: the set, where claims go with it; a pod that is scaled away, with it.

    A claim that another controller has is left to that.
    """
    if (other := claim.metadata.controller) is not None and not _managed(sts, other):
        return claim.metadata.owner_references
    policy = sts.spec.persistent_volume_claim_retention_policy
    going = condemned and policy.when_scaled == "Delete"
    wanted: list[KubeObject] = [owner] if going else [sts] if policy.when_deleted == "Delete" else []
    uids = [each.metadata.uid for each in wanted]
    there = claim.metadata.owner_references
    kept = [ref for ref in there if ref.uid in uids or not _managed(sts, ref)]
    missing = (each.owner_reference() for each in wanted if all(each.metadata.uid != ref.uid for ref in there))
    return (*kept, *missing)


def _managed(sts: StatefulSet, ref: OwnerReference) -> bool:
    """Whether the reference is one that a StatefulSet gives: to itself, or to a pod of this set."""
    return ref.uid == sts.metadata.uid or (ref.kind == "Pod" and ordinal(sts, ref.name) is not None)


def parted(sts: StatefulSet, pods: Iterable[Pod]) -> tuple[dict[int, Pod], list[Pod]]:
    """(the pods that should be there by number, those beyond, highest first)"""
    numbered = {number: each for each in pods if (number := ordinal(sts, each.metadata.name)) is not None}
    wanted = range(sts.spec.first, sts.spec.first + sts.spec.replicas)
    beyond = sorted((number for number in numbered if number not in wanted), reverse=True)
    return {n: each for n, each in numbered.items() if n in wanted}, [numbered[number] for number in beyond]


def misnamed(sts: StatefulSet, pods: Sequence[Pod]) -> list[Pod]:
    """Pods whose labels do not say who they are, with the labels that do."""
    found = []
    for each in pods:
        number, meta = ordinal(sts, each.metadata.name), each.metadata
        labels = {**meta.labels, **identity(sts, number)} if number is not None else meta.labels
        if labels != meta.labels and not meta.deleting:
            found.append(each.but(metadata=meta.but(labels=labels)))
    return found
