from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from controllers import garbage, namespace
from orchestr.api.base import Key, KubeObject, ObjectMeta
from orchestr.api.core import ConfigMap, Namespace, Pod
from orchestr.store import LocalCluster
from tests.controllers.stored import config, controlled, gone, space, until


async def test_an_empty_namespace_goes_at_once(tmp_path: Path) -> None:
    async with controlled(tmp_path, namespace) as cluster:
        made = await space(cluster, "empty")
        await cluster.delete(made)
        await gone(cluster, made)


async def test_the_content_goes_first(tmp_path: Path) -> None:
    async with controlled(tmp_path, namespace, garbage) as cluster:
        made = await space(cluster, "shop")
        await cluster.create(config("a", namespace="shop"))
        await cluster.create(config("kept"))
        await cluster.delete(made)
        await gone(cluster, made)
        assert [each.metadata.name for each in await cluster.list(ConfigMap)] == ["kept"]
        await space(cluster, "shop")  # the name is free again


async def test_pods_hold_it_and_status_says_so(tmp_path: Path) -> None:
    async with controlled(tmp_path, namespace) as cluster:
        made = await space(cluster, "shop")
        spec = {"containers": [{"name": "c", "image": "local/host"}]}
        pod = await cluster.create(Pod.model_validate({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec}))
        await cluster.create(config("a", namespace="shop"))
        await cluster.delete(made)

        async def told() -> bool:
            found = await cluster.get(Namespace, made.key)
            assert found is not None
            return any("configmaps has 1" in (c.message or "") for c in found.status.conditions)

        await until(cluster, Namespace, told)
        found = await cluster.get(Pod, pod.key)
        assert found is not None
        assert await cluster.get(ConfigMap, Key("shop", "a")) is not None  # its stage has not come yet
        await cluster.delete(pod, grace=0)
        await gone(cluster, made)


async def test_a_deletion_that_began_before_the_start_goes_on(tmp_path: Path) -> None:
    async def before(cluster: LocalCluster) -> None:
        made = await space(cluster, "shop")
        await cluster.create(config("a", namespace="shop"))
        await cluster.delete(made)

    async with controlled(tmp_path, namespace, before=before) as cluster:
        await gone(cluster, Namespace(metadata=ObjectMeta(name="shop")))


kinds = st.sampled_from([kind for stage in namespace.STAGES for kind in stage])


@given(st.dictionaries(kinds, st.integers(1, 3), max_size=6))
def test_stages_end_and_never_overlap(counts: dict[type[KubeObject], int]) -> None:
    content: dict[type[KubeObject], list[KubeObject]] = {
        kind: [kind.model_construct(metadata=ObjectMeta(name=f"o{i}")) for i in range(n)] for kind, n in counts.items()
    }
    seen: list[int] = []
    order = {kind: index for index, stage in enumerate(namespace.STAGES) for kind in stage}
    while any(content.values()):
        step = namespace.next_stage(content)
        assert step
        (stage,) = {order[type(obj)] for obj in step}
        seen.append(stage)
        for obj in step:
            content[type(obj)].remove(obj)
    assert seen == sorted(set(seen))
