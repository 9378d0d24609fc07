"""ServiceAccount (core/v1): who a pod is towards the API."""

from typing import ClassVar

from orchestr.api.base import Items, KubeObject
from orchestr.api.meta import LocalObjectReference, ObjectReference


class ServiceAccount(KubeObject):
    PLURAL: ClassVar[str] = "serviceaccounts"
    SHORT: ClassVar[tuple[str, ...]] = ("sa",)

    api_version: str = "v1"
    kind: str = "ServiceAccount"
    secrets: Items[ObjectReference] = ()
    image_pull_secrets: Items[LocalObjectReference] = ()
    automount_service_account_token: bool | None = None
