"""APIService (apiregistration.k8s.io/v1): which group versions there are. Shown, not stored: nothing is aggregated."""

from typing import Annotated, Any, ClassVar

from orchestr.api.base import KubeObject
from orchestr.api.schema import Kept


class APIService(KubeObject):
    PLURAL: ClassVar[str] = "apiservices"
    GROUP: ClassVar[str] = "apiregistration.k8s.io"
    NAMESPACED: ClassVar[bool] = False

    api_version: str = "apiregistration.k8s.io/v1"
    kind: str = "APIService"
    spec: Annotated[Any, Kept("@apiregistration.v1.APIServiceSpec")] = None
    status: Annotated[Any, Kept("@apiregistration.v1.APIServiceStatus")] = None
