"""ConfigMap and Secret (core/v1): data that pods read."""

import base64
from typing import ClassVar

from orchestr.api.base import Dict, KubeObject

ACCOUNT_TOKEN = "kubernetes.io/service-account-token"  # type of a Secret that is filled with a token of
ACCOUNT_NAME = "kubernetes.io/service-account.name"  # annotation: this account,
ACCOUNT_UID = "kubernetes.io/service-account.uid"  # which is the one with this uid


class ConfigMap(KubeObject):
    PLURAL: ClassVar[str] = "configmaps"
    SHORT: ClassVar[tuple[str, ...]] = ("cm",)

    api_version: str = "v1"
    kind: str = "ConfigMap"
    data: Dict[str] = {}
    binary_data: Dict[str] = {}  # base64
    immutable: bool | None = None

    def content(self) -> dict[str, bytes]:
        """Every key with its bytes. Raises ValueError when binaryData is not base64."""
        plain = {key: text.encode() for key, text in self.data.items()}
        return plain | {key: base64.b64decode(text, validate=True) for key, text in self.binary_data.items()}


class Secret(KubeObject):
    PLURAL: ClassVar[str] = "secrets"

    api_version: str = "v1"
    kind: str = "Secret"
    type: str = "Opaque"
    data: Dict[str] = {}  # base64
    string_data: Dict[str] = {}  # write-only: defaulting moves it into data
    immutable: bool | None = None

    def content(self) -> dict[str, bytes]:
        """Every key with its bytes. Raises ValueError when data is not base64."""
        decoded = {key: base64.b64decode(text, validate=True) for key, text in self.data.items()}
        return decoded | {key: text.encode() for key, text in self.string_data.items()}
