"""Claims and volumes: which goes with which, what is made anew, and what becomes of it afterwards."""

from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from controllers import claim as claims
from controllers import volume as volumes
from controllers.fitting import best, mismatch, size
from controllers.volume import state
from orchestr.api.base import Key, ObjectMeta
from orchestr.api.claim import PersistentVolumeClaim, PersistentVolumeClaimStatus
from orchestr.api.meta import ObjectReference
from orchestr.api.pod import Pod
from orchestr.api.storage import PersistentVolume, PersistentVolumeStatus, StorageClass
from tests.controllers.stored import controlled, gone, until
from tests.controllers.volumes import ROOT, claim, node, volume
from tests.controllers.world import World, world
from tests.engine.fake import eventually


def free(made: PersistentVolume) -> PersistentVolume:
    return made.but(status=PersistentVolumeStatus(phase="Available"))


@given(st.lists(st.integers(1, 9), max_size=6), st.integers(1, 9))
def test_the_smallest_that_is_large_enough(sizes: list[int], asked: int) -> None:
    there = [free(volume(f"v{index}", f"{each}Gi")) for index, each in enumerate(sizes)]
    found = best(claim(size=f"{asked}Gi", cls=""), there)
    fit = [each for each in sizes if each >= asked]
    assert (found and size(found.spec.capacity)) == (min(fit) * 2**30 if fit else None)


@pytest.mark.parametrize(
    ("asked", "there", "why"),
    [
        ({}, {}, ""),
        ({"accessModes": ["ReadWriteMany"]}, {}, "incompatible accessMode"),
        ({}, {"size": "1Mi"}, "too small"),
        ({}, {"cls": "slow"}, "storageClassName does not match"),
        ({"cls": "slow"}, {"cls": "slow"}, ""),
    ],
)
def test_what_does_not_fit(asked: dict[str, Any], there: dict[str, Any], why: str) -> None:
    assert why in mismatch(claim(**{"cls": "", **asked}), volume("v", **there))
    assert (best(claim(**{"cls": "", **asked}), [free(volume("v", **there))]) is None) is bool(why)


def test_a_selector_chooses_and_a_volume_may_be_kept_for_a_claim() -> None:
    there = [free(volume("a")), free(volume("b", "5Gi", labels={"disk": "fast"}))]
    found = best(claim(cls="", selector={"matchLabels": {"disk": "fast"}}), there)
    assert found is not None
    assert found.metadata.name == "b"
    kept = free(volume("c", "9Gi", cls="other", claimRef={"namespace": "ns", "name": "data"}))
    assert best(claim(cls=""), [*there, kept]) is kept
    assert best(claim("other", cls=""), [kept]) is None


def test_phases() -> None:
    owner = claim().but(metadata=ObjectMeta(name="data", namespace="ns", uid="u"))
    ref = ObjectReference(namespace="ns", name="data", uid="u")
    bound = volume("v")
    assert state(bound, None)[0] == "Available"
    bound = bound.but(spec=bound.spec.but(claim_ref=ref))
    assert state(bound, owner)[0] == "Bound"
    assert state(bound, None)[0] == "Released"
    again = owner.but(metadata=owner.metadata.but(uid="other"))
    assert state(bound, again)[0] == "Released"
    deleted = bound.but(spec=bound.spec.but(persistent_volume_reclaim_policy="Delete"))
    assert state(deleted, None)[0] == "Failed"


def phase(it: World, name: str = "data") -> str:
    found = it.cluster.objects.get(PersistentVolumeClaim, {}).get(Key("ns", name))
    return found.status.phase or "" if isinstance(found, PersistentVolumeClaim) else "gone"


def of(it: World) -> dict[str, str]:
    return {each.metadata.name: each.status.phase or "" for each in it.cluster.of(PersistentVolume)}


async def test_a_directory_is_made_for_a_claim_and_given_back(autojump_clock: MockClock) -> None:
    async with world(claims, volumes) as it:
        await it.cluster.create(claim())
        await it.settle()
        assert phase(it) == "Pending"  # the machine has not said where
        await it.cluster.create(node())
        await eventually(lambda: phase(it) == "Bound")
        await it.settle()
        (made,) = it.cluster.of(PersistentVolume)
        bound = it.cluster.objects[PersistentVolumeClaim][Key("ns", "data")]
        uid = bound.metadata.uid
        assert made.metadata.name == f"pvc-{uid}"
        assert bound.spec.volume_name == made.metadata.name
        assert (made.spec.local.path, made.status.phase) == (f"{ROOT}/ns/data-{uid[:8]}", "Bound")
        assert (bound.status.capacity, bound.status.conditions) == ({"storage": "1Gi"}, ())
        spec = bound.spec.resources.but(requests={"storage": "2Gi"})
        await it.cluster.update(bound.but(spec=bound.spec.but(resources=spec)))
        await eventually(lambda: it.cluster.of(PersistentVolumeClaim)[0].status.capacity == {"storage": "2Gi"})
        await it.cluster.delete(it.cluster.of(PersistentVolumeClaim)[0])
        await eventually(lambda: of(it) == {made.metadata.name: "Released"})


