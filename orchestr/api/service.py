"""Service (core/v1)."""

from typing import Annotated, Any, ClassVar, Literal

from orchestr.api.base import Condition, Dict, Items, KubeObject, Model
from orchestr.api.meta import IntOrString
from orchestr.api.schema import Kept


class ServicePort(Model):
    port: int
    name: str | None = None
    protocol: Literal["TCP", "UDP"] = "TCP"
    target_port: IntOrString | None = None  # None before defaulting: the same as port
    node_port: int | None = None
    app_protocol: str | None = None


class ClientIPConfig(Model):
    timeout_seconds: int = 10800


class SessionAffinityConfig(Model):
    client_ip: ClientIPConfig | None = None


class ServiceSpec(Model):
    type: str = "ClusterIP"  # ClusterIP, NodePort, LoadBalancer
    selector: Dict[str] = {}
    ports: Items[ServicePort] = ()
    cluster_ip: str | None = None  # "None": headless
    cluster_ips: Items[str] = ()
    ip_families: Items[str] = ()  # IPv4, IPv6
    ip_family_policy: str | None = None  # SingleStack, PreferDualStack, RequireDualStack
    publish_not_ready_addresses: bool | None = None
    session_affinity: str = "None"  # None, ClientIP
    session_affinity_config: SessionAffinityConfig | None = None
    external_traffic_policy: str | None = None
    internal_traffic_policy: str | None = None
    traffic_distribution: str | None = None
    allocate_load_balancer_node_ports: bool | None = None

    @property
    def headless(self) -> bool:
        return self.cluster_ip == "None"


class LoadBalancerIngress(Model):
    ip: str | None = None
    hostname: str | None = None
    ip_mode: str | None = None
    ports: Annotated[Any, Kept("[@core.v1.PortStatus")] = None


class LoadBalancerStatus(Model):
    ingress: Items[LoadBalancerIngress] = ()


class ServiceStatus(Model):
    load_balancer: LoadBalancerStatus = LoadBalancerStatus()
    conditions: Items[Condition] = ()


class Service(KubeObject):
    PLURAL: ClassVar[str] = "services"
    SHORT: ClassVar[tuple[str, ...]] = ("svc",)

    api_version: str = "v1"
    kind: str = "Service"
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()
