"""EndpointSlices (discovery.k8s.io/v1) of a Service with a selector: the addresses of its pods, a slice per family.

A pod that is being deleted leaves `ready` at once and stays as `terminating` while it still serves, so that a
connection to it is drained. Services without a selector have slices that somebody else writes; ExternalName has none.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from orchestr.api.base import ObjectMeta
from orchestr.api.discovery import SERVICE_NAME, Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from orchestr.api.meta import ObjectReference
from orchestr.api.pod import Pod
from orchestr.api.service import Service, ServicePort
from orchestr.engine import By, ControllerCluster, Key, Related, Watches, child_name
from orchestr.engine.controller import Index

MANAGED_BY, MANAGER = "endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"
LIMIT = 1000  # endpoints in a slice, Kubernetes' upper bound
FAMILIES = ("IPv4", "IPv6")

Ports = tuple[EndpointPort, ...]


def _anchor(service: Service) -> Iterable[tuple[str, str, str]]:
    """One label that every pod of the service has; the first in the alphabet, any would do."""
    if not service.spec.selector:
        return ()
    name, value = min(service.spec.selector.items())
    return ((service.key.namespace, name, value),)


def _selecting(pod: Pod, index: Index) -> list[Key]:
    labels, namespace = pod.metadata.labels, pod.key.namespace
    anchored = (service for item in labels.items() for service in index.by(Service, "anchor", (namespace, *item)))
    return [service.key for service in anchored if service.spec.selector.items() <= labels.items()]


WATCHES = Watches(
    Service, owns=(EndpointSlice,), related=(Related(Pod, _selecting),), indexes=(By(Service, "anchor", _anchor),)
)


@dataclass(frozen=True)
class Difference:
    create: tuple[EndpointSlice, ...]
    update: tuple[EndpointSlice, ...]
    delete: tuple[EndpointSlice, ...]


def difference(service: Service, pods: Sequence[Pod], slices: Sequence[EndpointSlice]) -> Difference:
    """What to write so that the slices say what the pods are. Pure."""
    wanted = {each.metadata.name: each for each in desired(service, pods)}
    present = {each.metadata.name: each for each in slices if not each.metadata.deleting}
    # The first slice of a family is emptied, not deleted: the next pod is not far, and a watcher sees one change.
    first = {child_name(service, f"{family}/0") for family in FAMILIES}
    idle = [present[name] for name in sorted(first & present.keys() - wanted.keys()) if present[name].endpoints]
    kept = [_rewritten(old, wanted[name]) for name, old in present.items() if name in wanted]
    return Difference(
        create=tuple(new for name, new in wanted.items() if name not in present),
        update=(
            *(new for new in kept if new is not present[new.metadata.name]),
            *(old.but(endpoints=()) for old in idle),
        ),
        delete=tuple(old for name, old in present.items() if name not in wanted and name not in first),
    )


def _rewritten(old: EndpointSlice, new: EndpointSlice) -> EndpointSlice:
    """The old one where nothing differs; else with the new content."""
    labels = {**old.metadata.labels, **new.metadata.labels}
    if (old.endpoints, old.ports, old.metadata.labels) == (new.endpoints, new.ports, labels):
        return old
    return old.but(metadata=old.metadata.but(labels=labels), endpoints=new.endpoints, ports=new.ports)


def desired(service: Service, pods: Sequence[Pod]) -> list[EndpointSlice]:
    """The slices of all families; the names derive from the service's uid, family and number."""
    return [
        _slice(service, family, number, ports, part)
        for family in service.spec.ip_families or FAMILIES
        for number, (ports, part) in enumerate(_parts(service, pods, family))
    ]


def _parts(service: Service, pods: Sequence[Pod], family: str) -> list[tuple[Ports, list[Endpoint]]]:
    """Endpoints with the same port numbers together, at most LIMIT at a time, in a stable order."""
    groups: defaultdict[Ports, list[Endpoint]] = defaultdict(list)
    by_ports: dict[tuple[int | None, ...], Ports] = {}
    for pod in sorted(pods, key=lambda pod: pod.metadata.name):
        address = _address(pod, family)
        if address and not pod.finished:
            ports = tuple(port for each in service.spec.ports if (port := _port(each, pod)))
            ports = by_ports.setdefault(tuple(port.port for port in ports), ports)
            groups[ports].append(_endpoint(service, pod, address))
    return [(ports, group[i : i + LIMIT]) for ports, group in groups.items() for i in range(0, len(group), LIMIT)]


def _address(pod: Pod, family: str) -> str | None:
    version = 6 if family == "IPv6" else 4
    return next((ip for ip in pod.ips if ip_address(ip).version == version), None)


def _port(port: ServicePort, pod: Pod) -> EndpointPort | None:
    """The port with its number in this pod; None when the pod has no port of that name."""
    number = target_port(port, pod)
    if number is None:
        return None
    return EndpointPort(name=port.name or "", port=number, protocol=port.protocol, app_protocol=port.app_protocol)


def target_port(port: ServicePort, pod: Pod) -> int | None:
    if not isinstance(port.target_port, str):
        return port.target_port or port.port
    declared = (each for container in pod.spec.containers for each in container.ports)
    found = (each for each in declared if each.name == port.target_port and each.protocol == port.protocol)
    return next((each.container_port for each in found), None)


def _endpoint(service: Service, pod: Pod, address: str) -> Endpoint:
    deleting, anyway = pod.metadata.deleting, bool(service.spec.publish_not_ready_addresses)
    named = pod.spec.hostname and pod.spec.subdomain == service.metadata.name
    return Endpoint(
        addresses=(address,),
        conditions=EndpointConditions(
            ready=anyway or (pod.ready and not deleting), serving=anyway or pod.ready, terminating=deleting
        ),
        hostname=pod.spec.hostname if named else None,
        node_name=pod.spec.node_name,
        target_ref=ObjectReference(
            kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid
        ),
    )


def _slice(service: Service, family: str, number: int, ports: Ports, endpoints: Sequence[Endpoint]) -> EndpointSlice:
    meta = service.metadata
    marks = {SERVICE_NAME: meta.name, MANAGED_BY: MANAGER} | ({HEADLESS: ""} if service.spec.headless else {})
    return EndpointSlice(
        metadata=ObjectMeta(
            name=child_name(service, f"{family}/{number}"),
            namespace=meta.namespace,
            labels={**meta.labels, **marks},
            owner_references=(service.owner_reference(),),
        ),
        address_type=family,
        endpoints=tuple(endpoints),
        ports=ports,
    )


async def reconcile(cluster: ControllerCluster, key: Key) -> None:
    service = await cluster.get(Service, key)
    if service is None or service.metadata.deleting or not service.spec.selector or service.spec.type == "ExternalName":
        return  # a Service that is gone takes its slices along, by their owner references
    pods = await cluster.list(Pod, namespace=key.namespace, labels=service.spec.selector)
    todo = difference(service, pods, await cluster.list(EndpointSlice, owner=service))
    for updated in todo.update:
        await cluster.update(updated)
    await cluster.create_all(todo.create)
    await cluster.delete_all(todo.delete)
