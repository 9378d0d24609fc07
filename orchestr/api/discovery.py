"""EndpointSlice (discovery.k8s.io/v1): the addresses behind a service."""

from typing import Annotated, Any, ClassVar

from orchestr.api.base import Items, KubeObject, Model
from orchestr.api.meta import ObjectReference
from orchestr.api.schema import Kept

SERVICE_NAME = "kubernetes.io/service-name"  # label of a slice: the service it belongs to


class EndpointConditions(Model):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Endpoint(Model):
    addresses: Items[str] = ()
    conditions: EndpointConditions = EndpointConditions()
    hostname: str | None = None
    node_name: str | None = None
    target_ref: ObjectReference | None = None
    zone: str | None = None
    hints: Annotated[Any, Kept("@discovery.v1.EndpointHints")] = None


class EndpointPort(Model):
    port: int | None = None
    name: str | None = None
    protocol: str = "TCP"
    app_protocol: str | None = None


class EndpointSlice(KubeObject):
    PLURAL: ClassVar[str] = "endpointslices"
    GROUP: ClassVar[str] = "discovery.k8s.io"

    api_version: str = "discovery.k8s.io/v1"
    kind: str = "EndpointSlice"
    address_type: str = "IPv4"  # IPv4, IPv6
    endpoints: Items[Endpoint] = ()
    ports: Items[EndpointPort] = ()
