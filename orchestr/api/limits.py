"""LimitRange (core/v1): defaults and bounds for what pods, containers and claims of a namespace ask for."""

from typing import ClassVar

from orchestr.api.base import Dict, Items, KubeObject, Model
from orchestr.api.quantity import Quantity


class LimitRangeItem(Model):
    type: str  # Container, Pod, PersistentVolumeClaim
    max: Dict[Quantity] = {}
    min: Dict[Quantity] = {}
    default: Dict[Quantity] = {}
    default_request: Dict[Quantity] = {}
    max_limit_request_ratio: Dict[Quantity] = {}


class LimitRangeSpec(Model):
    limits: Items[LimitRangeItem] = ()


class LimitRange(KubeObject):
    PLURAL: ClassVar[str] = "limitranges"
    SHORT: ClassVar[tuple[str, ...]] = ("limits",)

    api_version: str = "v1"
    kind: str = "LimitRange"
    spec: LimitRangeSpec = LimitRangeSpec()
