"""A machine that says where its volumes lie, claims and volumes to put into a world."""

from typing import Any

from orchestr.api.claim import PersistentVolumeClaim
from orchestr.api.core import Node
from orchestr.api.storage import PersistentVolume

ROOT = "/var/lib/x/volumes"


def node() -> Node:
    notes, labels = {"orchestr.dev/volumes": ROOT}, {"kubernetes.io/hostname": "here"}
    return Node.model_validate({"metadata": {"name": "here", "annotations": notes, "labels": labels}})


def claim(
    name: str = "data", size: str = "1Gi", cls: str | None = "local", namespace: str = "ns", **more: Any
) -> PersistentVolumeClaim:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": cls}
    return PersistentVolumeClaim.model_validate(
        {"metadata": {"name": name, "namespace": namespace}, "spec": {**spec, **more}}
    )


def volume(name: str, size: str = "1Gi", cls: str = "", labels: Any = None, **more: Any) -> PersistentVolume:
    spec = {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": size}, "storageClassName": cls}
    spec |= {"hostPath": {"path": f"/srv/{name}"}, "persistentVolumeReclaimPolicy": "Retain", **more}
    return PersistentVolume.model_validate({"metadata": {"name": name, "labels": labels or {}}, "spec": spec})
