"""Event (events.k8s.io/v1): the same objects as core/v1's, with other names for some fields."""

from typing import ClassVar

from orchestr.api import event as core
from orchestr.api.base import KubeObject, MicroTime, Model, Time
from orchestr.api.meta import ObjectReference

# here: in core/v1; all other fields have the same name in both
RENAMED = {
    "regarding": "involved_object",
    "note": "message",
    "reporting_controller": "reporting_component",
    "deprecated_source": "source",
    "deprecated_first_timestamp": "first_timestamp",
    "deprecated_last_timestamp": "last_timestamp",
    "deprecated_count": "count",
}
SAME = ("metadata", "reason", "type", "action", "event_time", "related", "reporting_instance")


class EventSeries(Model):
    count: int
    last_observed_time: MicroTime


class Event(KubeObject):
    PLURAL: ClassVar[str] = "events"
    GROUP: ClassVar[str] = "events.k8s.io"
    SHORT: ClassVar[tuple[str, ...]] = ("ev",)
    STORED = core.Event

    api_version: str = "events.k8s.io/v1"
    kind: str = "Event"
    event_time: MicroTime | None = None
    series: EventSeries | None = None
    reporting_controller: str | None = None
    reporting_instance: str | None = None
    action: str | None = None
    reason: str | None = None
    regarding: ObjectReference | None = None
    related: ObjectReference | None = None
    note: str | None = None
    type: str | None = None  # Normal, Warning
    deprecated_source: core.EventSource | None = None
    deprecated_first_timestamp: Time | None = None
    deprecated_last_timestamp: Time | None = None
    deprecated_count: int | None = None

    def stored(self) -> core.Event:
        """As it is kept."""
        fields = {name: getattr(self, name) for name in SAME} | {RENAMED[n]: getattr(self, n) for n in RENAMED}
        if self.series:
            fields["series"] = core.EventSeries(
                count=self.series.count, last_observed_time=self.series.last_observed_time
            )
        return core.Event(**{name: value for name, value in fields.items() if value is not None})

    @classmethod
    def of(cls, event: core.Event) -> "Event":
        """As it is served here."""
        fields = {name: getattr(event, name) for name in SAME} | {n: getattr(event, RENAMED[n]) for n in RENAMED}
        if event.series and event.series.last_observed_time:
            fields["series"] = EventSeries(
                count=event.series.count or 0, last_observed_time=event.series.last_observed_time
            )
        return cls(**{name: value for name, value in fields.items() if value not in (None, "")})
