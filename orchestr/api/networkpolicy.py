"""NetworkPolicy (networking.k8s.io/v1): which connections pods take and make."""

from typing import ClassVar

from pydantic import Field

from orchestr.api.base import Items, KubeObject, Model
from orchestr.api.meta import IntOrString, LabelSelector


class NetworkPolicyPort(Model):
    protocol: str | None = None  # TCP, UDP, SCTP
    port: IntOrString | None = None  # None: every port; a name is looked up in the pod that is connected to
    end_port: int | None = None


class IPBlock(Model):
    cidr: str
    except_: Items[str] = Field(default=(), alias="except")


class NetworkPolicyPeer(Model):
    """Pods by their labels, those of namespaces, or a range of addresses."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class NetworkPolicyIngressRule(Model):
    from_: Items[NetworkPolicyPeer] = Field(default=(), alias="from")  # none: from everywhere
    ports: Items[NetworkPolicyPort] = ()  # none: to every port


class NetworkPolicyEgressRule(Model):
    to: Items[NetworkPolicyPeer] = ()
    ports: Items[NetworkPolicyPort] = ()


class NetworkPolicySpec(Model):
    pod_selector: LabelSelector = LabelSelector()
    ingress: Items[NetworkPolicyIngressRule] = ()
    egress: Items[NetworkPolicyEgressRule] = ()
    policy_types: Items[str] = ()  # Ingress, Egress


class NetworkPolicy(KubeObject):
    PLURAL: ClassVar[str] = "networkpolicies"
    GROUP: ClassVar[str] = "networking.k8s.io"
    SHORT: ClassVar[tuple[str, ...]] = ("netpol",)

    api_version: str = "networking.k8s.io/v1"
    kind: str = "NetworkPolicy"
    spec: NetworkPolicySpec = NetworkPolicySpec()
