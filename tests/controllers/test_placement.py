"""The controller on the real store: pods follow what happens to the node."""

from pathlib import Path
from typing import Any

import pytest

from controllers import placement
from orchestr.api.base import Key
from orchestr.api.event import Event
from orchestr.api.node import Node
from orchestr.api.pod import Pod
from orchestr.store import LocalCluster
from tests.contract.clusters import NODE
from tests.controllers.stored import controlled, until

HERE = Key("", NODE)
GONE = {"key": "gone", "effect": "NoExecute"}


async def tainted(cluster: LocalCluster) -> None:
    await cluster.create(Node.model_validate({"metadata": {"name": NODE}, "spec": {"taints": [GONE]}}))


async def cordoned(cluster: LocalCluster) -> None:
    await cluster.create(Node.model_validate({"metadata": {"name": NODE}, "spec": {"unschedulable": True}}))


async def pod(cluster: LocalCluster, name: str, **spec: Any) -> Pod:
    container = {"name": "c", "image": "local/host"}
    meta = {"name": name, "namespace": "default"}
    return await cluster.create(Pod.model_validate({"metadata": meta, "spec": {"containers": [container], **spec}}))


async def see(cluster: LocalCluster, name: str) -> Pod:
    found = await cluster.get(Pod, Key("default", name))
    assert found is not None
    return found


async def test_pods_that_wait_are_placed_when_the_node_takes_them_again(tmp_path: Path) -> None:
    async with controlled(tmp_path, placement, before=cordoned) as cluster:
        for name in ("a", "b"):
            assert (await pod(cluster, name)).spec.node_name is None
        await pod(cluster, "c", nodeSelector={"disk": "ssd"})

        async def told() -> bool:
            return {e.involved_object.name for e in await cluster.list(Event)} == {"a", "b", "c"}

        await until(cluster, Event, told)
        assert {event.reason for event in await cluster.list(Event)} == {"FailedScheduling"}
        await cluster.patch(Node, HERE, {"spec": {"unschedulable": None}})

        async def placed() -> bool:
            found = [await see(cluster, name) for name in ("a", "b")]
            waits = str((await see(cluster, "c")).status.condition("PodScheduled"))
            return all(each.spec.node_name for each in found) and "affinity/selector" in waits

        await until(cluster, Pod, placed)
        await cluster.patch(Node, HERE, {"metadata": {"labels": {"disk": "ssd"}}})

        async def selected() -> bool:
            return bool((await see(cluster, "c")).spec.node_name)

        await until(cluster, Pod, selected)


@pytest.mark.parametrize(("ahead", "left"), [(0, {"a"}), (3700, {"a", "b"})])
async def test_a_taint_drives_out_what_does_not_tolerate_it(tmp_path: Path, ahead: float, left: set[str]) -> None:
    tolerations = {
        "a": [],
        "b": [{**GONE, "operator": "Exists", "tolerationSeconds": 3600}],
        "c": [{"operator": "Exists"}],
    }
    async with controlled(tmp_path, placement, ahead=ahead) as cluster:
        await cluster.create(Node.model_validate({"metadata": {"name": NODE}}))
        for name, tolerated in tolerations.items():
            await pod(cluster, name, tolerations=tolerated)
        await cluster.patch(Node, HERE, {"spec": {"taints": [GONE]}})

        async def gone() -> bool:
            return {name for name in tolerations if (await see(cluster, name)).metadata.deleting} == left

        await until(cluster, Pod, gone)


async def test_a_pod_that_comes_to_a_tainted_node_past_the_scheduler_is_driven_out(tmp_path: Path) -> None:
    async with controlled(tmp_path, placement, before=tainted) as cluster:
        assert (await pod(cluster, "a", nodeName=NODE)).spec.node_name == NODE

        async def gone() -> bool:
            return (await see(cluster, "a")).metadata.deleting

        await until(cluster, Pod, gone)
