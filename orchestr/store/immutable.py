"""What an update may not change, as Kubernetes' own validation has it."""

from typing import Any

from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.base import KubeObject
from orchestr.api.batch import Job
from orchestr.api.core import ConfigMap, Container, PersistentVolumeClaim, Pod, PodSpec, Secret, Service
from orchestr.api.errors import Cause

POD = (
    "pod updates may not change fields other than `spec.containers[*].image`, `spec.initContainers[*].image`, "
    "`spec.containers[*].resources`, `spec.activeDeadlineSeconds`, or take away scheduling gates"
)


def check(new: KubeObject, old: KubeObject) -> list[Cause]:
    """One cause for each immutable field that differs."""
    if isinstance(new, Pod) and isinstance(old, Pod):
        return _pod(new.spec, old.spec)
    if isinstance(new, ConfigMap | Secret):
        return _data(new, old)
    fields = {
        Deployment: ("spec.selector",),
        ReplicaSet: ("spec.selector",),
        Job: ("spec.selector", "spec.template", "spec.completions"),
        PersistentVolumeClaim: ("spec.access_modes", "spec.storage_class_name", "spec.volume_mode"),
    }.get(type(new), ())
    causes = [_immutable(field) for field in fields if _value(new, field) != _value(old, field)]
    return causes + (_service(new, old) if isinstance(new, Service) and isinstance(old, Service) else [])


def _pod(new: PodSpec, old: PodSpec) -> list[Cause]:
    gates = {gate.name for gate in new.scheduling_gates} - {gate.name for gate in old.scheduling_gates}
    if gates:
        return [Cause("spec.schedulingGates", f"only deletion is allowed, but found new scheduling gate {min(gates)}")]
    if old.node_name and new.node_name != old.node_name:
        return [_immutable("spec.nodeName")]
    same = new.but(
        scheduling_gates=old.scheduling_gates,
        node_name=old.node_name,
        active_deadline_seconds=old.active_deadline_seconds,
        containers=_containers(new.containers, old.containers),
        init_containers=_containers(new.init_containers, old.init_containers),
    )
    return [] if same == old else [Cause("spec", POD, "FieldValueForbidden")]


def _containers(new: tuple[Container, ...], old: tuple[Container, ...]) -> tuple[Container, ...]:
    """The new containers with what they may change taken from the old."""
    was = {container.name: container for container in old}
    kept = ("image", "image_pull_policy", "resources")
    return tuple(
        container.but(**{name: getattr(was[container.name], name) for name in kept})
        if container.name in was
        else container
        for container in new
    )


def _data(new: ConfigMap | Secret, old: Any) -> list[Cause]:
    causes = []
    if old.immutable and (new.data != old.data or not new.immutable):
        causes.append(Cause("data", "field is immutable when `immutable` is set", "FieldValueForbidden"))
    if isinstance(new, Secret) and new.type != old.type:
        causes.append(_immutable("type"))
    return causes


def _service(new: Service, old: Service) -> list[Cause]:
    moved = old.spec.cluster_ip and new.spec.cluster_ip and new.spec.cluster_ip != old.spec.cluster_ip
    return [_immutable("spec.clusterIPs[0]")] if moved else []


def _value(obj: Any, field: str) -> Any:
    for name in field.split("."):
        obj = getattr(obj, name)
    return obj


def _immutable(field: str) -> Cause:
    first, *rest = field.split("_")
    return Cause(first + "".join(part.capitalize() for part in rest), "field is immutable")
