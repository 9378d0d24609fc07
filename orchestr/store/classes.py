"""What admission looks up by class: a pod's priority, a claim's storage class, an ingress' class."""

from typing import TypeVar

from orchestr.api.base import Key, KubeObject
from orchestr.api.core import PersistentVolumeClaim, Pod
from orchestr.api.errors import Cause
from orchestr.api.ingress import CLASS, Ingress
from orchestr.api.ingress import IS_DEFAULT as DEFAULT_INGRESS
from orchestr.api.networking import IngressClass
from orchestr.api.priority import PriorityClass
from orchestr.api.storage import IS_DEFAULT, StorageClass
from orchestr.store.refusals import forbidden, invalid
from orchestr.store.request import Request
from orchestr.store.table import kind_name

PRIORITIES, STORAGE, INGRESS = (kind_name(kind) for kind in (PriorityClass, StorageClass, IngressClass))
K = TypeVar("K", bound=KubeObject)


def classed(request: Request) -> KubeObject:
    """A new pod with its priority, a new claim with its class. Raises Forbidden. Source: plugin/pkg/admission."""
    new = request.new
    if request.old is not None:
        return _kept(new, request.old)
    if isinstance(new, Pod):
        return _prioritized(request, new)
    if isinstance(new, PersistentVolumeClaim) and new.spec.storage_class_name is None:
        newest = _newest(request, STORAGE, IS_DEFAULT)
        return new.but(spec=new.spec.but(storage_class_name=newest)) if newest else new
    return _routed(request, new) if isinstance(new, Ingress) else new


def _newest(request: Request, kind: str, mark: str) -> str:
    """The name of the youngest class that is marked as the default; "" where none is."""
    found = [row.object for row in request.tx.table.rows(kind) if row.object.metadata.annotations.get(mark) == "true"]
    chosen = max(found, key=lambda each: (each.metadata.created, each.metadata.name), default=None)
    return chosen.metadata.name if chosen else ""


def _routed(request: Request, ingress: Ingress) -> Ingress:
    """A new ingress with its class. Raises Invalid."""
    spec = ingress.spec
    if CLASS not in ingress.metadata.annotations:
        name = spec.ingress_class_name or _newest(request, INGRESS, DEFAULT_INGRESS)
        return (
            ingress.but(spec=spec.but(ingress_class_name=name)) if spec.ingress_class_name is None and name else ingress
        )
    if spec.ingress_class_name is not None:
        message = "can not be set when the class field is also set"
        raise invalid(Ingress, ingress.metadata.name, [Cause(f"metadata.annotations[{CLASS}]", message)])
    return ingress


def _kept(new: KubeObject, old: KubeObject) -> KubeObject:
    """What was given to a pod at its creation stays where an update does not mention it."""
    if not isinstance(new, Pod) or not isinstance(old, Pod):
        return new
    spec = new.spec
    if spec.priority is None:
        spec = spec.but(priority=old.spec.priority)
    if spec.preemption_policy is None:
        spec = spec.but(preemption_policy=old.spec.preemption_policy)
    return new if spec is new.spec else new.but(spec=spec)


def one_default(request: Request) -> KubeObject:
    """Only one PriorityClass is the default of all pods."""
    new = request.new
    if isinstance(new, PriorityClass) and new.global_default:
        for row in request.tx.table.rows(PRIORITIES):
            other = row.object
            if isinstance(other, PriorityClass) and other.global_default and other.key != new.key:
                why = f"PriorityClass {other.metadata.name} is already marked as default. Only one default can exist"
                raise forbidden(PriorityClass, new.metadata.name, why)
    return new


def _prioritized(request: Request, pod: Pod) -> Pod:
    found = _priority_class(request, pod)
    value = found.value if found else 0
    if pod.spec.priority is not None and pod.spec.priority != value:
        why = f"the integer value of priority ({pod.spec.priority}) must not be provided in pod spec; " + (
            f"priority admission controller computed {value} from the given PriorityClass name"
        )
        raise forbidden(Pod, pod.metadata.name, why)
    if found is None:
        return pod.but(spec=pod.spec.but(priority=0)) if pod.spec.priority is None else pod
    spec = pod.spec.but(
        priority=value,
        priority_class_name=found.metadata.name,
        preemption_policy=pod.spec.preemption_policy or found.preemption_policy,
    )
    return pod.but(spec=spec)


def _priority_class(request: Request, pod: Pod) -> PriorityClass | None:
    name = pod.spec.priority_class_name
    if not name:
        classes = (row.object for row in request.tx.table.rows(PRIORITIES))
        return next((each for each in classes if isinstance(each, PriorityClass) and each.global_default), None)
    row = request.tx.get(PriorityClass, Key("", name))
    if row is None:
        raise forbidden(Pod, pod.metadata.name, f"no PriorityClass with name {name} was found")
    assert isinstance(row.object, PriorityClass)
    return row.object
