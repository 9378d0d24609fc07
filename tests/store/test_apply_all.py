from typing import Any

import pytest

from orchestr.api.base import Key
from orchestr.api.core import ConfigMap, Namespace, Pod, Service
from orchestr.api.errors import AlreadyExists, ApiError, Forbidden, Invalid
from orchestr.store import LocalCluster


def thing(kind: str, name: str, namespace: str = "shop", **fields: Any) -> dict[str, Any]:
    meta = {"name": name} if kind == "Namespace" else {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": kind, "metadata": meta, **fields}


def shop() -> list[dict[str, Any]]:
    pod = {"containers": [{"name": "c", "image": "local/host"}]}
    return [
        thing("Pod", "web", spec=pod),
        thing("Service", "web", spec={"ports": [{"port": 80}], "selector": {"a": "b"}}),
        thing("ConfigMap", "c", data={"k": "1"}),
        thing("Namespace", "shop"),
    ]


async def test_a_set_with_its_namespace_is_stored_as_one_in_any_order(cluster: LocalCluster) -> None:
    done = await cluster.apply_all(shop(), manager="orch")
    assert [(each.action, each.object.kind) for each in done] == [
        ("created", "Pod"),
        ("created", "Service"),
        ("created", "ConfigMap"),
        ("created", "Namespace"),
    ]
    before = cluster.revision
    again = await cluster.apply_all(shop(), manager="orch")
    assert {each.action for each in again} == {"unchanged"}
    assert cluster.revision == before


async def test_one_bad_item_stores_none_and_all_problems_are_told(cluster: LocalCluster) -> None:
    items = shop()
    items[0]["spec"]["containers"][0]["imagge"] = "x"
    items[2]["metadata"]["name"] = "Not valid"
    before = cluster.revision
    with pytest.raises(Invalid) as caught:
        await cluster.apply_all(items, manager="orch")
    fields = [cause.field for cause in caught.value.causes]
    assert any(field.startswith("items[0].spec.containers[0].imagge") for field in fields)
    assert any(field.startswith("items[2].metadata.name") for field in fields)
    assert cluster.revision == before
    assert await cluster.get(Namespace, Key("", "shop")) is None


async def test_quota_is_kept_by_a_whole_set(cluster: LocalCluster) -> None:
    items = [*shop(), thing("ResourceQuota", "q", spec={"hard": {"pods": "0"}})]
    with pytest.raises(Forbidden) as caught:
        await cluster.apply_all(items, manager="orch")
    assert [cause.field for cause in caught.value.causes] == ["items[0]"]
    assert await cluster.get(Namespace, Key("", "shop")) is None


async def test_dry_run_runs_admission_and_stores_nothing(cluster: LocalCluster) -> None:
    before = cluster.revision
    done = await cluster.apply_all(shop(), manager="orch", dry_run=True)
    (service,) = [each.object for each in done if isinstance(each.object, Service)]
    assert service.spec.cluster_ip
    assert cluster.revision == before
    assert await cluster.list(Pod) == []
    config = ConfigMap.model_validate({"metadata": {"name": "c", "namespace": "default"}})
    assert (await cluster.create(config, dry_run=True)).metadata.uid
    await cluster.create(config)
    with pytest.raises(AlreadyExists):
        await cluster.create(config, dry_run=True)


async def test_prune_deletes_what_the_manager_applied_and_left_out(cluster: LocalCluster) -> None:
    await cluster.apply_all(shop(), manager="orch")
    await cluster.apply(thing("ConfigMap", "other", data={}), manager="somebody")
    done = await cluster.apply_all([shop()[0], shop()[3]], manager="orch", prune={})
    assert [(each.action, each.object.ref) for each in done if each.action == "pruned"] == [
        ("pruned", "configmap/c"),
        ("pruned", "service/web"),
    ] or {each.object.ref for each in done if each.action == "pruned"} == {"configmap/c", "service/web"}
    assert [each.metadata.name for each in await cluster.list(ConfigMap)] == ["other"]
    assert await cluster.apply_all([shop()[0]], manager="orch", prune={"no": "such"})


async def test_objects_of_controllers_are_never_pruned(cluster: LocalCluster) -> None:
    await cluster.apply_all(shop(), manager="orch")
    await cluster.create(Pod.model_validate(thing("Pod", "child", spec={"containers": [{"name": "c", "image": "i"}]})))
    await cluster.apply_all(shop(), manager="orch", prune={})
    assert await cluster.get(Pod, Key("shop", "child")) is not None


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"apiVersion": "v1", "kind": "ConfigMap"},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": []},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 7}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": [1]}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": {"a": 1}}},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [1, None]}},
        {"apiVersion": "v2", "kind": "Nothing", "metadata": {"name": "a"}},
    ],
)
async def test_nonsense_is_refused_as_such(cluster: LocalCluster, item: dict[str, Any]) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    pod = {**thing("Pod", "a", "default"), "spec": {"containers": [{"name": "c", "image": "i"}]}}
    await cluster.apply_all([config, pod], manager="orch")
    with pytest.raises(ApiError) as caught:
        await cluster.apply_all([item], manager="orch")
    assert 400 <= caught.value.code < 500
