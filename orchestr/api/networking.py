"""Endpoints (core/v1) and IngressClass (networking.k8s.io/v1)."""

from typing import Annotated, Any, ClassVar

from orchestr.api.base import KubeObject
from orchestr.api.schema import Kept


class Endpoints(KubeObject):
    """The older form of EndpointSlices, for those who still read it."""

    PLURAL: ClassVar[str] = "endpoints"
    SHORT: ClassVar[tuple[str, ...]] = ("ep",)

    api_version: str = "v1"
    kind: str = "Endpoints"
    subsets: Annotated[Any, Kept("[@core.v1.EndpointSubset")] = None


class IngressClass(KubeObject):
    PLURAL: ClassVar[str] = "ingressclasses"
    GROUP: ClassVar[str] = "networking.k8s.io"
    NAMESPACED: ClassVar[bool] = False

    api_version: str = "networking.k8s.io/v1"
    kind: str = "IngressClass"
    spec: Annotated[Any, Kept("@networking.v1.IngressClassSpec")] = None
