"""What every Cluster promises about server-side apply."""

from typing import Any

import pytest

from orchestr.api.apps import Deployment
from orchestr.api.base import Key
from orchestr.api.core import ConfigMap, Pod, Secret, Service
from orchestr.api.errors import Conflict, Invalid
from orchestr.engine import Cluster


def config(name: str = "a", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(containers: list[dict[str, Any]], **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


async def test_apply_creates_then_changes_nothing_then_changes(cluster: Cluster) -> None:
    made = await cluster.apply(config(k="1"), manager="m")
    assert made.metadata.namespace == "default"
    assert await cluster.apply(config(k="1"), manager="m") == made
    changed = await cluster.apply(config(k="2"), manager="m")
    assert isinstance(changed, ConfigMap)
    assert changed.data == {"k": "2"}
    assert changed.metadata.uid == made.metadata.uid


async def test_a_field_left_out_vanishes_but_not_another_managers(cluster: Cluster) -> None:
    await cluster.apply(config(mine="1", gone="1"), manager="m")
    await cluster.apply(config(yours="1"), manager="n")
    after = await cluster.apply(config(mine="1"), manager="m")
    assert isinstance(after, ConfigMap)
    assert after.data == {"mine": "1", "yours": "1"}


async def test_a_field_of_another_manager_conflicts_unless_forced(cluster: Cluster) -> None:
    await cluster.apply(config(k="1"), manager="m")
    with pytest.raises(Conflict) as caught:
        await cluster.apply(config(k="2"), manager="n")
    assert [(cause.field, cause.reason) for cause in caught.value.causes] == [(".data.k", "FieldManagerConflict")]
    assert '"m"' in caught.value.message
    forced = await cluster.apply(config(k="2"), manager="n", force=True)
    assert isinstance(forced, ConfigMap)
    assert forced.data == {"k": "2"}
    left = await cluster.apply({**config(), "data": {}}, manager="m")  # it owns nothing any more
    assert isinstance(left, ConfigMap)
    assert left.data == {"k": "2"}


async def test_the_same_value_is_shared(cluster: Cluster) -> None:
    await cluster.apply(config(k="1"), manager="m")
    await cluster.apply(config(k="1"), manager="n")
    after = await cluster.apply(config(), manager="m")
    assert isinstance(after, ConfigMap)
    assert after.data == {"k": "1"}


async def test_containers_merge_by_name_and_env_by_its_name(cluster: Cluster) -> None:
    web = {"name": "web", "image": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "1"}]}
    side = {"name": "side", "image": "b"}
    await cluster.apply(deployment([web, side]), manager="m")
    web = {"name": "web", "image": "a2", "env": [{"name": "Y", "value": "2"}]}
    after = await cluster.apply(deployment([web]), manager="m")
    assert isinstance(after, Deployment)
    (container,) = after.spec.template.spec.containers
    assert (container.name, container.image) == ("web", "a2")
    assert [(each.name, each.value) for each in container.env] == [("Y", "2")]


async def test_ports_with_one_number_and_two_protocols_are_two(cluster: Cluster) -> None:
    ports = [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]
    dns = {"name": "dns", "image": "a", "ports": ports}
    await cluster.apply(deployment([dns]), manager="m")
    after = await cluster.apply(deployment([{**dns, "ports": ports[1:]}]), manager="m")
    assert isinstance(after, Deployment)
    assert [port.protocol for port in after.spec.template.spec.containers[0].ports] == ["UDP"]


async def test_what_a_controller_sets_stays(cluster: Cluster) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "a"}]},
    }
    made = await cluster.apply(pod, manager="m")
    assert isinstance(made, Pod)
    running = await cluster.patch_status(made, made.status.but(phase="Running"))
    assert await cluster.apply(pod, manager="m") == running


async def test_a_service_keeps_its_address(cluster: Cluster) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    made = await cluster.apply(service, manager="m")
    after = await cluster.apply({**service, "spec": {"ports": [{"port": 81}]}}, manager="m")
    assert isinstance(made, Service)
    assert isinstance(after, Service)
    assert after.spec.cluster_ip == made.spec.cluster_ip
    assert [port.port for port in after.spec.ports] == [81]


async def test_text_of_a_secret_that_is_left_out_vanishes_too(cluster: Cluster) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    await cluster.apply({**secret, "stringData": {"a": "1", "b": "2"}}, manager="m")
    after = await cluster.apply({**secret, "stringData": {"a": "1"}}, manager="m")
    assert isinstance(after, Secret)
    assert after.content() == {"a": b"1"}


async def test_an_unknown_field_is_refused_with_its_name(cluster: Cluster) -> None:
    with pytest.raises(Invalid) as caught:
        await cluster.apply({**config(), "datum": {}}, manager="m")
    assert "datum" in str(caught.value)
    assert await cluster.get(ConfigMap, Key("default", "a")) is None
