"""What every object has in common: wire form, metadata, conditions, keys.

Models are frozen, refuse unknown fields, and speak snake_case in Python and camelCase on the wire. A list is a tuple,
empty when absent; on the wire an empty list or an absent value is left out, as Kubernetes does.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from operator import not_
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

T = TypeVar("T")

Items = Annotated[tuple[T, ...], Field(exclude_if=not_)]  # declare `xs: Items[X] = ()`
Dict = Annotated[Mapping[str, T], Field(exclude_if=not_)]  # declare `m: Dict[str] = {}`; an empty map is absent


INITIALISMS = {
    "ip": "IP",
    "ips": "IPs",
    "id": "ID",
    "pid": "PID",
    "ipc": "IPC",
    "cidr": "CIDR",
    "cidrs": "CIDRs",
    "urls": "URLs",
    "uuid": "UUID",
}


def camel(name: str) -> str:
    """Kubernetes' spelling of an attribute: host_pid -> hostPID, pod_ips -> podIPs, ip_families -> ipFamilies."""
    first, *rest = name.split("_")
    return first + "".join(INITIALISMS.get(word) or word.capitalize() for word in rest)


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def timestamp(value: datetime) -> str:
    """RFC 3339 with seconds, as metav1.Time."""
    return value.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"  # strftime has years below 1000 unpadded


def microtimestamp(value: datetime) -> str:
    """RFC 3339 with microseconds, as metav1.MicroTime."""
    return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


Time = Annotated[datetime, AfterValidator(_utc), PlainSerializer(timestamp, when_used="json")]
MicroTime = Annotated[datetime, AfterValidator(_utc), PlainSerializer(microtimestamp, when_used="json")]


class Model(BaseModel):
    """Base of everything in a wire object."""

    # defer_build: a validator is built when it is first used, which saves a third of the import time
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=camel, populate_by_name=True, defer_build=True
    )

    def wire(self) -> dict[str, Any]:
        """The JSON form as Python data."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def __deepcopy__(self, memo: Any = None) -> Self:
        """Itself: nothing in it changes. pydantic copies every default that holds a map, at each decoding."""
        return self

    def but(self, **changes: Any) -> Self:
        """A copy with some attributes replaced; the values are trusted."""
        return self.model_copy(update=changes)


class Key(NamedTuple):
    """Which object of a kind; namespace is "" for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class OwnerReference(Model):
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ManagedFieldsEntry(Model):
    manager: str | None = None
    operation: str | None = None
    api_version: str | None = None
    time: Time | None = None
    fields_type: str | None = None
    fields_v1: dict[str, Any] | None = Field(default=None, alias="fieldsV1")
    subresource: str | None = None


class ObjectMeta(Model):
    """metav1.ObjectMeta."""

    name: str = Field(default="", exclude_if=not_)
    generate_name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    deletion_grace_period_seconds: int | None = None
    labels: Dict[str] = {}
    annotations: Dict[str] = {}
    owner_references: Items[OwnerReference] = ()
    finalizers: Items[str] = ()
    managed_fields: Items[ManagedFieldsEntry] = ()
    self_link: str | None = None

    @property
    def deleting(self) -> bool:
        return self.deletion_timestamp is not None

    @property
    def created(self) -> datetime:
        """Creation time; the epoch for an object that was never stored."""
        return self.creation_timestamp or datetime.fromtimestamp(0, UTC)

    @property
    def controller(self) -> OwnerReference | None:
        return next((owner for owner in self.owner_references if owner.controller), None)


class Condition(Model):
    """metav1.Condition and its older cousins (PodCondition, DeploymentCondition, ...)."""

    type: str
    status: str = "Unknown"  # True, False, Unknown
    reason: str | None = None
    message: str | None = None
    observed_generation: int | None = None
    last_transition_time: Time | None = None
    last_update_time: Time | None = None
    last_probe_time: Time | None = None


class KubeObject(Model):
    """An object that is stored and served. Subclasses set the class variables and add spec and status."""

    PLURAL: ClassVar[str]  # "pods"
    GROUP: ClassVar[str] = ""  # "" is the core group
    VERSION: ClassVar[str] = "v1"
    NAMESPACED: ClassVar[bool] = True
    SHORT: ClassVar[tuple[str, ...]] = ()  # ("po",)
    STORED: "ClassVar[type[KubeObject] | None]" = None  # what it is stored as, when that is another version

    api_version: str
    kind: str
    metadata: ObjectMeta = ObjectMeta()

    @property
    def key(self) -> Key:
        return Key(self.metadata.namespace or "", self.metadata.name)

    @property
    def ref(self) -> str:
        """`kind/name` in lower case, as commands print it."""
        return f"{self.kind.lower()}/{self.metadata.name}"

    def canonical(self) -> bytes:
        """The canonical JSON: encoded once, when the object is written."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()

    def owner_reference(self) -> OwnerReference:
        """A controller reference to this object, for its children."""
        return OwnerReference(
            api_version=self.api_version,
            kind=self.kind,
            name=self.metadata.name,
            uid=self.metadata.uid or "",
            controller=True,
            block_owner_deletion=True,
        )
