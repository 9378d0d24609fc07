"""Volumes on real directories: made for a claim and removed with it, kept, chosen by hand, waiting for a pod."""

import os
from pathlib import Path
from typing import Any

from e2e.checks import eventually
from e2e.project import Project
from e2e.test_containers import SLEEP, pod

CLAIM = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: NAME}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}MORE}
---
"""
MOUNT = "volumeMounts: [{name: v, mountPath: /v}]"


def claim(name: str, more: str = "") -> str:
    return CLAIM.replace("NAME", name).replace("MORE", more)


def volumes(name: str) -> str:
    return f"volumes: [{{name: v, persistentVolumeClaim: {{claimName: {name}}}}}]"


def of(project: Project, name: str) -> dict[str, Any]:
    """The volume of a claim."""
    found = project.daemon.get(f"/api/v1/namespaces/{project.name}/persistentvolumeclaims/{name}")
    assert found["status"]["phase"] == "Bound"
    volume: dict[str, Any] = project.daemon.get(f"/api/v1/persistentvolumes/{found['spec']['volumeName']}")
    return volume


def left(project: Project, volume: dict[str, Any]) -> str:
    status, _ = project.daemon.request("GET", f"/api/v1/persistentvolumes/{volume['metadata']['name']}")
    if status == 404:
        return "gone"
    return str(project.daemon.get(f"/api/v1/persistentvolumes/{volume['metadata']['name']}")["status"]["phase"])


def test_a_volume_is_made_for_a_claim_and_goes_with_it_and_not_before_its_pod(project: Project) -> None:
    project.objects(claim("data") + pod("p", f"{SLEEP}, {MOUNT}", volumes("data")))
    project.sh("p", "echo precious > /v/file")
    volume = of(project, "data")
    path = Path(volume["spec"]["local"]["path"])
    assert (path / "file").read_text() == "precious\n"
    assert volume["spec"]["claimRef"]["namespace"] == project.name
    project.orch("delete", "pvc", "data", "-n", project.name, "-y", "-d").expect()
    assert (path / "file").exists()
    assert left(project, volume) == "Bound"  # the pod still has it
    project.orch("delete", "pod", "p", "-n", project.name, "-y").expect()
    eventually(lambda: left(project, volume) == "gone", within=60)
    assert not path.exists()


def test_a_volume_made_by_hand_is_bound_and_kept(project: Project) -> None:
    """A hostPath is matched by class and size; what a pod wrote is still there after the claim has gone."""
    folder, name = project.folder / "disk", f"disk-{project.name}"
    folder.mkdir()
    text = f"""
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  storageClassName: {name}
  capacity: {{storage: 5Gi}}
  accessModes: [ReadWriteOnce]
  hostPath: {{path: {folder}, type: Directory}}
---
"""
    wants = f", storageClassName: {name}"
    project.objects(text + claim("data", wants) + pod("p", f"{SLEEP}, {MOUNT}", volumes("data")))
    project.sh("p", "echo mine > /v/file")
    assert (folder / "file").read_text() == "mine\n"
    volume = of(project, "data")
    assert (volume["metadata"]["name"], volume["spec"]["persistentVolumeReclaimPolicy"]) == (name, "Retain")
    project.orch("delete", "pod", "p", "-n", project.name, "-y").expect()
    project.orch("delete", "pvc", "data", "-n", project.name, "-y").expect()
    eventually(lambda: left(project, volume) == "Released", within=60)
    assert os.listdir(folder) == ["file"]
    project.orch("delete", "pv", name, "-y").expect()
    eventually(lambda: left(project, volume) == "gone", within=60)
    assert (folder / "file").exists()


def test_a_class_that_waits_for_the_first_pod(project: Project) -> None:
    name = f"late-{project.name}"
    storage = f"""
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: {name}}}
provisioner: orchestr.dev/local-directory
volumeBindingMode: WaitForFirstConsumer
---
"""
    done = project.objects(storage + claim("data", f", storageClassName: {name}"))
    assert done.code == 0
    reasons = lambda: {each["reason"] for each in project.daemon.items("events", project.name)}  # noqa: E731
    eventually(lambda: "WaitForFirstConsumer" in reasons())
    project.objects(pod("p", f"{SLEEP}, {MOUNT}", volumes("data")))
    of(project, "data")
    project.orch("delete", "storageclass", name, "-y").expect()
