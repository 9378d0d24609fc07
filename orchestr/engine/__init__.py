"""What every controller uses: the Cluster seam, informers, the work queue, back-off and the manager."""

from orchestr.api.base import Condition, Key, KubeObject
from orchestr.api.errors import AlreadyExists, ApiError, Conflict, Expired, Forbidden, Invalid, NotFound, Refused
from orchestr.engine.cluster import Cluster, EventType, Propagation, WatchEvent
from orchestr.engine.controller import (
    After,
    By,
    Controller,
    ControllerCluster,
    Hopeless,
    Index,
    Related,
    Watches,
    child_name,
)

__all__ = [
    "After",
    "AlreadyExists",
    "ApiError",
    "By",
    "Cluster",
    "Condition",
    "Conflict",
    "Controller",
    "ControllerCluster",
    "EventType",
    "Expired",
    "Forbidden",
    "Hopeless",
    "Index",
    "Invalid",
    "Key",
    "KubeObject",
    "NotFound",
    "Propagation",
    "Refused",
    "Related",
    "WatchEvent",
    "Watches",
    "child_name",
]
