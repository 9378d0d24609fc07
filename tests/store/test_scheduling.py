from typing import Any

import pytest

from orchestr.api.base import ObjectMeta
from orchestr.api.core import ConfigMap, PersistentVolumeClaim, Pod
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
