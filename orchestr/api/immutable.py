"""What an update must not change. Source: Validate*Update in pkg/apis/*/validation of Kubernetes."""

from collections.abc import Callable, Iterator
from typing import Any

from orchestr.api import definitionrules
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.base import KubeObject
from orchestr.api.batch import Job
from orchestr.api.certificates import CertificateSigningRequest, RuntimeClass
from orchestr.api.core import ConfigMap, PersistentVolumeClaim, Pod, PodSpec, Secret, Service
from orchestr.api.custom import Custom
from orchestr.api.daemonset import DaemonSet
from orchestr.api.definition import CustomResourceDefinition
from orchestr.api.errors import Cause
from orchestr.api.jobrules import job_update
from orchestr.api.networking import IngressClass
from orchestr.api.podparts import RULES as POD_PARTS
from orchestr.api.priority import PriorityClass
from orchestr.api.quantity import parse
from orchestr.api.rbac import ClusterRoleBinding, RoleBinding
from orchestr.api.rbacrules import same_role
from orchestr.api.rules import same
from orchestr.api.statefulset import StatefulSet
from orchestr.api.storage import PersistentVolume, StorageClass
from orchestr.api.templates import ControllerRevision
from orchestr.api.workloadrules import stateful_set_update


def validate_update(old: KubeObject, new: KubeObject, part: str = "") -> list[Cause]:
    """Everything in which `new` changes what stays as it was created. Both after defaulting.

    `part`: the sub-resource by which it is changed.
    """
    causes = [*same(old.metadata.name, new.metadata.name, "metadata.name")]
    causes += same(old.metadata.namespace, new.metadata.namespace, "metadata.namespace")
    if new.metadata.uid and old.metadata.uid:
        causes += same(old.metadata.uid, new.metadata.uid, "metadata.uid")
    if isinstance(new, Custom) and isinstance(old, Custom):
        return causes + list(new.changes(old))
    if isinstance(new, Pod) and isinstance(old, Pod) and part in POD_PARTS:
        return causes + list(POD_PARTS[part](old, new))
    rules: Callable[[Any, Any], Iterator[Cause]] | None = RULES.get(type(new))
    return causes + list(rules(old, new)) if rules else causes


def _pod(old: Pod, new: Pod) -> Iterator[Cause]:
    """A pod's spec stays, but for images, deadline, tolerations, gates (only removed) and the choice of the node."""
    before, after = old.spec, new.spec
    removed = {gate.name for gate in after.scheduling_gates} - {gate.name for gate in before.scheduling_gates}
    if removed:
        yield Cause("spec.schedulingGates", f"gates can only be taken away, not added: {', '.join(sorted(removed))}")
    if before.node_name and before.node_name != after.node_name:
        yield from same(before.node_name, after.node_name, "spec.nodeName")
    free = {
        "scheduling_gates": before.scheduling_gates,
        "node_name": before.node_name,
        "active_deadline_seconds": before.active_deadline_seconds,
        "termination_grace_period_seconds": before.termination_grace_period_seconds,
        "tolerations": before.tolerations,
        "node_selector": before.node_selector,
        "affinity": before.affinity,
        "containers": _with_images(before, after, "containers"),
        "init_containers": _with_images(before, after, "init_containers"),
    }
    for name in PodSpec.model_fields:
        alias = PodSpec.model_fields[name].alias or name
        yield from same(getattr(before, name), free.get(name, getattr(after, name)), f"spec.{alias}")


def _with_images(before: PodSpec, after: PodSpec, name: str) -> Any:
    """The containers of `after` with the images of `before`, since images may change."""
    old, new = getattr(before, name), getattr(after, name)
    if len(old) != len(new):
        return new
    return tuple(b.but(image=a.image) if a.image != b.image else b for a, b in zip(old, new, strict=True))


def _selector(old: Any, new: Any) -> Iterator[Cause]:
    yield from same(old.spec.selector, new.spec.selector, "spec.selector")


def _service(old: Service, new: Service) -> Iterator[Cause]:
    if old.spec.cluster_ip:
        yield from same(old.spec.cluster_ip, new.spec.cluster_ip, "spec.clusterIP")


def _data(obj: ConfigMap | Secret) -> tuple[Any, Any]:
    """As written: what is new may be no base64."""
    return obj.data, obj.binary_data if isinstance(obj, ConfigMap) else {}


def _config(old: ConfigMap | Secret, new: ConfigMap | Secret) -> Iterator[Cause]:
    if isinstance(old, Secret) and isinstance(new, Secret):
        yield from same(old.type, new.type, "type")
    if old.immutable:
        yield from same(old.immutable, new.immutable, "immutable")
        yield from same(_data(old), _data(new), "data")


def _claim(old: PersistentVolumeClaim, new: PersistentVolumeClaim) -> Iterator[Cause]:
    yield from same(old.spec.access_modes, new.spec.access_modes, "spec.accessModes")
    yield from same(old.spec.storage_class_name, new.spec.storage_class_name, "spec.storageClassName")
    yield from same(old.spec.selector, new.spec.selector, "spec.selector")
    yield from same(old.spec.volume_mode, new.spec.volume_mode, "spec.volumeMode")
    before, after = (each.spec.resources.requests.get("storage", "0") for each in (old, new))
    if parse(after) < parse(before):
        yield Cause("spec.resources.requests.storage", f"can not be less than previous value ({before})")
    if old.spec.volume_name:
        yield from same(old.spec.volume_name, new.spec.volume_name, "spec.volumeName")


def _volume(old: PersistentVolume, new: PersistentVolume) -> Iterator[Cause]:
    yield from same(old.spec.host_path, new.spec.host_path, "spec.hostPath")
    yield from same(old.spec.local, new.spec.local, "spec.local")
    yield from same(old.spec.csi, new.spec.csi, "spec.csi")
    yield from same(old.spec.volume_mode, new.spec.volume_mode, "spec.volumeMode")
    if old.spec.node_affinity:
        yield from same(old.spec.node_affinity, new.spec.node_affinity, "spec.nodeAffinity")


def _fields(*names: str) -> Callable[[Any, Any], Iterator[Cause]]:
    """Top-level fields that stay."""

    def rules(old: KubeObject, new: KubeObject) -> Iterator[Cause]:
        for name in names:
            yield from same(getattr(old, name), getattr(new, name), type(old).model_fields[name].alias or name)

    return rules


def _ingress_class(old: IngressClass, new: IngressClass) -> Iterator[Cause]:
    before, after = ((each.spec or {}).get("controller") for each in (old, new))
    yield from same(before, after, "spec.controller")


RULES: dict[type[KubeObject], Callable[[Any, Any], Iterator[Cause]]] = {
    Pod: _pod,
    Deployment: _selector,
    ReplicaSet: _selector,
    DaemonSet: _selector,
    StatefulSet: stateful_set_update,
    Job: job_update,
    Service: _service,
    ConfigMap: _config,
    Secret: _config,
    PersistentVolumeClaim: _claim,
    RoleBinding: same_role,
    ClusterRoleBinding: same_role,
    CertificateSigningRequest: _fields("spec"),
    ControllerRevision: _fields("data"),
    CustomResourceDefinition: definitionrules.validate_update,
    IngressClass: _ingress_class,
    PersistentVolume: _volume,
    PriorityClass: _fields("value", "preemption_policy"),
    RuntimeClass: _fields("handler"),
    StorageClass: _fields("provisioner", "parameters", "reclaim_policy", "volume_binding_mode"),
}
