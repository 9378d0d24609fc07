from datetime import timedelta
from pathlib import Path

import trio

from controllers import garbage
from orchestr.api.base import Key, ObjectMeta
from orchestr.api.core import ConfigMap, Container, Event, Pod, PodSpec, PodStatus
from orchestr.engine import Propagation
from orchestr.store import LocalCluster
from tests.controllers.stored import config, controlled, gone, until


async def names(cluster: LocalCluster) -> list[str]:
    return [each.metadata.name for each in await cluster.list(ConfigMap)]


async def test_dependents_go_with_their_owner_down_to_the_last(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage) as cluster:
        top = await cluster.create(config("top"))
        middle = await cluster.create(config("middle", top))
        low = await cluster.create(config("low", middle))
        await cluster.create(config("other"))
        await cluster.delete(top)
        await gone(cluster, low)
        assert await names(cluster) == ["other"]


async def test_an_object_with_another_owner_stays(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage) as cluster:
        a, b = await cluster.create(config("a")), await cluster.create(config("b"))
        shared = await cluster.create(config("shared", a, b))
        mine = await cluster.create(config("mine", a))
        await cluster.delete(a)
        await gone(cluster, mine)
        assert await names(cluster) == ["b", "shared"]
        await cluster.delete(b)
        await gone(cluster, shared)


async def test_what_lost_its_owner_while_nobody_looked_is_found_at_the_start(tmp_path: Path) -> None:
    async def before(cluster: LocalCluster) -> None:
        owner = await cluster.create(config("owner"))
        await cluster.create(config("child", owner))
        await cluster.delete(owner)
        await cluster.create(config("owner"))  # the same name is not the same owner

    async with controlled(tmp_path, garbage, before=before) as cluster:
        await gone(cluster, config("child"))
        assert await names(cluster) == ["owner"]


async def test_a_child_that_comes_after_its_owner_went_is_collected(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage) as cluster:
        owner = await cluster.create(config("owner"))
        await cluster.delete(owner)
        child = await cluster.create(config("child", owner))
        await gone(cluster, child)


async def test_no_owner_of_an_unknown_kind_is_taken_for_gone(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage) as cluster:
        reference = config("x").owner_reference().but(api_version="example.com/v1", kind="Thing", uid="u")
        meta = ObjectMeta(name="foreign", namespace="default", owner_references=(reference,))
        await cluster.create(ConfigMap(metadata=meta))
        owner = await cluster.create(config("owner"))
        child = await cluster.create(config("child", owner))
        await cluster.delete(owner)
        await gone(cluster, child)
        assert await names(cluster) == ["foreign"]


async def test_foreground_deletion_ends_dependents_first(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage) as cluster:
        owner = await cluster.create(config("owner"))
        spec = {"containers": [{"name": "c", "image": "local/host"}]}
        meta = {"name": "p", "namespace": "default", "ownerReferences": [owner.owner_reference().wire()]}
        pod = await cluster.create(Pod.model_validate({"metadata": meta, "spec": spec}))
        await cluster.delete(owner, propagation=Propagation.FOREGROUND)

        async def marked() -> bool:
            found = await cluster.get(Pod, pod.key)
            return found is not None and found.metadata.deleting

        await until(cluster, Pod, marked)
        assert await cluster.get(ConfigMap, owner.key) is not None
        await cluster.delete(pod, grace=0)  # what the agent does when the containers ended
        await gone(cluster, owner)


async def test_what_another_owner_keeps_survives_a_foreground_deletion(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage) as cluster:
        ends, stays = await cluster.create(config("ends")), await cluster.create(config("stays"))
        shared = await cluster.create(config("shared", ends, stays))
        alone = await cluster.create(config("alone", ends))
        await cluster.delete(ends, propagation=Propagation.FOREGROUND)
        await gone(cluster, ends)
        await gone(cluster, alone)
        left = await cluster.get(ConfigMap, shared.key)
        assert left is not None
        assert [owner.name for owner in left.metadata.owner_references] == ["stays"]
        assert not left.metadata.deleting


async def test_a_circle_of_owners_does_not_wait_for_itself(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage) as cluster:
        made = [await cluster.create(config(name)) for name in ("a", "b", "c")]
        for child, owner in ((0, 2), (1, 0), (2, 1)):
            references = [made[owner].owner_reference().wire()]
            await cluster.patch(ConfigMap, made[child].key, {"metadata": {"ownerReferences": references}})
        await cluster.delete(made[0], propagation=Propagation.FOREGROUND)
        for each in made:
            await gone(cluster, each)


async def test_events_go_after_an_hour_and_not_before(tmp_path: Path) -> None:
    event = Event(metadata=ObjectMeta(name="e", namespace="default"))
    async with controlled(tmp_path, garbage, ahead=3601) as cluster:
        await cluster.create(event)
        await gone(cluster, event)
    async with controlled(tmp_path, garbage, ahead=3500) as cluster:
        made = await cluster.create(event)
        owner = await cluster.create(config("owner"))
        child = await cluster.create(config("child", owner))
        await cluster.delete(owner)
        await gone(cluster, child)
        assert await cluster.get(Event, made.key) is not None


async def test_finished_pods_stay(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage, ahead=timedelta(days=9).total_seconds()) as cluster:
        spec = {"containers": [{"name": "c", "image": "local/host"}]}
        pod = await cluster.create(Pod.model_validate({"metadata": {"name": "p"}, "spec": spec}))
        await cluster.patch_status(pod, pod.status.but(phase="Succeeded"))
        event = Event(metadata=ObjectMeta(name="e", namespace="default"))
        await cluster.create(event)
        await gone(cluster, event)
        assert await cluster.get(Pod, Key("default", "p")) is not None


async def test_many_dependents_at_once(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage) as cluster:
        owner = await cluster.create(config("owner"))
        async with trio.open_nursery() as nursery:
            for index in range(200):
                nursery.start_soon(cluster.create, config(f"c{index}", owner))
        await cluster.delete(owner)

        async def empty() -> bool:
            return not await names(cluster)

        await until(cluster, ConfigMap, empty)


async def test_a_finished_pod_goes_when_it_said_so(tmp_path: Path) -> None:
    async with controlled(tmp_path, garbage) as cluster:
        spec = PodSpec(containers=(Container(name="a", image="x"),))
        for name, seconds in (("soon", "0"), ("later", "3600"), ("stays", ""), ("odd", "x")):
            marks = {garbage.REMOVE_AFTER: seconds} if seconds else {}
            pod = await cluster.create(
                Pod(metadata=ObjectMeta(name=name, namespace="default", annotations=marks), spec=spec)
            )
            await cluster.patch_status(pod, PodStatus(phase="Succeeded"))
        await gone(cluster, Pod(metadata=ObjectMeta(name="soon", namespace="default")))
        assert [each.metadata.name for each in await cluster.list(Pod)] == ["later", "odd", "stays"]
