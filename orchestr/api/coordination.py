"""Lease (coordination.k8s.io/v1): who leads, and until when. Clients keep it up to date themselves."""

from typing import Annotated, Any, ClassVar

from orchestr.api.base import KubeObject
from orchestr.api.schema import Kept


class Lease(KubeObject):
    PLURAL: ClassVar[str] = "leases"
    GROUP: ClassVar[str] = "coordination.k8s.io"

    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"
    spec: Annotated[Any, Kept("@coordination.v1.LeaseSpec")] = None
