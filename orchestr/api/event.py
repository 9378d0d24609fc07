"""Event (core/v1): what happened to an object."""

from typing import ClassVar

from orchestr.api.base import KubeObject, MicroTime, Model, Time
from orchestr.api.meta import ObjectReference


class EventSource(Model):
    component: str | None = None
    host: str | None = None


class EventSeries(Model):
    count: int | None = None
    last_observed_time: MicroTime | None = None


class Event(KubeObject):
    PLURAL: ClassVar[str] = "events"
    SHORT: ClassVar[tuple[str, ...]] = ("ev",)

    api_version: str = "v1"
    kind: str = "Event"
    involved_object: ObjectReference = ObjectReference()
    reason: str | None = None
    message: str | None = None
    type: str | None = None  # Normal, Warning
    action: str | None = None
    count: int | None = None
    source: EventSource = EventSource()
    event_time: MicroTime | None = None
    first_timestamp: Time | None = None
    last_timestamp: Time | None = None
    related: ObjectReference | None = None
    reporting_component: str = ""
    reporting_instance: str = ""
    series: EventSeries | None = None
