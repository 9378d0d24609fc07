"""A Service with its endpoints as the dataplane gets it."""

import json
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from orchestr.agent.services import publications, service_net
from orchestr.api.core import Service
from orchestr.api.discovery import EndpointSlice
from orchestr.network.seam import Backend, Publish


def service(annotations: dict[str, str] | None = None, **spec: Any) -> Service:
    spec = {"clusterIPs": ["10.9.0.1", "fd09::1"], "ports": [{"port": 80, "protocol": "TCP"}], **spec}
    return Service.model_validate(
        {"metadata": {"name": "web", "namespace": "ns", "annotations": annotations or {}}, "spec": spec}
    )


def slices(*pods: tuple[str, int, bool], port: int = 8080) -> list[EndpointSlice]:
    """(name, number of its address, whether it is ready), in both families."""
    return [
        EndpointSlice.model_validate(
            {
                "metadata": {"name": family, "namespace": "ns"},
                "addressType": family,
                "ports": [{"name": "", "port": port, "protocol": "TCP"}],
                "endpoints": [
                    {
                        "addresses": [f"{prefix}{number}"],
                        "conditions": {"ready": ready},
                        "targetRef": {"kind": "Pod", "name": name},
                    }
                    for name, number, ready in pods
                ],
            }
        )
        for family, prefix in (("IPv4", "10.1.0."), ("IPv6", "fd01::"))
    ]


def test_only_ready_pods_are_backends() -> None:
    net = service_net(service(), slices(("b", 3, True), ("a", 2, True), ("c", 4, False)))
    assert [str(each.ipv4) for each in net.ports[0].backends] == ["10.1.0.2", "10.1.0.3"]
    assert net.ports[0].backends[0] == Backend(IPv4Address("10.1.0.2"), IPv6Address("fd01::2"), 8080)
    assert (str(net.ipv4), str(net.ipv6), net.sticky) == ("10.9.0.1", "fd09::1", 0)


def test_a_headless_service_has_names_only() -> None:
    net = service_net(service(clusterIP="None", clusterIPs=["None"]), slices(("a", 2, True)))
    assert (net.ipv4, net.ipv6) == (None, None)
    assert net.pods == (("a", IPv4Address("10.1.0.2"), IPv6Address("fd01::2")),)


def test_published_ports_of_every_kind() -> None:
    wanted = [{"hostIP": "127.0.0.1", "hostPort": 8080, "port": 80}, {"hostPort": 53, "port": 53, "protocol": "UDP"}]
    own = service({"orchestr.dev/publish": json.dumps(wanted), "orchestr.dev/aliases": "a, b"})
    assert publications(own) == [(80, "TCP", Publish("127.0.0.1", 8080)), (53, "UDP", Publish("", 53))]
    net = service_net(own, [])
    assert net.ports[0].publish == (Publish("127.0.0.1", 8080),)
    assert net.aliases == ("a", "b")
    balanced = service(type="LoadBalancer", ports=[{"port": 80, "nodePort": 30080, "protocol": "TCP"}])
    assert [where.port for _, _, where in publications(balanced)] == [30080, 80]


def test_affinity_has_kubernetes_default() -> None:
    assert service_net(service(sessionAffinity="ClientIP"), []).sticky == 10800
    config = {"clientIP": {"timeoutSeconds": 5}}
    assert service_net(service(sessionAffinity="ClientIP", sessionAffinityConfig=config), []).sticky == 5
