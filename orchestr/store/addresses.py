"""Service addresses and node ports: given out in the write's transaction, so that two Services never share one.

The first try derives from the Service's name: the same Service made anew mostly gets its address back, and finding a
free one takes one look however many are taken.
"""

import hashlib
from ipaddress import IPv4Network, IPv6Network, ip_address

from orchestr.api.core import Service
from orchestr.api.errors import Cause, Invalid, Unavailable
from orchestr.api.service import ServicePort, ServiceSpec
from orchestr.store.ports import ip_claim, port_claim
from orchestr.store.refusals import invalid
from orchestr.store.request import Request
from orchestr.store.table import Row

RESERVED = 16  # first addresses of a range: network, gateway, name server, and what comes later
NODE_PORTS = range(30000, 32768)
FAMILIES = ("IPv4", "IPv6")


def allocate(request: Request) -> Service:
    """The Service with clusterIP(s) and node ports. Raises Invalid for what is out of range, taken or changed."""
    service = request.new
    assert isinstance(service, Service)
    spec = _kept(service.spec, request.old)
    spec = _with_addresses(request, spec)
    return service.but(spec=spec.but(ports=_with_node_ports(request, spec)))


def _kept(spec: ServiceSpec, old: object) -> ServiceSpec:
    """What the stored Service has and the new one does not mention stays."""
    if not isinstance(old, Service):
        return spec
    was = {(port.port, port.protocol): port.node_port for port in old.spec.ports}
    if spec.type in ("NodePort", "LoadBalancer"):
        ports = [p if p.node_port else p.but(node_port=was.get((p.port, p.protocol))) for p in spec.ports]
        spec = spec.but(ports=tuple(ports))
    if spec.cluster_ip:
        return spec
    return spec.but(
        cluster_ip=old.spec.cluster_ip,
        cluster_ips=spec.cluster_ips or old.spec.cluster_ips,
        ip_families=spec.ip_families or old.spec.ip_families,
        ip_family_policy=spec.ip_family_policy or old.spec.ip_family_policy,
    )


def _with_addresses(request: Request, spec: ServiceSpec) -> ServiceSpec:
    if spec.headless:
        return spec.but(cluster_ips=("None",), ip_families=spec.ip_families or FAMILIES)
    wanted = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    families = _families(spec, wanted)
    found: list[str] = []
    for index, family in enumerate(families):
        given = wanted[index] if index < len(wanted) else None
        found.append(_checked(request, given, family, index) if given else _free(request, family))
    policy = spec.ip_family_policy or ("PreferDualStack" if len(families) == 2 else "SingleStack")
    return spec.but(cluster_ip=found[0], cluster_ips=tuple(found), ip_families=families, ip_family_policy=policy)


def _families(spec: ServiceSpec, wanted: tuple[str, ...]) -> tuple[str, ...]:
    first = spec.ip_families or tuple(f"IPv{ip_address(text).version}" for text in wanted if _is_ip(text))
    if spec.ip_family_policy == "SingleStack" or (spec.ip_families and not spec.ip_family_policy):
        return first or FAMILIES[:1]
    return first + tuple(family for family in FAMILIES if family not in first)


def _checked(request: Request, text: str, family: str, index: int) -> str:
    """An address that the user, or the stored Service, names."""
    network = _network(request, family)
    if not _is_ip(text) or ip_address(text) not in network:
        raise _invalid(request, f"clusterIPs[{index}]", f"{text} is not in the service range {network}")
    text = str(ip_address(text))
    if holders := _others(request, ip_claim(text)):
        message = f"{text} is already taken by service {holders[0].object.key}"
        cause = Cause(f"spec.clusterIPs[{index}]", message, "FieldValueDuplicate")
        raise invalid(Service, request.new.metadata.name, [cause])
    return text


def _free(request: Request, family: str) -> str:
    network = _network(request, family)
    room = network.num_addresses - RESERVED - 1
    start = int.from_bytes(hashlib.sha256(f"{family} {request.where}".encode()).digest()[:8], "big")
    for step in range(min(max(room, 0), 65536)):
        text = str(network[RESERVED + (start + step) % room])
        if not request.tx.table.holders(ip_claim(text)):
            return text
    raise Unavailable(f"cannot give service {request.where} an address: {network} is used up (choose a larger range)")


def _with_node_ports(request: Request, spec: ServiceSpec) -> tuple[ServicePort, ...]:
    taken: set[str] = set()
    ports: list[ServicePort] = []
    for index, port in enumerate(spec.ports):
        number = port.node_port
        if number and number not in NODE_PORTS and spec.type in ("NodePort", "LoadBalancer"):
            message = f"{number} is not in the range of node ports {NODE_PORTS[0]}-{NODE_PORTS[-1]}"
            raise _invalid(request, f"ports[{index}].nodePort", message)
        if spec.type == "NodePort" and not number:
            number = _free_port(request, port.protocol, taken)
            taken.add(port_claim(port.protocol, number))
        ports.append(port.but(node_port=number if spec.type in ("NodePort", "LoadBalancer") else None))
    return tuple(ports)


def _free_port(request: Request, protocol: str, taken: set[str]) -> int:
    start = int.from_bytes(hashlib.sha256(f"{protocol} {request.where}".encode()).digest()[:4], "big")
    for step in range(len(NODE_PORTS)):
        number = NODE_PORTS[(start + step) % len(NODE_PORTS)]
        claim = port_claim(protocol, number)
        if claim not in taken and not request.tx.table.holders(claim):
            return number
    raise Unavailable(f"cannot give service {request.where} a node port: all are taken (delete a NodePort service)")


def _network(request: Request, family: str) -> IPv4Network | IPv6Network:
    return request.site.services4 if family == "IPv4" else request.site.services6


def _others(request: Request, claim: str) -> list[Row]:
    return [row for row in request.tx.table.holders(claim) if row.object.key != request.new.key]


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _invalid(request: Request, field: str, message: str) -> Invalid:
    return invalid(Service, request.new.metadata.name, [Cause(f"spec.{field}", message)])
