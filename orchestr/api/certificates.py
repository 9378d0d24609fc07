"""CertificateSigningRequest (certificates.k8s.io/v1) and RuntimeClass (node.k8s.io/v1)."""

from typing import Annotated, Any, ClassVar

from orchestr.api.base import KubeObject
from orchestr.api.schema import Kept


class CertificateSigningRequest(KubeObject):
    PLURAL: ClassVar[str] = "certificatesigningrequests"
    GROUP: ClassVar[str] = "certificates.k8s.io"
    NAMESPACED: ClassVar[bool] = False
    SHORT: ClassVar[tuple[str, ...]] = ("csr",)

    api_version: str = "certificates.k8s.io/v1"
    kind: str = "CertificateSigningRequest"
    spec: Annotated[Any, Kept("@certificates.v1.CertificateSigningRequestSpec")]
    status: Annotated[Any, Kept("@certificates.v1.CertificateSigningRequestStatus")] = None


class RuntimeClass(KubeObject):
    PLURAL: ClassVar[str] = "runtimeclasses"
    GROUP: ClassVar[str] = "node.k8s.io"
    NAMESPACED: ClassVar[bool] = False

    api_version: str = "node.k8s.io/v1"
    kind: str = "RuntimeClass"
    handler: str
    overhead: Annotated[Any, Kept("@node.v1.Overhead")] = None
    scheduling: Annotated[Any, Kept("@node.v1.Scheduling")] = None
