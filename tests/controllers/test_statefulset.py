from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from controllers import statefulset as controller
from controllers.revisions import data_of, revision_of, template_of
from controllers.statefulset import difference
from orchestr.api.base import Key, ObjectMeta
from orchestr.api.claim import PersistentVolumeClaim
from orchestr.api.config import ConfigMap
from orchestr.api.pod import Pod
from orchestr.api.statefulset import (
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetOrdinals,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetUpdateStrategy,
)
from orchestr.api.templates import ControllerRevision
from tests.controllers.strategies import pods
from tests.controllers.world import World, stateful_set, template, world
from tests.engine.fake import START, eventually

KEY = Key("ns", "db")
REVISION = "controller-revision-hash"


def the(w: World) -> StatefulSet:
    return w.cluster.objects[StatefulSet][KEY]  # type: ignore[return-value]


def names(w: World, kind: type[Any] = Pod) -> list[str]:
    return sorted(obj.metadata.name for obj in w.cluster.of(kind))


def images(w: World) -> dict[str, str]:
    return {pod.metadata.name: pod.spec.containers[0].image for pod in sorted(w.cluster.of(Pod), key=lambda p: p.key)}


async def scale(w: World, replicas: int) -> None:
    await w.cluster.patch(StatefulSet, KEY, {"spec": {"replicas": replicas}})


async def roll(w: World, image: str) -> None:
    await w.cluster.patch(StatefulSet, KEY, {"spec": {"template": template("db", image).wire()}})


def strategy(**rolling: Any) -> StatefulSetUpdateStrategy:
    return StatefulSetUpdateStrategy(rolling_update=RollingUpdateStatefulSetStrategy(**rolling))


ON_DELETE = StatefulSetUpdateStrategy(type="OnDelete")


