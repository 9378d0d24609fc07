"""Ingress (networking.k8s.io/v1): HTTP routes by host and path, for a controller that carries them out.

As in Kubernetes, nothing built in does; whoever names a controller in an IngressClass brings it.
"""

from typing import ClassVar

from orchestr.api.base import Items, KubeObject, Model

IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"  # annotation of an IngressClass
CLASS = "kubernetes.io/ingress.class"  # annotation, from before there was spec.ingressClassName


class ServiceBackendPort(Model):
    """One of them."""

    name: str | None = None
    number: int | None = None


class IngressServiceBackend(Model):
    name: str
    port: ServiceBackendPort = ServiceBackendPort()


class TypedLocalObjectReference(Model):
    api_group: str | None = None
    kind: str
    name: str


class IngressBackend(Model):
    service: IngressServiceBackend | None = None
    resource: TypedLocalObjectReference | None = None


class HTTPIngressPath(Model):
    path: str | None = None
    path_type: str | None = None  # Exact, Prefix, ImplementationSpecific
    backend: IngressBackend


class HTTPIngressRuleValue(Model):
    paths: tuple[HTTPIngressPath, ...]


class IngressRule(Model):
    host: str | None = None
    http: HTTPIngressRuleValue | None = None


class IngressTLS(Model):
    hosts: Items[str] = ()
    secret_name: str | None = None


class IngressSpec(Model):
    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    tls: Items[IngressTLS] = ()
    rules: Items[IngressRule] = ()


class IngressPortStatus(Model):
    port: int
    protocol: str
    error: str | None = None


class IngressLoadBalancerIngress(Model):
    ip: str | None = None
    hostname: str | None = None
    ports: Items[IngressPortStatus] = ()


class IngressLoadBalancerStatus(Model):
    ingress: Items[IngressLoadBalancerIngress] = ()


class IngressStatus(Model):
    load_balancer: IngressLoadBalancerStatus = IngressLoadBalancerStatus()


class Ingress(KubeObject):
    PLURAL: ClassVar[str] = "ingresses"
    GROUP: ClassVar[str] = "networking.k8s.io"
    SHORT: ClassVar[tuple[str, ...]] = ("ing",)

    api_version: str = "networking.k8s.io/v1"
    kind: str = "Ingress"
    spec: IngressSpec = IngressSpec()
    status: IngressStatus = IngressStatus()

    @property
    def class_name(self) -> str:
        """Of the IngressClass it wants; "" for none."""
        return self.spec.ingress_class_name or self.metadata.annotations.get(CLASS, "")
