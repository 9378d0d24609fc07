"""NetworkPolicy: defaults and Kubernetes' rules."""

from typing import Any

import pytest

from orchestr.api import scheme

ANY: dict[str, Any] = {"podSelector": {}}


def policy(**spec: Any) -> dict[str, Any]:
    wire = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}}
    return {**wire, "spec": {**ANY, **spec}}


def findings(data: dict[str, Any]) -> dict[str, str]:
    return {cause.field: cause.message for cause in scheme.validate(scheme.default(scheme.decode(data)))}


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({}, ["Ingress"]),
        ({"ingress": []}, ["Ingress"]),
        ({"egress": [{}]}, ["Ingress", "Egress"]),
        ({"egress": [{}], "policyTypes": ["Egress"]}, ["Egress"]),
    ],
)
def test_types_follow_what_is_said(spec: dict[str, Any], types: list[str]) -> None:
    made = scheme.default(scheme.decode(policy(**spec))).wire()["spec"]
    assert (made["policyTypes"], made["podSelector"]) == (types, {})


def test_what_is_empty_stays_and_ports_are_tcp() -> None:
    rules = [{}, {"from": [{"podSelector": {}}, {"namespaceSelector": {}}], "ports": [{"port": 1}, {}]}]
    made = scheme.default(scheme.decode(policy(ingress=rules))).wire()["spec"]["ingress"]
    assert made == [{}, {**rules[1], "ports": [{"port": 1, "protocol": "TCP"}, {"protocol": "TCP"}]}]


def peer(**fields: Any) -> dict[str, Any]:
    return policy(ingress=[{"from": [fields]}])


def port(**fields: Any) -> dict[str, Any]:
    return policy(egress=[{"ports": [fields]}])


P, Q = "spec.ingress[0].from[0]", "spec.egress[0].ports[0]"
WRONG = [
    (peer(), P, "must specify a peer"),
    (peer(ipBlock={"cidr": "10.0.0.0/8"}, podSelector={}), P, "both ipBlock and another peer"),
    (peer(ipBlock={"cidr": ""}), f"{P}.ipBlock.cidr", "required"),
    (peer(ipBlock={"cidr": "10.0.0.0"}), f"{P}.ipBlock.cidr", "a range of addresses"),
    (peer(ipBlock={"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}), f"{P}.ipBlock.except[0]", "strict subset"),
    (peer(ipBlock={"cidr": "10.0.0.0/8", "except": ["fd00::/64"]}), f"{P}.ipBlock.except[0]", "strict subset"),
    (peer(podSelector={"matchExpressions": [{"key": "a", "operator": "In"}]}), f"{P}.podSelector.match", "needs"),
    (port(protocol="ICMP"), f"{Q}.protocol", "TCP, UDP, SCTP"),
    (port(port=0), f"{Q}.port", "1 to 65535"),
    (port(port=70000), f"{Q}.port", "1 to 65535"),
    (port(port="no port"), f"{Q}.port", "no port name"),
    (port(port=90, endPort=80), f"{Q}.endPort", "greater than or equal"),
    (port(endPort=80), f"{Q}.port", "when endPort"),
    (port(port="http", endPort=80), f"{Q}.endPort", "non-numeric"),
    (policy(policyTypes=["Ingres"]), "spec.policyTypes[0]", "Ingress, Egress"),
]


@pytest.mark.parametrize(("data", "field", "words"), WRONG, ids=[f"{i}-{w}" for i, (_, w, _) in enumerate(WRONG)])
def test_what_breaks_a_rule_is_told_with_its_field(data: dict[str, Any], field: str, words: str) -> None:
    (found,) = findings(data).items()
    assert found[0].startswith(field)
    assert words in found[1]


def test_bits_of_the_host_may_be_set() -> None:
    assert findings(peer(ipBlock={"cidr": "10.0.0.5/8", "except": ["10.1.2.3/24"]})) == {}
