"""What an object counts for in a ResourceQuota. Pure; the store charges it, the quota controller sums it up.

Source: pkg/quota/v1/evaluator of Kubernetes. Names are those of ResourceQuota's spec.hard; `cpu` and `memory` are
the short forms of `requests.cpu` and `requests.memory`.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from orchestr.api.base import KubeObject
from orchestr.api.core import PersistentVolumeClaim, Pod, Service
from orchestr.api.quantity import binary, decimal, parse

Usage = Mapping[str, Decimal]

COUNTED = (  # kinds with a name of their own, besides count/KIND
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
)
BYTES = ("memory", "storage", "ephemeral-storage")
SHORT = {"cpu": "requests.cpu", "memory": "requests.memory", "ephemeral-storage": "requests.ephemeral-storage"}
ONE = Decimal(1)


def usage(obj: KubeObject) -> dict[str, Decimal]:
    """Everything that this object uses, by quota name."""
    plural, group = obj.PLURAL, obj.GROUP
    used = {f"count/{plural}.{group}" if group else f"count/{plural}": ONE}
    if not group and plural in COUNTED:
        used[plural] = ONE
    if isinstance(obj, Pod):
        used |= _pod(obj)
    elif isinstance(obj, Service):
        used |= _service(obj)
    elif isinstance(obj, PersistentVolumeClaim):
        used["requests.storage"] = parse(obj.spec.resources.requests.get("storage", "0"))
    return used


def total(objects: Iterable[KubeObject]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for obj in objects:
        for name, value in usage(obj).items():
            sums[name] = sums.get(name, Decimal(0)) + value
    return sums


def text(name: str, value: Decimal) -> str:
    """A quantity as this quota name is written: bytes with a binary suffix, the rest as a number."""
    return binary(int(value)) if name.rpartition(".")[2] in BYTES else decimal(value)


def requested(pod: Pod) -> dict[str, Decimal]:
    """What the pod asks for: `requests.cpu`, `limits.memory`, ...; init containers run before: the maximum counts."""
    main: dict[str, Decimal] = {}
    first: dict[str, Decimal] = {}
    for container in pod.spec.containers:
        for name, value in _container(container.resources.requests, container.resources.limits).items():
            main[name] = main.get(name, Decimal(0)) + value
    for container in pod.spec.init_containers:
        for name, value in _container(container.resources.requests, container.resources.limits).items():
            first[name] = max(first.get(name, Decimal(0)), value)
    return {name: max(main.get(name, Decimal(0)), first.get(name, Decimal(0))) for name in {**main, **first}}


def _pod(pod: Pod) -> dict[str, Decimal]:
    if pod.finished:
        return {}
    wants = requested(pod)
    short = {name: wants[full] for name, full in SHORT.items() if full in wants}
    return {"pods": ONE, **wants, **short}


def _container(requests: Mapping[str, str], limits: Mapping[str, str]) -> dict[str, Decimal]:
    found = {f"requests.{name}": parse(value) for name, value in limits.items()}  # a limit alone is a request, too
    found |= {f"requests.{name}": parse(value) for name, value in requests.items()}
    return found | {f"limits.{name}": parse(value) for name, value in limits.items()}


def _service(service: Service) -> dict[str, Decimal]:
    ports = sum(port.node_port is not None for port in service.spec.ports)
    balanced = service.spec.type == "LoadBalancer"
    return {"services.nodeports": Decimal(ports), "services.loadbalancers": Decimal(balanced)}
