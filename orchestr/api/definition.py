"""CustomResourceDefinition (apiextensions.k8s.io/v1)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from orchestr.api.base import Condition, Items, KubeObject, Model
from orchestr.api.schema import Kept

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"  # finalizer: the objects of the kind go first


class CustomResourceDefinitionNames(Model):
    plural: str
    kind: str
    singular: str | None = None
    list_kind: str | None = None
    short_names: Items[str] = ()
    categories: Items[str] = ()


class CustomResourceValidation(Model):
    open_api_v3_schema: Annotated[Any, Kept("@apiextensions.v1.JSONSchemaProps")] = Field(
        default=None, alias="openAPIV3Schema"
    )


class CustomResourceSubresourceScale(Model):
    spec_replicas_path: str
    status_replicas_path: str
    label_selector_path: str | None = None


class CustomResourceSubresources(Model):
    status: Any = None  # {} asks for it
    scale: CustomResourceSubresourceScale | None = None


class CustomResourceColumnDefinition(Model):
    name: str
    type: str
    json_path: str = Field(alias="jsonPath")
    description: str | None = None
    format: str | None = None
    priority: int | None = None


class CustomResourceDefinitionVersion(Model):
    name: str
    served: bool
    storage: bool
    deprecated: bool | None = None
    deprecation_warning: str | None = None
    schema_: CustomResourceValidation | None = Field(default=None, alias="schema")
    subresources: CustomResourceSubresources | None = None
    additional_printer_columns: Items[CustomResourceColumnDefinition] = ()
    selectable_fields: Annotated[Any, Kept("[@apiextensions.v1.SelectableField")] = None

    @property
    def document(self) -> dict[str, Any]:
        """The OpenAPI schema."""
        found: dict[str, Any] = (self.schema_.open_api_v3_schema if self.schema_ else None) or {}
        return found


class CustomResourceConversion(Model):
    strategy: str  # None
    webhook: Annotated[Any, Kept("@apiextensions.v1.WebhookConversion")] = None


class CustomResourceDefinitionSpec(Model):
    group: str
    names: CustomResourceDefinitionNames
    scope: str  # Namespaced, Cluster
    versions: tuple[CustomResourceDefinitionVersion, ...]
    conversion: CustomResourceConversion | None = None
    preserve_unknown_fields: bool | None = None

    @property
    def stored(self) -> str:
        """The version that objects are stored in."""
        return next((version.name for version in self.versions if version.storage), "")


class CustomResourceDefinitionStatus(Model):
    conditions: Items[Condition] = ()
    accepted_names: CustomResourceDefinitionNames | None = None
    stored_versions: Items[str] = ()
    observed_generation: int | None = None

    def has(self, type: str) -> bool:
        return any(condition.type == type and condition.status == "True" for condition in self.conditions)


class CustomResourceDefinition(KubeObject):
    PLURAL: ClassVar[str] = "customresourcedefinitions"
    GROUP: ClassVar[str] = "apiextensions.k8s.io"
    NAMESPACED: ClassVar[bool] = False
    SHORT: ClassVar[tuple[str, ...]] = ("crd", "crds")

    api_version: str = "apiextensions.k8s.io/v1"
    kind: str = "CustomResourceDefinition"
    spec: CustomResourceDefinitionSpec
    status: CustomResourceDefinitionStatus = CustomResourceDefinitionStatus()
