"""PersistentVolume and claim: checked and kept as Kubernetes does."""

from typing import Any

import pytest

from tests.server.daemon import Daemon

VOLUMES, CLAIMS = "/api/v1/persistentvolumes", "/api/v1/namespaces/default/persistentvolumeclaims"
MERGE = {"content-type": "application/merge-patch+json"}


def volume(**spec: Any) -> dict[str, Any]:
    wire = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/srv"}, **spec}
    wire = {name: value for name, value in wire.items() if value is not None}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": wire}


def claim(**spec: Any) -> dict[str, Any]:
    wire = {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"], **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"}, "spec": wire}


async def test_kept_with_defaults_and_a_finalizer(served: Daemon) -> None:
    status, made = await served.request("POST", VOLUMES, volume())
    assert (status, made["metadata"]["finalizers"]) == (201, ["kubernetes.io/pv-protection"])
    assert made["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert (made["spec"]["volumeMode"], made["status"]["phase"]) == ("Filesystem", "Pending")
    status, made = await served.request("POST", CLAIMS, claim(selector={"matchLabels": {"a": "b"}}))
    assert (status, made["metadata"]["finalizers"]) == (201, ["kubernetes.io/pvc-protection"])
    assert made["spec"]["storageClassName"] == "local"


async def test_a_volume_of_a_driver_is_kept_too(served: Daemon) -> None:
    csi = {"driver": "x.example.org", "volumeHandle": "h"}
    status, made = await served.request("POST", VOLUMES, volume(hostPath=None, csi=csi))
    assert (status, made["spec"]["csi"]) == (201, csi)


WRONG = [
    (VOLUMES, volume(accessModes=[]), "spec.accessModes"),
    (VOLUMES, volume(capacity={"storage": "0"}), "spec.capacity.storage"),
    (VOLUMES, volume(hostPath=None), "spec"),
    (VOLUMES, volume(hostPath=None, local={"path": "/x"}), "spec.nodeAffinity"),
    (VOLUMES, volume(hostPath={"path": "/a/../b"}), "spec.hostPath.path"),
    (VOLUMES, volume(hostPath=None, csi={"driver": "", "volumeHandle": "h"}), "spec.csi.driver"),
    (VOLUMES, volume(persistentVolumeReclaimPolicy="Recycle"), "spec.persistentVolumeReclaimPolicy"),
    (VOLUMES, volume(hostPath=None, nfs={"server": "x", "path": "/"}), "spec.nfs"),
    (CLAIMS, claim(accessModes=["ReadSometimes"]), "spec.accessModes[0]"),
    (CLAIMS, claim(dataSource={"kind": "X", "name": "x"}), "spec.dataSource"),
]


@pytest.mark.parametrize(("path", "body", "where"), WRONG, ids=[f"{i}-{w}" for i, (_, _, w) in enumerate(WRONG)])
async def test_refused(served: Daemon, path: str, body: dict[str, Any], where: str) -> None:
    status, answer = await served.request("POST", path, body)
    assert status == 422
    assert where in {cause["field"] for cause in answer["details"]["causes"]}, answer


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"accessModes": ["ReadWriteMany"]}, "spec.accessModes"),
    ({"storageClassName": "other"}, "spec.storageClassName"),
    ({"selector": {"matchLabels": {"a": "b"}}}, "spec.selector"),
    ({"resources": {"requests": {"storage": "1Mi"}}}, "spec.resources.requests.storage"),
]


@pytest.mark.parametrize(("spec", "where"), CHANGES, ids=[where for _, where in CHANGES])
async def test_a_claim_only_grows(served: Daemon, spec: dict[str, Any], where: str) -> None:
    await served.request("POST", CLAIMS, claim())
    status, answer = await served.request("PATCH", CLAIMS + "/c", {"spec": spec}, MERGE)
    assert (status, [cause["field"] for cause in answer["details"]["causes"]]) == (422, [where])
    status, _ = await served.request(
        "PATCH", CLAIMS + "/c", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}, MERGE
    )
    assert status == 200
