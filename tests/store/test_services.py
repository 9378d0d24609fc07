import json
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any

import pytest
import trio

from orchestr.api.base import Key
from orchestr.api.core import Service
from orchestr.api.errors import Invalid, Unavailable
from orchestr.store import LocalCluster
from tests.contract.clusters import local


def service(name: str, publish: list[dict[str, Any]] | None = None, **spec: Any) -> Service:
    annotations = {"orchestr.dev/publish": json.dumps(publish)} if publish is not None else {}
    meta = {"name": name, "namespace": "default", "annotations": annotations}
    return Service.model_validate({"metadata": meta, "spec": {"ports": [{"port": 80}], **spec}})


async def test_addresses_of_both_families_are_unique(cluster: LocalCluster) -> None:
    async with trio.open_nursery() as nursery:
        for index in range(100):
            nursery.start_soon(cluster.create, service(f"s{index}"))
    found = [address for each in await cluster.list(Service) for address in each.spec.cluster_ips]
    assert len(set(found)) == 200
    assert {ip_address(address).version for address in found} == {4, 6}


async def test_a_headless_service_has_none(cluster: LocalCluster) -> None:
    headless = await cluster.create(service("a", clusterIP="None"))
    assert headless.spec.cluster_ips == ("None",)


async def test_an_address_of_ones_choice_must_be_in_range_and_free(cluster: LocalCluster) -> None:
    made = await cluster.create(service("a", clusterIP="10.89.0.77"))
    assert made.spec.cluster_ips[0] == "10.89.0.77"
    with pytest.raises(Invalid, match="already taken by service default/a"):
        await cluster.create(service("b", clusterIP="10.89.0.77"))
    with pytest.raises(Invalid, match="not in the service range"):
        await cluster.create(service("c", clusterIP="192.0.2.1"))


async def test_a_range_that_is_used_up_says_so(tmp_path: Path) -> None:
    async with local(tmp_path, services4=IPv4Network("10.89.0.0/27")) as cluster:
        for index in range(15):
            await cluster.create(service(f"s{index}"))
        with pytest.raises(Unavailable, match="is used up"):
            await cluster.create(service("more"))
        await cluster.delete(service("s3"))
        await cluster.create(service("more"))


async def test_node_ports_are_given_out_and_kept(cluster: LocalCluster) -> None:
    made = await cluster.create(service("a", type="NodePort"))
    number = made.spec.ports[0].node_port
    assert number in range(30000, 32768)
    after = await cluster.update(service("a", type="NodePort"))
    assert after.spec.ports[0].node_port == number
    assert after.spec.cluster_ips == made.spec.cluster_ips
    with pytest.raises(Invalid, match=rf"port {number}/TCP is already published by service default/a"):
        await cluster.create(service("b", type="NodePort", ports=[{"port": 80, "nodePort": number}]))


@pytest.mark.parametrize(
    ("first", "second", "collide"),
    [
        ("", "", True),
        ("", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "::1", False),
        ("::", "::1", True),
    ],
)
async def test_two_services_cannot_publish_the_same_port(
    cluster: LocalCluster, first: str, second: str, collide: bool
) -> None:
    await cluster.create(service("a", [{"hostIP": first, "hostPort": 8080, "port": 80}]))
    other = service("b", [{"hostPort": 8081, "port": 80}, {"hostIP": second, "hostPort": 8080, "port": 80}])
    if not collide:
        await cluster.create(other)
        return
    with pytest.raises(Invalid, match="is already published by service default/a") as caught:
        await cluster.create(other)
    assert caught.value.causes[0].field == "metadata.annotations[orchestr.dev/publish][1].hostPort"
    holder = await cluster.get(Service, Key("default", "a"))
    assert holder is not None
    await cluster.delete(holder)
    await cluster.create(other)


async def test_another_protocol_is_another_port(cluster: LocalCluster) -> None:
    await cluster.create(service("a", [{"hostPort": 53, "port": 80}]))
    await cluster.create(service("b", [{"hostPort": 53, "port": 80, "protocol": "UDP"}]))
