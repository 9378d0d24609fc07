"""Kinds that are served in several versions are stored in one: from and to that one. Pure."""

from typing import cast

from orchestr.api import autoscaling, autoscalingv1, event, events
from orchestr.api.base import KubeObject
from orchestr.api.custom import Custom


def stored_form(obj: KubeObject) -> KubeObject:
    """The object as it is kept; the same object for kinds with one version."""
    kind = type(obj).STORED
    if kind is None or kind is type(obj):
        return obj
    if isinstance(obj, events.Event | autoscalingv1.HorizontalPodAutoscaler):
        return obj.stored()
    return cast(Custom, obj).as_version(cast(type[Custom], kind))


def served_form(obj: KubeObject, kind: type[KubeObject]) -> KubeObject:
    """A stored object as `kind`, another version of its own kind, shows it."""
    if same_version(type(obj), kind):
        return obj
    if isinstance(obj, event.Event):
        return events.Event.of(obj)
    if isinstance(obj, autoscaling.HorizontalPodAutoscaler):
        return autoscalingv1.HorizontalPodAutoscaler.of(obj)
    return cast(Custom, obj).as_version(cast(type[Custom], kind))


def same_version(one: type[KubeObject], other: type[KubeObject]) -> bool:
    return one is other or (one.GROUP, one.VERSION) == (other.GROUP, other.VERSION)
