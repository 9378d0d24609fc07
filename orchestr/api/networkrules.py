"""Kubernetes' rules for NetworkPolicy and Ingress. Source: pkg/apis/networking/validation of Kubernetes."""

from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from orchestr.api import names
from orchestr.api.base import KubeObject
from orchestr.api.errors import Cause
from orchestr.api.ingress import (
    HTTPIngressPath,
    Ingress,
    IngressBackend,
    ServiceBackendPort,
    TypedLocalObjectReference,
)
from orchestr.api.metarules import check_selector
from orchestr.api.networkpolicy import IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort
from orchestr.api.rbacrules import path_segment
from orchestr.api.rules import one_of, port_number, required, wrong

PATH_TYPES = ("Exact", "Prefix", "ImplementationSpecific")
IN_PATH, AT_END = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")


def _policy(policy: NetworkPolicy) -> Iterator[Cause]:
    spec = policy.spec
    yield from check_selector(spec.pod_selector, "spec.podSelector")
    for index, rule in enumerate(spec.ingress):
        yield from _rule(f"spec.ingress[{index}]", "from", rule.from_, rule.ports)
    for index, out in enumerate(spec.egress):
        yield from _rule(f"spec.egress[{index}]", "to", out.to, out.ports)
    if len(spec.policy_types) > 2:
        yield Cause("spec.policyTypes", "may not specify more than two policyTypes")
    for index, type_ in enumerate(spec.policy_types):
        yield from one_of(f"spec.policyTypes[{index}]", type_, ("Ingress", "Egress"))


def _rule(
    at: str, word: str, peers: tuple[NetworkPolicyPeer, ...], ports: tuple[NetworkPolicyPort, ...]
) -> Iterator[Cause]:
    for index, port in enumerate(ports):
        yield from _policy_port(f"{at}.ports[{index}]", port)
    for index, peer in enumerate(peers):
        yield from _peer(f"{at}.{word}[{index}]", peer)


def _policy_port(at: str, port: NetworkPolicyPort) -> Iterator[Cause]:
    yield from one_of(f"{at}.protocol", port.protocol, ("TCP", "UDP", "SCTP"))
    if isinstance(port.port, int):
        if port.port or port.end_port is None:
            yield from port_number(f"{at}.port", port.port)
        if port.end_port is not None and port.end_port < port.port:
            yield Cause(f"{at}.endPort", f"must be greater than or equal to port ({port.port}), not {port.end_port}")
        yield from port_number(f"{at}.endPort", port.end_port)
    elif port.end_port is not None:
        if port.port is None:
            yield required(f"{at}.port", "must be specified when endPort is specified")
        else:
            yield Cause(f"{at}.endPort", "may not be specified when port is non-numeric")
    if isinstance(port.port, str):
        yield from wrong(f"{at}.port", names.port_name(port.port))


def _peer(at: str, peer: NetworkPolicyPeer) -> Iterator[Cause]:
    for field, selector in (("podSelector", peer.pod_selector), ("namespaceSelector", peer.namespace_selector)):
        if selector is not None:
            yield from check_selector(selector, f"{at}.{field}")
    by_label = peer.pod_selector is not None or peer.namespace_selector is not None
    if peer.ip_block is not None:
        yield from _block(f"{at}.ipBlock", peer.ip_block)
        if by_label:
            yield Cause(at, "may not specify both ipBlock and another peer", "FieldValueForbidden")
    elif not by_label:
        yield required(at, "must specify a peer")


def _block(at: str, block: IPBlock) -> Iterator[Cause]:
    if not block.cidr:
        yield required(f"{at}.cidr")
        return
    whole = _network(block.cidr)
    if whole is None:
        yield Cause(f"{at}.cidr", f"must be a range of addresses such as 10.0.0.0/8, not {block.cidr!r}")
    for index, text in enumerate(block.except_):
        part = _network(text)
        if part is None:
            yield Cause(f"{at}.except[{index}]", f"must be a range of addresses such as 10.9.0.0/16, not {text!r}")
        elif whole is not None and not _strictly_within(part, whole):
            yield Cause(f"{at}.except[{index}]", f"must be a strict subset of cidr ({block.cidr}), not {text}")


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """Kubernetes takes addresses with bits of the host set, and means the range around them."""
    try:
        return ip_network(text, strict=False) if "/" in text and text.rpartition("/")[2].isdecimal() else None
    except ValueError:
        return None


