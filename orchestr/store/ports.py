"""Ports of the machine that Services publish: which, and who holds one already.

Two Services may publish the same port on different addresses; an address that stands for all collides with each.
"""

import json
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from orchestr.api.base import KubeObject
from orchestr.api.core import Service
from orchestr.api.errors import Cause
from orchestr.store.request import Request

PUBLISH = "orchestr.dev/publish"
FIELD = f"metadata.annotations[{PUBLISH}]"
ANY = ("", "0.0.0.0", "::")


class Published(NamedTuple):
    """A port of the machine; address "" is every address of both families."""

    address: str
    port: int
    protocol: str
    field: str


def ip_claim(address: str) -> str:
    return f"ip/{address}"


def port_claim(protocol: str, port: int) -> str:
    return f"port/{protocol}/{port}"


def claims(obj: KubeObject) -> tuple[str, ...]:
    """What the object holds of what there is only once. Indexed by the store."""
    if not isinstance(obj, Service):
        return ()
    addresses = {ip_claim(address) for address in obj.spec.cluster_ips if address != "None"}
    try:
        ports = {port_claim(entry.protocol, entry.port) for entry in published(obj)}
    except ValueError:
        ports = set()  # it was refused, or is older than the rule; nobody publishes from it
    return tuple(sorted(addresses | ports))


def published(service: Service) -> list[Published]:
    """Every port that the Service publishes. Raises ValueError for an annotation that cannot be read."""
    return [*_annotated(service), *_typed(service)]


def check(request: Request) -> list[Cause]:
    """One cause for each port that another Service holds, with its name."""
    service = request.new
    assert isinstance(service, Service)
    try:
        wanted = published(service)
    except ValueError as error:
        return [Cause(FIELD, f"cannot read it: {error}")]
    return [cause for entry in wanted for cause in _taken(request, entry)]


def _taken(request: Request, wanted: Published) -> Iterator[Cause]:
    for row in request.tx.table.holders(port_claim(wanted.protocol, wanted.port)):
        holder = row.object
        if holder.key == request.new.key or not isinstance(holder, Service):
            continue
        same = [p for p in published(holder) if (p.port, p.protocol) == (wanted.port, wanted.protocol)]
        if any(_overlap(wanted.address, other.address) for other in same):
            where = f" on {wanted.address}" if wanted.address else ""
            text = f"port {wanted.port}/{wanted.protocol}{where} is already published by service {holder.key}"
            yield Cause(wanted.field, f"{text} (choose another port)", "FieldValueDuplicate")


def _overlap(a: str, b: str) -> bool:
    """Whether two addresses can receive the same packet."""
    if "" in (a, b):
        return True
    if ip_address(a).version != ip_address(b).version:
        return False
    return a == b or a in ANY or b in ANY


def _annotated(service: Service) -> Iterator[Published]:
    text = service.metadata.annotations.get(PUBLISH)
    if not text:
        return
    entries = json.loads(text)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError('it is no list of objects (write [{"hostPort": 8080, "port": 80}])')
    for index, entry in enumerate(entries):
        address, port = str(entry.get("hostIP") or ""), entry.get("hostPort")
        if address:
            ip_address(address)
        if not isinstance(port, int) or not 0 < port < 65536:
            raise ValueError(f"hostPort {port!r} is no port number")
        yield Published(address, port, str(entry.get("protocol") or "TCP").upper(), f"{FIELD}[{index}].hostPort")


def _typed(service: Service) -> Iterator[Published]:
    for index, port in enumerate(service.spec.ports):
        if service.spec.type in ("NodePort", "LoadBalancer") and port.node_port:
            yield Published("", port.node_port, port.protocol, f"spec.ports[{index}].nodePort")
        if service.spec.type == "LoadBalancer":
            yield Published("", port.port, port.protocol, f"spec.ports[{index}].port")
