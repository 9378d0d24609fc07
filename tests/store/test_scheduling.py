from typing import Any

import pytest

from orchestr.api.base import ObjectMeta
from orchestr.api.core import ConfigMap, Node, PersistentVolumeClaim, Pod
from orchestr.api.errors import Invalid
from orchestr.store import LocalCluster
from tests.contract.clusters import NODE

GATE = "orchestr.dev/dependencies"


def pod(annotations: dict[str, str] | None = None, **spec: Any) -> Pod:
    meta = {"name": "p", "namespace": "default", "annotations": annotations or {}}
    container = {"name": "c", "image": "local/host", **spec.pop("container", {})}
    return Pod.model_validate({"metadata": meta, "spec": {"containers": [container], **spec}})


def gates(made: Pod) -> list[str]:
    return [gate.name for gate in made.spec.scheduling_gates]


async def test_a_pod_without_needs_gets_the_node_at_once(cluster: LocalCluster) -> None:
    made = await cluster.create(pod())
    assert made.spec.node_name == NODE
    condition = made.status.condition("PodScheduled")
    assert condition is not None
    assert condition.status == "True"


async def test_a_pod_that_depends_waits_until_the_gate_is_lifted(cluster: LocalCluster) -> None:
    made = await cluster.create(pod({"orchestr.dev/depends-on": "db"}))
    assert gates(made) == [GATE]
    assert made.spec.node_name is None
    lifted = await cluster.patch(Pod, made.key, {"spec": {"schedulingGates": None}})
    assert lifted.spec.node_name == NODE


async def test_a_pod_waits_for_what_is_not_there_yet(cluster: LocalCluster) -> None:
    needs = {"container": {"envFrom": [{"configMapRef": {"name": "c"}}]}}
    assert gates(await cluster.create(pod(**needs), dry_run=True)) == [GATE]
    await cluster.create(ConfigMap(metadata=ObjectMeta(name="c", namespace="default")))
    assert gates(await cluster.create(pod(**needs), dry_run=True)) == []


async def test_a_pod_waits_for_its_claim_to_be_bound(cluster: LocalCluster) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = await cluster.create(
        PersistentVolumeClaim.model_validate({"metadata": {"name": "d", "namespace": "default"}, "spec": spec})
    )
    volumes = [{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]
    assert gates(await cluster.create(pod(volumes=volumes), dry_run=True)) == [GATE]
    await cluster.patch_status(claim, claim.status.but(phase="Bound"))
    assert gates(await cluster.create(pod(volumes=volumes), dry_run=True)) == []


async def test_ones_own_gates_hold_too(cluster: LocalCluster) -> None:
    made = await cluster.create(pod(schedulingGates=[{"name": "x/mine"}]))
    assert gates(made) == ["x/mine"]
    assert made.spec.node_name is None


async def test_dependencies_that_cannot_be_read_and_other_nodes_are_refused(cluster: LocalCluster) -> None:
    with pytest.raises(Invalid) as caught:
        await cluster.create(pod({"orchestr.dev/depends-on": "[{]"}))
    assert caught.value.causes[0].field == "metadata.annotations[orchestr.dev/depends-on]"
    with pytest.raises(Invalid, match="not supported"):
        await cluster.create(pod(nodeName="elsewhere"))


async def node(cluster: LocalCluster, **spec: Any) -> Node:
    wanted = {"metadata": {"name": NODE, "labels": {"disk": "ssd"}}, "spec": spec}
    return await cluster.create(Node.model_validate(wanted))


async def test_a_pod_that_the_node_does_not_take_is_pending_and_says_why(cluster: LocalCluster) -> None:
    machine = await node(cluster, unschedulable=True)
    made = await cluster.create(pod())
    assert (made.spec.node_name, made.status.phase) == (None, "Pending")
    condition = made.status.condition("PodScheduled")
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", "Unschedulable")
    assert (condition.message or "").startswith("0/1 nodes are available: 1 node(s) were unschedulable.")
    taint = {"key": "gpu", "value": "a", "effect": "NoSchedule"}
    await cluster.patch(Node, machine.key, {"spec": {"unschedulable": None, "taints": [taint]}})
    again = await cluster.update(made)
    assert "untolerated taint {gpu: a}" in str(again.status.condition("PodScheduled"))
    await cluster.patch(Node, machine.key, {"spec": {"taints": None}})
    bound = await cluster.update(again)
    assert bound.spec.node_name == NODE
    assert bound.status.condition("PodScheduled").status == "True"  # type: ignore[union-attr]


async def test_a_lifted_gate_does_not_get_past_the_node(cluster: LocalCluster) -> None:
    await node(cluster)
    made = await cluster.create(pod(schedulingGates=[{"name": "x/mine"}], nodeSelector={"disk": "hdd"}))
    assert made.status.condition("PodScheduled") is None
    lifted = await cluster.patch(Pod, made.key, {"spec": {"schedulingGates": None}})
    assert lifted.spec.node_name is None
    assert "didn't match Pod's node affinity/selector" in str(lifted.status.condition("PodScheduled"))


async def test_who_names_the_node_is_not_asked(cluster: LocalCluster) -> None:
    await node(cluster, unschedulable=True)
    assert (await cluster.create(pod(nodeName=NODE))).spec.node_name == NODE


async def test_taints_get_the_time_they_were_added_at(cluster: LocalCluster) -> None:
    taints = [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoSchedule"}]
    made = await node(cluster, taints=taints)
    assert ["timeAdded" in taint for taint in made.spec.taints] == [True, False]
    assert await cluster.update(made) == made