def _strictly_within(part: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    return part.version == whole.version and part.prefixlen > whole.prefixlen and part.subnet_of(whole)  # type: ignore[arg-type]


def _ingress(ingress: Ingress) -> Iterator[Cause]:
    spec = ingress.spec
    for i, tls in enumerate(spec.tls):
        for j, host in enumerate(tls.hosts):
            yield from wrong(f"spec.tls[{i}].hosts[{j}]", _host(host))
        if tls.secret_name:
            yield from wrong(f"spec.tls[{i}].secretName", names.dns_subdomain(tls.secret_name))
    if not spec.rules and spec.default_backend is None:
        yield Cause("spec", "either `defaultBackend` or `rules` must be specified")
    if spec.default_backend is not None:
        yield from _backend("spec.defaultBackend", spec.default_backend)
    for i, rule in enumerate(spec.rules):
        if rule.host:
            yield from wrong(f"spec.rules[{i}].host", _host(rule.host))
        if rule.http is not None:
            at = f"spec.rules[{i}].http.paths"
            if not rule.http.paths:
                yield required(at)
            for j, path in enumerate(rule.http.paths):
                yield from _path(f"{at}[{j}]", path)
    if spec.ingress_class_name is not None:
        yield from wrong("spec.ingressClassName", names.dns_subdomain(spec.ingress_class_name))


def _host(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        return names.dns_subdomain(host.removeprefix("*."))
    return f"must be a DNS name, not an IP address: {host}"


def _path(at: str, path: HTTPIngressPath) -> Iterator[Cause]:
    text = path.path or ""
    if path.path_type is None:
        yield required(f"{at}.pathType", "pathType must be specified")
    yield from one_of(f"{at}.pathType", path.path_type, PATH_TYPES)
    if path.path_type in ("Exact", "Prefix"):
        if not text.startswith("/"):
            yield Cause(f"{at}.path", f"must be an absolute path, not {text!r}")
        bad = [part for part in IN_PATH if part in text] + [part for part in AT_END if text.endswith(part)]
        for part in bad:
            yield Cause(f"{at}.path", f"must not contain {part!r}")
    elif text and not text.startswith("/"):
        yield Cause(f"{at}.path", f"must be an absolute path, not {text!r}")
    yield from _backend(f"{at}.backend", path.backend)


def _backend(at: str, backend: IngressBackend) -> Iterator[Cause]:
    if backend.service is not None and backend.resource is not None:
        yield Cause(at, "cannot set both resource and service backends")
    elif backend.resource is not None:
        yield from _resource(f"{at}.resource", backend.resource)
    elif backend.service is not None:
        if not backend.service.name:
            yield required(f"{at}.service.name")
        else:
            yield from wrong(f"{at}.service.name", names.dns_label(backend.service.name))
        yield from _backend_port(at, backend.service.port)
    else:
        yield Cause(at, "resource or service backend is required")


def _resource(at: str, reference: TypedLocalObjectReference) -> Iterator[Cause]:
    if reference.api_group:
        yield from wrong(f"{at}.apiGroup", names.dns_subdomain(reference.api_group))
    for field, text in (("kind", reference.kind), ("name", reference.name)):
        yield from wrong(f"{at}.{field}", path_segment(text)) if text else [required(f"{at}.{field}")]


def _backend_port(at: str, port: ServiceBackendPort) -> Iterator[Cause]:
    if port.name and port.number:
        yield Cause(at, "cannot set both port name & port number")
    elif port.name:
        yield from wrong(f"{at}.service.port.name", names.port_name(port.name))
    elif port.number:
        yield from port_number(f"{at}.service.port.number", port.number)
    else:
        yield required(at, "port name or number is required")


RULES: dict[type[KubeObject], Callable[[Any], Iterator[Cause]]] = {NetworkPolicy: _policy, Ingress: _ingress}
