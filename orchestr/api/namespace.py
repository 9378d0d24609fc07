"""Namespace and ResourceQuota (core/v1)."""

from typing import ClassVar

from orchestr.api.base import Condition, Dict, Items, KubeObject, Model
from orchestr.api.quantity import Quantity


class NamespaceSpec(Model):
    finalizers: Items[str] = ()


class NamespaceStatus(Model):
    phase: str | None = None  # Active, Terminating
    conditions: Items[Condition] = ()


class Namespace(KubeObject):
    PLURAL: ClassVar[str] = "namespaces"
    NAMESPACED: ClassVar[bool] = False
    SHORT: ClassVar[tuple[str, ...]] = ("ns",)

    api_version: str = "v1"
    kind: str = "Namespace"
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()


class ResourceQuotaSpec(Model):
    """Keys of hard: pods, cpu, memory, requests.cpu, limits.memory, count/deployments.apps, configmaps, ..."""

    hard: Dict[Quantity] = {}


class ResourceQuotaStatus(Model):
    hard: Dict[Quantity] = {}
    used: Dict[Quantity] = {}


class ResourceQuota(KubeObject):
    PLURAL: ClassVar[str] = "resourcequotas"
    SHORT: ClassVar[tuple[str, ...]] = ("quota",)

    api_version: str = "v1"
    kind: str = "ResourceQuota"
    spec: ResourceQuotaSpec = ResourceQuotaSpec()
    status: ResourceQuotaStatus = ResourceQuotaStatus()