async def test_pods_come_in_order_and_go_in_reverse(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        made: list[str] = []

        def check() -> None:
            verb, ref = w.cluster.writes[-1]
            if verb in ("create", "delete") and ref.startswith("pod/"):
                made.append(f"{verb} {ref[4:]}")
                pods = {pod.metadata.name: pod for pod in w.cluster.of(Pod)}
                if verb == "create":
                    assert all(pods[f"db-{i}"].ready for i in range(int(ref[-1])))

        w.cluster.after_write = check
        await w.cluster.create(stateful_set("db", 3))
        await w.settle()
        assert made == ["create db-0", "create db-1", "create db-2"]
        await scale(w, 1)
        await w.settle()
        assert [each for each in made[3:] if each.startswith("delete")] == ["delete db-2"] * 2 + ["delete db-1"] * 2
        assert names(w) == ["db-0"]
        status = the(w).status
        assert (status.replicas, status.ready_replicas, status.available_replicas) == (1, 1, 1)
        assert (status.current_replicas, status.updated_replicas, status.observed_generation) == (1, 1, 2)
        assert status.current_revision == status.update_revision == names(w, ControllerRevision)[0]


async def test_a_pod_says_who_it_is(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(stateful_set("db", 2, claims=["data"], ordinals=StatefulSetOrdinals(start=5)))
        await w.settle()
        assert names(w) == ["db-5", "db-6"]
        pod = w.cluster.objects[Pod][Key("ns", "db-6")]
        assert (pod.spec.hostname, pod.spec.subdomain) == ("db-6", "db")  # type: ignore[attr-defined]
        labels = pod.metadata.labels
        assert labels["statefulset.kubernetes.io/pod-name"] == "db-6"
        assert labels["apps.kubernetes.io/pod-index"] == "6"
        assert labels[REVISION] == the(w).status.current_revision
        [volume] = pod.spec.volumes  # type: ignore[attr-defined]
        assert (volume.name, volume.persistent_volume_claim.claim_name) == ("data", "data-db-6")
        assert names(w, PersistentVolumeClaim) == ["data-db-5", "data-db-6"]


async def test_one_that_is_not_ready_holds_up_those_after_it(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.healthy = lambda pod: pod.metadata.name != "db-1"
        await w.cluster.create(stateful_set("db", 3))
        await w.settle()
        assert names(w) == ["db-0", "db-1"]
        await w.kubelet.set(w.cluster.objects[Pod][Key("ns", "db-1")], "Running", ready=True)  # type: ignore[arg-type]
        await w.settle()
        assert names(w) == ["db-0", "db-1", "db-2"]


async def test_in_parallel_nothing_waits(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.healthy = lambda pod: False
        await w.cluster.create(stateful_set("db", 3, pod_management_policy="Parallel"))
        await w.settle()
        assert names(w) == ["db-0", "db-1", "db-2"]
        await scale(w, 0)
        await w.settle()
        assert names(w) == []


async def test_pods_that_ended_are_made_anew_under_their_name(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(stateful_set("db", 2))
        await w.settle()
        old = w.cluster.objects[Pod][Key("ns", "db-0")]
        await w.kubelet.set(old, "Failed", ready=False)  # type: ignore[arg-type]
        await w.settle()
        new = w.cluster.objects[Pod][Key("ns", "db-0")]
        assert new.ready  # type: ignore[attr-defined]
        assert new.metadata.uid != old.metadata.uid


async def test_a_new_template_rolls_from_the_last_to_the_first(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(stateful_set("db", 3))
        await w.settle()
        first = the(w).status.current_revision
        least = 3
        order: list[str] = []

        def check() -> None:
            nonlocal least
            least = min(least, sum(pod.ready and not pod.metadata.deleting for pod in w.cluster.of(Pod)))
            verb, ref = w.cluster.writes[-1]
            order.extend([ref] if verb == "create" and ref.startswith("pod/") else [])

        w.cluster.after_write = check
        await roll(w, "v2")
        await w.settle()
        assert order == ["pod/db-2", "pod/db-1", "pod/db-0"]
        assert least == 2
        assert set(images(w).values()) == {"v2"}
        status = the(w).status
        assert status.current_revision == status.update_revision != first
        assert (status.current_replicas, status.updated_replicas) == (3, 3)
        await roll(w, "v1")
        await w.settle()
        assert the(w).status.current_revision == first  # the old revision again, under a new number
        revisions = {each.metadata.name: each.revision for each in w.cluster.of(ControllerRevision)}
        assert sorted(revisions.values()) == [2, 3]
        assert revisions[first] == 3  # type: ignore[index]


async def test_the_partition_keeps_the_first_pods_as_they_are(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(stateful_set("db", 3, update_strategy=strategy(partition=2)))
        await w.settle()
        await roll(w, "v2")
        await w.settle()
        assert images(w) == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
        status = the(w).status
        assert status.current_revision != status.update_revision
        assert (status.current_replicas, status.updated_replicas) == (2, 1)
        for name in ("db-0", "db-2"):  # each comes back with the template that belongs to it
            await w.cluster.delete(w.cluster.objects[Pod][Key("ns", name)])
        await w.settle()
        assert images(w) == {"db-0": "v1", "db-1": "v1", "db-2": "v2"}
        await w.cluster.patch(StatefulSet, KEY, {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})
        await w.settle()
        assert set(images(w).values()) == {"v2"}
        assert the(w).status.current_revision == the(w).status.update_revision


async def test_max_unavailable_takes_several_at_a_time(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        policy = "Parallel"
        await w.cluster.create(
            stateful_set("db", 4, update_strategy=strategy(max_unavailable="50%"), pod_management_policy=policy)
        )
        await w.settle()
        least = 4

        def check() -> None:
            nonlocal least
            least = min(least, sum(pod.ready and not pod.metadata.deleting for pod in w.cluster.of(Pod)))

        w.cluster.after_write = check
        await roll(w, "v2")
        await w.settle()
        assert least == 2
        assert set(images(w).values()) == {"v2"}


async def test_in_parallel_a_broken_template_can_be_mended(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        w.kubelet.healthy = lambda pod: pod.spec.containers[0].image != "broken"
        await w.cluster.create(stateful_set("db", 3, pod_management_policy="Parallel"))
        await w.settle()
        await roll(w, "broken")
        await w.settle()
        assert images(w) == {"db-0": "v1", "db-1": "v1", "db-2": "broken"}
        await roll(w, "v2")
        await w.settle()
        assert set(images(w).values()) == {"v2"}


async def test_on_delete_waits_for_whoever_deletes(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(stateful_set("db", 2, update_strategy=ON_DELETE))
        await w.settle()
        await roll(w, "v2")
        await w.settle()
        assert set(images(w).values()) == {"v1"}
        await w.cluster.delete(w.cluster.objects[Pod][Key("ns", "db-0")])
        await w.settle()
        assert images(w) == {"db-0": "v2", "db-1": "v1"}


async def test_the_history_is_limited_and_keeps_what_is_in_use(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(stateful_set("db", 1, revision_history_limit=2))
        for number in range(2, 7):
            await w.settle()
            await roll(w, f"v{number}")
        await w.settle()
        kept = sorted(w.cluster.of(ControllerRevision), key=lambda each: each.revision)
        assert [template_of(each).spec.containers[0].image for each in kept] == ["v4", "v5", "v6"]


async def test_min_ready_seconds_make_the_next_wait(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(stateful_set("db", 2, min_ready_seconds=30))
        await eventually(lambda: the(w).status.ready_replicas == 1, within=10)
        assert the(w).status.available_replicas == 0
        await eventually(lambda: names(w) == ["db-0", "db-1"], within=40)
        await w.settle()
        first, second = (w.cluster.objects[Pod][Key("ns", name)] for name in names(w))
        assert second.metadata.created - first.metadata.created >= timedelta(seconds=30)


@pytest.mark.parametrize(
    ("deleted", "scaled", "kept"),
    [
        ("Retain", "Retain", [2, 2]),
        ("Retain", "Delete", [1, 1]),
        ("Delete", "Retain", [2, 0]),
        ("Delete", "Delete", [1, 0]),
    ],
)
async def test_claims_stay_as_long_as_the_policy_says(
    autojump_clock: MockClock, deleted: str, scaled: str, kept: list[int]
) -> None:
    policy = StatefulSetPersistentVolumeClaimRetentionPolicy(when_deleted=deleted, when_scaled=scaled)
    async with world(controller) as w:
        made = stateful_set("db", 2, claims=["data"], persistent_volume_claim_retention_policy=policy)
        await w.cluster.create(made)
        await w.settle()
        counts = []
        await scale(w, 1)
        await w.settle()
        counts.append(len(w.cluster.of(PersistentVolumeClaim)))
        await w.cluster.delete(the(w))
        await w.settle()
        counts.append(len(w.cluster.of(PersistentVolumeClaim)))
        assert counts == kept


async def test_a_claim_of_another_controller_stays(autojump_clock: MockClock) -> None:
    policy = StatefulSetPersistentVolumeClaimRetentionPolicy(when_deleted="Delete", when_scaled="Delete")
    async with world(controller) as w:
        other = await w.cluster.create(ConfigMap(metadata=ObjectMeta(name="other", namespace="ns")))
        meta = ObjectMeta(name="data-db-0", namespace="ns", owner_references=(other.owner_reference(),))
        await w.cluster.create(PersistentVolumeClaim(metadata=meta))
        made = stateful_set("db", 1, claims=["data"], persistent_volume_claim_retention_policy=policy)
        await w.cluster.create(made)
        await w.settle()
        await scale(w, 0)
        await w.settle()
        assert [each.metadata.owner_references for each in w.cluster.of(PersistentVolumeClaim)] == [
            (other.owner_reference(),)
        ]


async def test_the_same_claim_serves_the_pod_that_comes_back(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(stateful_set("db", 2, claims=["data"]))
        await w.settle()
        uids = {claim.metadata.name: claim.metadata.uid for claim in w.cluster.of(PersistentVolumeClaim)}
        await scale(w, 0)
        await w.settle()
        await scale(w, 2)
        await w.settle()
        assert {claim.metadata.name: claim.metadata.uid for claim in w.cluster.of(PersistentVolumeClaim)} == uids


async def test_it_adopts_by_name_and_lets_go_by_label(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        await w.cluster.create(stateful_set("db", 1))
        await w.settle()
        pod: Any = w.cluster.objects[Pod][Key("ns", "db-0")]
        await w.cluster.patch(Pod, pod.key, {"metadata": {"ownerReferences": None}})
        await w.settle()
        assert w.cluster.objects[Pod][pod.key].metadata.controller.name == "db"  # type: ignore[union-attr]
        await w.cluster.patch(Pod, pod.key, {"metadata": {"labels": {"app": "other"}}})
        await eventually(lambda: w.cluster.objects[Pod][pod.key].metadata.controller is None, within=10)
        await w.cluster.patch(Pod, pod.key, {"metadata": {"labels": {"app": "db"}}})
        await eventually(lambda: w.cluster.objects[Pod][pod.key].metadata.controller is not None, within=10)


async def test_a_revision_of_another_form_does_no_harm(autojump_clock: MockClock) -> None:
    async with world(controller) as w:
        meta = ObjectMeta(name="db-strange", namespace="ns", labels={"app": "db"})
        await w.cluster.create(ControllerRevision(metadata=meta, data={"spec": 3}, revision=7))
        await w.cluster.create(stateful_set("db", 1))
        await w.settle()
        assert the(w).status.ready_replicas == 1
        assert max(each.revision for each in w.cluster.of(ControllerRevision)) == 8


def test_a_revision_brings_the_template_back() -> None:
    sts = stateful_set("db", image="v7")
    revision = revision_of(sts, 1)
    assert template_of(revision) == sts.spec.template
    assert revision.data == data_of(sts.spec.template)
    assert revision.data["spec"]["template"]["$patch"] == "replace"


sets = st.builds(
    stateful_set,
    st.just("db"),
    st.integers(0, 4),
    pod_management_policy=st.sampled_from(["OrderedReady", "Parallel"]),
    update_strategy=st.sampled_from([strategy(), strategy(partition=1), strategy(max_unavailable=2), ON_DELETE]),
)


@given(sets, st.lists(st.tuples(st.integers(0, 5), pods(), st.booleans()), max_size=5, unique_by=lambda t: t[0]))
def test_never_two_of_a_name_and_one_step_at_a_time(sts: StatefulSet, found: list[tuple[int, Pod, bool]]) -> None:
    old, new = revision_of(sts, 1), revision_of(stateful_set("db", image="v2"), 2)
    there = []
    for number, pod, current in found:
        labels = {REVISION: (old if current else new).metadata.name}
        there.append(pod.but(metadata=pod.metadata.but(name=f"db-{number}", labels=labels)))
    todo = difference(sts, there, old, new, START + timedelta(hours=1))
    taken = {pod.metadata.name for pod in there}
    assert not taken & {pod.metadata.name for pod in todo.create}
    assert all(not pod.metadata.deleting for pod in todo.delete)
    if sts.spec.pod_management_policy == "OrderedReady":
        assert len(todo.create) <= 1
        limit = 2 if sts.spec.update_strategy == strategy(max_unavailable=2) else 1
        assert len(todo.delete) <= limit
    final = {pod.metadata.name for pod in (*there, *todo.create)}
    assert len(final) <= len(taken) + sts.spec.replicas