async def test_a_claim_of_an_earlier_release_keeps_its_directory(autojump_clock: MockClock) -> None:
    async with world(claims, volumes) as it:
        old = await it.cluster.create(claim())
        await it.cluster.patch_status(old, PersistentVolumeClaimStatus(phase="Bound"))
        await it.cluster.create(node())
        await eventually(lambda: bool(it.cluster.of(PersistentVolumeClaim)[0].spec.volume_name))
        assert it.cluster.of(PersistentVolume)[0].spec.local.path == f"{ROOT}/ns/data"


async def test_of_two_claims_for_one_volume_one_waits(autojump_clock: MockClock) -> None:
    async with world(claims, volumes) as it:
        await it.cluster.create(volume("v"))
        for name in ("a", "b"):
            await it.cluster.create(claim(name, cls=""))
        await eventually(lambda: sorted((phase(it, "a"), phase(it, "b"))) == ["Bound", "Pending"])
        await it.settle()
        assert of(it) == {"v": "Bound"}
        loser = "a" if phase(it, "a") == "Pending" else "b"
        await it.cluster.create(volume("w"))
        await eventually(lambda: phase(it, loser) == "Bound")


async def test_a_volume_that_was_asked_for_by_name(autojump_clock: MockClock) -> None:
    async with world(claims, volumes) as it:
        await it.cluster.create(claim("data", cls="", volumeName="v"))
        await it.cluster.create(claim("big", "5Gi", cls="", volumeName="small"))
        await it.settle()
        assert phase(it) == "Pending"
        for name in ("v", "small"):
            await it.cluster.create(volume(name))
        await eventually(lambda: phase(it) == "Bound")
        await it.settle()
        assert phase(it, "big") == "Pending"
        why = it.cluster.objects[PersistentVolumeClaim][Key("ns", "big")].status.conditions[0]
        assert why.message == 'Cannot bind to requested volume "small": requested PV is too small'
        await it.cluster.delete(it.cluster.objects[PersistentVolume][Key("", "v")])
        await eventually(lambda: phase(it) == "Lost")


async def test_a_class_may_wait_for_the_first_pod(autojump_clock: MockClock) -> None:
    async with world(claims, volumes) as it:
        await it.cluster.create(node())
        late = {"metadata": {"name": "late"}, "provisioner": "orchestr.dev/local-directory"}
        late |= {"volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Retain"}
        await it.cluster.create(StorageClass.model_validate(late))
        await it.cluster.create(claim(cls="late"))
        await it.settle()
        assert it.cluster.of(PersistentVolumeClaim)[0].status.conditions[0].reason == "WaitForFirstConsumer"
        await it.cluster.create(mounting())
        await eventually(lambda: phase(it) == "Bound")
        assert it.cluster.of(PersistentVolume)[0].spec.persistent_volume_reclaim_policy == "Retain"


def mounting(namespace: str = "ns") -> Pod:
    spec = {"containers": [{"name": "c", "image": "v1"}]}
    spec["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]  # type: ignore[list-item]
    return Pod.model_validate({"metadata": {"name": "p", "namespace": namespace}, "spec": spec})


async def test_a_claim_in_use_goes_with_its_last_pod(tmp_path: Path) -> None:
    async with controlled(tmp_path / "db", claims, volumes) as cluster:
        await cluster.create(node())
        wanted = await cluster.create(claim(namespace="default"))
        assert wanted.metadata.finalizers == ("kubernetes.io/pvc-protection",)

        async def bound() -> bool:
            found = await cluster.get(PersistentVolumeClaim, wanted.key)
            return found is not None and found.status.phase == "Bound"

        await until(cluster, PersistentVolumeClaim, bound)
        user = await cluster.create(mounting("default"))
        await cluster.delete(wanted)
        with trio.move_on_after(0.2):
            await gone(cluster, wanted)
        assert await bound()
        await cluster.delete(user, grace=0)
        await gone(cluster, wanted)

        async def released() -> bool:
            return [each.status.phase for each in await cluster.list(PersistentVolume)] == ["Released"]

        await until(cluster, PersistentVolume, released)
        (left,) = await cluster.list(PersistentVolume)
        await cluster.delete(left)
        await gone(cluster, left)


async def test_somebody_elses_class_is_left_to_its_provisioner(autojump_clock: MockClock) -> None:
    async with world(claims, volumes) as it:
        theirs = {"metadata": {"name": "theirs"}, "provisioner": "example.org/disks"}
        await it.cluster.create(StorageClass.model_validate(theirs))
        await it.cluster.create(claim(cls="theirs"))
        await it.settle()
        waiting = it.cluster.of(PersistentVolumeClaim)[0]
        assert waiting.metadata.annotations["volume.kubernetes.io/storage-provisioner"] == "example.org/disks"
        ref = {"namespace": "ns", "name": "data", "uid": waiting.metadata.uid}
        await it.cluster.create(volume("made", cls="theirs", claimRef=ref))
        await eventually(lambda: phase(it) == "Bound")


async def test_what_others_write_into_the_status_stays(autojump_clock: MockClock) -> None:
    async with world(claims, volumes) as it:
        made = await it.cluster.create(volume("v"))
        await eventually(lambda: of(it) == {"v": "Available"})
        there = it.cluster.objects[PersistentVolume][made.key]
        assert there.status.last_phase_transition_time is not None
        await it.cluster.patch_status(there, there.status.but(message="mine"))
        await it.settle()
        assert it.cluster.objects[PersistentVolume][made.key].status.message == "mine"
