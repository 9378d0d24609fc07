from decimal import Decimal
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api.base import Key, ObjectMeta
from orchestr.api.core import ConfigMap, Pod, PodStatus, ResourceQuota
from orchestr.api.errors import Forbidden
from orchestr.api.quantity import parse
from orchestr.api.usage import text
from orchestr.store import LocalCluster

KEY = Key("default", "q")


def quota(**hard: str) -> ResourceQuota:
    spec = {"hard": {name.replace("__", "/").replace("_", "."): value for name, value in hard.items()}}
    return ResourceQuota.model_validate({"metadata": {"name": "q", "namespace": "default"}, "spec": spec})


def pod(name: str, **resources: dict[str, str]) -> Pod:
    container: dict[str, Any] = {"name": "main", "image": "local/host", "resources": resources}
    return Pod.model_validate({"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": [container]}})


async def used(cluster: LocalCluster) -> dict[str, str]:
    found = await cluster.get(ResourceQuota, KEY)
    assert found is not None
    return dict(found.status.used)


async def test_fifty_concurrent_creates_cannot_get_past_it(cluster: LocalCluster) -> None:
    await cluster.create(quota(pods="10"))
    refused: list[Forbidden] = []

    async def create(index: int) -> None:
        try:
            await cluster.create(pod(f"p{index}"))
        except Forbidden as error:
            refused.append(error)

    async with trio.open_nursery() as nursery:
        for index in range(50):
            nursery.start_soon(create, index)
    assert len(await cluster.list(Pod)) == 10
    assert len(refused) == 40
    assert await used(cluster) == {"pods": "10"}
    assert "exceeded quota: q, requested: pods=1, used: pods=10, limited: pods=10" in refused[-1].message


async def test_usage_is_exact_when_a_write_returns(cluster: LocalCluster) -> None:
    await cluster.create(pod("before", requests={"cpu": "100m", "memory": "64Mi"}))
    await cluster.create(quota(pods="10", cpu="1", requests_memory="1Gi", count__configmaps="3", configmaps="3"))
    assert await used(cluster) == {
        "pods": "1", "cpu": "100m", "requests.memory": "64Mi", "count/configmaps": "0", "configmaps": "0",
    }  # fmt: skip
    made = await cluster.create(pod("p", limits={"cpu": "500m", "memory": "192Mi"}))
    await cluster.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default")))
    assert await used(cluster) == {
        "pods": "2", "cpu": "600m", "requests.memory": "256Mi", "count/configmaps": "1", "configmaps": "1",
    }  # fmt: skip
    await cluster.patch_status(made, PodStatus(phase="Succeeded"))
    assert (await used(cluster))["cpu"] == "100m"
    assert (await used(cluster))["pods"] == "1"
    before = await cluster.get(Pod, Key("default", "before"))
    assert before is not None
    await cluster.delete(before, grace=0)
    assert (await used(cluster))["pods"] == "0"


async def test_a_pod_has_to_say_what_the_quota_limits(cluster: LocalCluster) -> None:
    await cluster.create(quota(limits_memory="1Gi", cpu="1"))
    with pytest.raises(Forbidden, match=r"must specify limits\.memory for: main; requests\.cpu for: main"):
        await cluster.create(pod("p"))
    await cluster.create(pod("p", limits={"memory": "1Gi", "cpu": "1"}))
    with pytest.raises(Forbidden, match="exceeded quota"):
        await cluster.create(pod("q", limits={"memory": "1", "cpu": "1m"}))


async def test_a_refused_create_leaves_nothing(cluster: LocalCluster) -> None:
    await cluster.create(quota(configmaps="0", count__pods="1"))
    before = cluster.revision
    with pytest.raises(Forbidden):
        await cluster.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default")))
    assert cluster.revision == before
    assert await cluster.list(ConfigMap) == []


async def test_a_quota_counts_itself_and_others_once(cluster: LocalCluster) -> None:
    await cluster.create(quota(resourcequotas="3"))
    assert await used(cluster) == {"resourcequotas": "1"}
    other = quota().but(metadata=ObjectMeta(name="other", namespace="default"))
    made = await cluster.create(other)
    assert await used(cluster) == {"resourcequotas": "2"}
    await cluster.delete(made)
    assert await used(cluster) == {"resourcequotas": "1"}


async def test_a_raised_limit_counts_at_once(cluster: LocalCluster) -> None:
    await cluster.create(quota(pods="0"))
    await cluster.patch(ResourceQuota, KEY, {"spec": {"hard": {"pods": "1", "services": "2"}}})
    assert await used(cluster) == {"pods": "0", "services": "0"}
    await cluster.create(pod("p"))


@given(st.integers(0, 2**60), st.sampled_from(["memory", "requests.memory", "pods", "requests.storage"]))
def test_amounts_survive_being_written(value: int, name: str) -> None:
    assert parse(text(name, Decimal(value))) == value
