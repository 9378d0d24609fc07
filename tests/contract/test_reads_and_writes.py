"""What every Cluster promises about single objects: see orchestr/engine/cluster.py."""

import pytest
from pydantic import ValidationError

from orchestr.api.base import Key, ObjectMeta
from orchestr.api.core import ConfigMap, Namespace, Pod, PodStatus
from orchestr.api.errors import AlreadyExists, BadRequest, Conflict, Forbidden, Invalid, NotFound
from orchestr.engine import Cluster, Propagation


def config(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default"), data=data)


def pod(name: str, **meta: object) -> Pod:
    spec = {"containers": [{"name": "main", "image": "local/host"}]}
    return Pod.model_validate({"metadata": {"name": name, "namespace": "default", **meta}, "spec": spec})


async def test_what_is_created_comes_back_as_stored_and_is_found(cluster: Cluster) -> None:
    made = await cluster.create(config("a", k="v"))
    assert made.metadata.uid
    assert int(made.metadata.resource_version or 0) > 0
    assert made.metadata.creation_timestamp is not None
    assert await cluster.get(ConfigMap, Key("default", "a")) == made
    assert list(await cluster.list(ConfigMap, namespace="default")) == [made]


async def test_a_name_that_is_taken_is_refused(cluster: Cluster) -> None:
    await cluster.create(config("a"))
    with pytest.raises(AlreadyExists):
        await cluster.create(config("a"))


async def test_generate_name_gives_different_names(cluster: Cluster) -> None:
    template = ConfigMap(metadata=ObjectMeta(generate_name="a-", namespace="default"))
    names = {(await cluster.create(template)).metadata.name for _ in range(5)}
    assert len(names) == 5
    assert all(name.startswith("a-") for name in names)


async def test_what_is_not_there_is_none_to_get_and_not_found_to_writes(cluster: Cluster) -> None:
    assert await cluster.get(ConfigMap, Key("default", "a")) is None
    with pytest.raises(NotFound):
        await cluster.update(config("a"))
    with pytest.raises(NotFound):
        await cluster.patch(ConfigMap, Key("default", "a"), {})
    await cluster.delete(config("a"))  # already gone is fine


async def test_objects_are_frozen(cluster: Cluster) -> None:
    made = await cluster.create(config("a"))
    with pytest.raises(ValidationError):
        made.data = {}  # type: ignore[misc]


async def test_update_with_an_old_resource_version_conflicts(cluster: Cluster) -> None:
    first = await cluster.create(config("a", k="1"))
    second = await cluster.update(first.but(data={"k": "2"}))
    with pytest.raises(Conflict):
        await cluster.update(first.but(data={"k": "3"}))
    third = await cluster.update(config("a", k="3"))  # without a resourceVersion: unconditional
    assert int(third.metadata.resource_version or 0) > int(second.metadata.resource_version or 0)
    assert third.metadata.uid == first.metadata.uid


async def test_a_write_that_changes_nothing_writes_nothing(cluster: Cluster) -> None:
    made = await cluster.create(config("a", x="1", y="2"))
    assert await cluster.update(config("a", y="2", x="1")) == made
    assert await cluster.patch(ConfigMap, made.key, {"data": {"x": "1"}}) == made
    created = await cluster.create(pod("p"))
    assert await cluster.patch_status(created, created.status) == created


async def test_merge_patch_merges_and_null_removes(cluster: Cluster) -> None:
    await cluster.create(config("a", x="1", y="2"))
    patched = await cluster.patch(ConfigMap, Key("default", "a"), {"data": {"x": None, "z": "3"}})
    assert patched.data == {"y": "2", "z": "3"}
    with pytest.raises(Conflict):
        await cluster.patch(ConfigMap, patched.key, {"metadata": {"resourceVersion": "1"}, "data": {"q": "1"}})
    with pytest.raises((Invalid, BadRequest)):  # over HTTP it is fieldValidation that refuses
        await cluster.patch(ConfigMap, patched.key, {"datum": {"q": "1"}})


async def test_update_keeps_status_and_patch_status_keeps_spec(cluster: Cluster) -> None:
    made = await cluster.create(pod("p"))
    running = await cluster.patch_status(made, PodStatus(phase="Running"))
    assert running.status.phase == "Running"
    assert running.spec == made.spec
    assert running.metadata.generation == made.metadata.generation == 1
    again = await cluster.update(
        running.but(
            status=PodStatus(phase="Failed"), metadata=made.metadata.but(labels={"a": "b"}, resource_version=None)
        )
    )
    assert again.status.phase == "Running"
    assert again.metadata.labels == {"a": "b"}


async def test_patch_status_is_for_the_object_with_this_uid(cluster: Cluster) -> None:
    first = await cluster.create(pod("p"))
    await cluster.delete(first, grace=0)
    await cluster.create(pod("p"))
    with pytest.raises(NotFound):
        await cluster.patch_status(first, PodStatus(phase="Failed"))
    await cluster.delete(first, grace=0)
    assert await cluster.get(Pod, first.key) is not None  # another object of the same name stays


async def test_generation_counts_changes_of_the_spec_only(cluster: Cluster) -> None:
    made = await cluster.create(pod("p"))
    labelled = await cluster.patch(Pod, made.key, {"metadata": {"labels": {"a": "b"}}})
    assert labelled.metadata.generation == 1
    changed = await cluster.patch(Pod, made.key, {"spec": {"activeDeadlineSeconds": 9}})
    assert changed.metadata.generation == 2


async def test_list_by_namespace_labels_and_owner(cluster: Cluster) -> None:
    await cluster.create(Namespace(metadata=ObjectMeta(name="other")))
    owner = await cluster.create(config("owner"))
    mine = await cluster.create(pod("a", labels={"x": "1", "y": "1"}, ownerReferences=[owner.owner_reference().wire()]))
    await cluster.create(pod("b", labels={"x": "1"}))
    elsewhere = await cluster.create(pod("c", namespace="other"))
    assert list(await cluster.list(Pod, labels={"x": "1", "y": "1"})) == [mine]
    assert list(await cluster.list(Pod, owner=owner)) == [mine]
    assert list(await cluster.list(Pod, namespace="other")) == [elsewhere]
    assert [each.metadata.name for each in await cluster.list(Pod)] == ["a", "b", "c"]


async def test_a_namespace_has_to_be_there(cluster: Cluster) -> None:
    with pytest.raises(NotFound):
        await cluster.create(pod("p", namespace="nowhere"))


async def test_a_namespace_that_goes_accepts_nothing_new(cluster: Cluster) -> None:
    space = await cluster.create(Namespace(metadata=ObjectMeta(name="going")))
    await cluster.create(pod("p", namespace="going"))
    await cluster.delete(space)
    left = await cluster.get(Namespace, space.key)
    assert left is not None
    assert left.status.phase == "Terminating"
    with pytest.raises(Forbidden, match="because it is being terminated"):
        await cluster.create(pod("q", namespace="going"))
    assert await cluster.update(left.but(spec=left.spec.but(finalizers=())))
    assert await cluster.get(Namespace, space.key) is None


async def test_a_pod_with_a_node_is_only_marked_until_the_agent_is_done(cluster: Cluster) -> None:
    made = await cluster.create(pod("p"))
    assert made.spec.node_name
    await cluster.delete(made)
    marked = await cluster.get(Pod, made.key)
    assert marked is not None
    assert marked.metadata.deleting
    assert marked.metadata.deletion_grace_period_seconds == 30
    assert not marked.active
    await cluster.delete(marked, grace=0)
    assert await cluster.get(Pod, made.key) is None


async def test_finalizers_hold_an_object(cluster: Cluster) -> None:
    made = await cluster.create(ConfigMap(metadata=ObjectMeta(name="a", namespace="default", finalizers=("x/hold",))))
    await cluster.delete(made)
    held = await cluster.get(ConfigMap, made.key)
    assert held is not None
    assert held.metadata.deleting
    with pytest.raises(Invalid):
        await cluster.patch(ConfigMap, made.key, {"metadata": {"finalizers": ["x/hold", "x/more"]}})
    await cluster.patch(ConfigMap, made.key, {"metadata": {"finalizers": None}})
    assert await cluster.get(ConfigMap, made.key) is None


async def test_orphaned_dependents_lose_their_owner(cluster: Cluster) -> None:
    owner = await cluster.create(config("owner"))
    child = await cluster.create(pod("a", ownerReferences=[owner.owner_reference().wire()]))
    await cluster.delete(owner, propagation=Propagation.ORPHAN)
    assert await cluster.get(ConfigMap, owner.key) is None
    left = await cluster.get(Pod, child.key)
    assert left is not None
    assert left.metadata.owner_references == ()


async def test_foreground_deletion_waits_for_dependents(cluster: Cluster) -> None:
    owner = await cluster.create(config("owner"))
    await cluster.create(pod("a", ownerReferences=[owner.owner_reference().wire()]))
    await cluster.delete(owner, propagation=Propagation.FOREGROUND)
    held = await cluster.get(ConfigMap, owner.key)
    assert held is not None
    assert held.metadata.finalizers == ("foregroundDeletion",)


async def test_names_must_be_valid(cluster: Cluster) -> None:
    with pytest.raises(Invalid):
        await cluster.create(config("Not A Name"))
