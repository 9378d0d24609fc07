"""The kinds, and the way from wire data to objects.

`decode` is for what people and programs send: strict, and it tells everything that is wrong at once. `load` is for
bytes that the store wrote itself: as fast as pydantic reads JSON.

Kinds that Kubernetes has and this machine has no behaviour for, and kinds of groups that are not built in, become
`Foreign` objects, and only for a caller that asks for them (a client that only looks).
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn, TypeVar, cast

from pydantic import ConfigDict, ValidationError

from orchestr.api import autoscalingv1, core, events, policies, schema, support
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.autoscaling import HorizontalPodAutoscaler
from orchestr.api.base import KubeObject
from orchestr.api.batch import Job
from orchestr.api.certificates import CertificateSigningRequest, RuntimeClass
from orchestr.api.coordination import Lease
from orchestr.api.cronjob import CronJob
from orchestr.api.custom import Custom
from orchestr.api.daemonset import DaemonSet
from orchestr.api.decode import model_of, notes, refusal, without_nulls
from orchestr.api.defaults import default
from orchestr.api.definition import CustomResourceDefinition
from orchestr.api.discovery import EndpointSlice
from orchestr.api.disruption import PodDisruptionBudget
from orchestr.api.errors import Cause, Invalid
from orchestr.api.ingress import Ingress
from orchestr.api.limits import LimitRange
from orchestr.api.networking import Endpoints, IngressClass
from orchestr.api.networkpolicy import NetworkPolicy
from orchestr.api.priority import PriorityClass
from orchestr.api.rbac import ClusterRole, ClusterRoleBinding, Role, RoleBinding
from orchestr.api.replication import ReplicationController
from orchestr.api.serviceaccount import ServiceAccount
from orchestr.api.stack import Stack
from orchestr.api.statefulset import StatefulSet
from orchestr.api.storage import PersistentVolume, StorageClass
from orchestr.api.templates import ControllerRevision, PodTemplate
from orchestr.api.validation import validate, validate_update
from orchestr.api.webhooks import MutatingWebhookConfiguration, ValidatingWebhookConfiguration

__all__ = [
    "KINDS",
    "Foreign",
    "UnknownKind",
    "by_plural",
    "decode",
    "default",
    "kind_of",
    "known",
    "load",
    "namespaced",
    "notes",
    "read",
    "served",
    "validate",
    "validate_update",
]

K = TypeVar("K", bound=KubeObject)

KINDS: tuple[type[KubeObject], ...] = (
    core.ConfigMap,
    core.Event,
    core.Namespace,
    core.Node,
    core.PersistentVolumeClaim,
    core.Pod,
    core.ResourceQuota,
    core.Secret,
    core.Service,
    Deployment,
    ReplicaSet,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
    EndpointSlice,
    Stack,
    ControllerRevision,
    Endpoints,
    LimitRange,
    PodTemplate,
    ReplicationController,
    HorizontalPodAutoscaler,
    PersistentVolume,
    CertificateSigningRequest,
    Lease,
    Ingress,
    IngressClass,
    NetworkPolicy,
    PriorityClass,
    RuntimeClass,
    StorageClass,
    CustomResourceDefinition,
    PodDisruptionBudget,
    ServiceAccount,
    Role,
    ClusterRole,
    RoleBinding,
    ClusterRoleBinding,
    MutatingWebhookConfiguration,
    ValidatingWebhookConfiguration,
    policies.ValidatingAdmissionPolicy,
    policies.ValidatingAdmissionPolicyBinding,
    policies.MutatingAdmissionPolicy,
    policies.MutatingAdmissionPolicyBinding,
)  # those that are served; all others of Kubernetes only decode
ALIASES: tuple[type[KubeObject], ...] = (
    events.Event,
    autoscalingv1.HorizontalPodAutoscaler,
)  # served as well; stored as one of the above
CUSTOM: dict[type[Custom], None] = {}  # custom resources, in the order in which they came


class UnknownKind(Invalid):
    """No such kind, or none that is served; the message names the nearest."""


class Foreign(KubeObject):
    """An object of a kind without behaviour here: checked against Kubernetes' tables if it is Kubernetes' own."""

    model_config = ConfigDict(extra="allow")
    PLURAL: ClassVar[str] = ""


def gvk(kind: type[KubeObject]) -> tuple[str, str]:
    """(apiVersion, kind) on the wire."""
    return (f"{kind.GROUP}/{kind.VERSION}" if kind.GROUP else kind.VERSION), kind.__name__


BY_NAME: dict[tuple[str, str], type[KubeObject]] = {gvk(kind): kind for kind in (*KINDS, *ALIASES)}
BY_PLURAL = {(kind.GROUP, kind.VERSION, kind.PLURAL): kind for kind in (*KINDS, *ALIASES)}


def served() -> tuple[type[KubeObject], ...]:
    """All kinds that are served now."""
    return (*KINDS, *ALIASES, *CUSTOM)


def stored_customs() -> tuple[type[Custom], ...]:
    """Each custom kind once, in the version that it is stored in."""
    return tuple(dict.fromkeys(cast(type[Custom], kind.STORED) for kind in CUSTOM))


def register(kinds: Iterable[type[Custom]]) -> None:
    """Begins to serve custom resources."""
    for kind in kinds:
        CUSTOM[kind] = None
        BY_NAME[gvk(kind)] = BY_PLURAL[kind.GROUP, kind.VERSION, kind.PLURAL] = kind


def forget(kinds: Iterable[type[Custom]]) -> None:
    for kind in kinds:
        CUSTOM.pop(kind, None)
        if BY_NAME.get(gvk(kind)) is kind:
            del BY_NAME[gvk(kind)], BY_PLURAL[kind.GROUP, kind.VERSION, kind.PLURAL]


def kind_of(api_version: str, kind: str) -> type[KubeObject]:
    """The model of a served kind. Raises UnknownKind with what to write instead."""
    found = BY_NAME.get((api_version, kind))
    return found or _unknown(api_version, kind)


def by_plural(group: str, version: str, plural: str) -> type[KubeObject] | None:
    """The kind at a path: /apis/GROUP/VERSION/.../PLURAL; group "" is /api."""
    return BY_PLURAL.get((group, version, plural))


def not_served(group: str, version: str, plural: str) -> str:
    """Why a kind of Kubernetes' own is not at this path, with the words "not supported"; "" for any other path."""
    api_version = f"{group}/{version}" if group else version
    for key in schema.tables().kinds:
        there, kind = key.split(" ")
        word = kind.lower()
        if there == api_version and plural in (word, f"{word}s", f"{word}es", f"{word[:-1]}ies"):
            return _why_unknown(api_version, kind)[1]
    return ""


def known(api_version: str, kind: str) -> bool:
    """Whether Kubernetes itself has the kind, served here or not."""
    return f"{api_version} {kind}" in schema.tables().kinds


def custom(api_version: str) -> bool:
    """Whether the group is neither Kubernetes' nor ours."""
    group, _, _ = api_version.rpartition("/")
    return bool(group) and group not in schema.groups() and group != Stack.GROUP and api_version not in support.REMOVED


def _unknown(api_version: str, kind: str) -> NoReturn:
    field, message = _why_unknown(api_version, kind)
    raise UnknownKind(f"cannot read {kind} of {api_version}: {message}", causes=[Cause(field, message)])


def _why_unknown(api_version: str, kind: str) -> tuple[str, str]:
    """(field, message) for a kind that is not served."""
    if known(api_version, kind):
        return "kind", f"kind {kind} of {api_version} is not supported: this machine has no behaviour for it"
    if custom(api_version):
        return "kind", f"kind {kind} of {api_version} is not supported: the group is not built in"
    if kind in support.REMOVED_KINDS:
        return "kind", f"kind {kind}: {support.REMOVED_KINDS[kind]}"
    versions = [v for v, name in (key.split(" ") for key in schema.tables().kinds) if name == kind]
    versions += [v for v, name in BY_NAME if name == kind and v not in versions]
    moved = support.REMOVED.get(api_version)
    if moved and (moved.get(kind) or moved[""]) in versions:
        return "apiVersion", f"{api_version} of {kind} was removed (use {moved.get(kind) or moved['']})"
    if versions:
        return "apiVersion", f"there is no {kind} in {api_version} (use {versions[0]})"
    kinds = [key.split(" ")[1] for key in schema.tables().kinds] + [name for _, name in BY_NAME]
    return "kind", f"there is no kind {kind!r} in {api_version}{schema.near(kind, kinds)}"


def load(kind: type[K], data: bytes | str) -> K:
    """An object from bytes that were written by `canonical()`. Raises pydantic.ValidationError for anything else."""
    return kind.model_validate_json(data)


def decode(data: Mapping[str, Any], *, foreign: bool = False, customs: bool = False) -> KubeObject:
    """An object from wire data of unknown origin. Raises Invalid with one cause for each problem.

    With `foreign`, kinds that are not served decode too, as Foreign; with `customs` those of groups that are not built
    in, which a daemon may know by their definition.
    """
    api_version, kind = _names(data)
    found = BY_NAME.get((api_version, kind))
    if found:
        return read(found, data)
    foreign = foreign or (customs and custom(api_version))
    if not foreign or not (known(api_version, kind) or custom(api_version)):
        _unknown(api_version, kind)
    return _foreign(without_nulls(data), schema.tables().kinds.get(f"{api_version} {kind}"))


def read(kind: type[K], data: Mapping[str, Any]) -> K:
    """An object of this kind. Raises Invalid with one cause for each problem."""
    return cast(K, kind.read(data)) if issubclass(kind, Custom) else model_of(kind, data)


def _names(data: Mapping[str, Any]) -> tuple[str, str]:
    if not isinstance(data, Mapping):
        raise Invalid("cannot read object", causes=[Cause("", f"must be a map, not {schema.told(data)}")])
    causes = [
        Cause(field, schema.wrong_type("s", data[field]) if data.get(field) is not None else "is required")
        for field in ("apiVersion", "kind")
        if not data.get(field) or not isinstance(data[field], str)
    ]
    if causes:
        raise refusal(str(data.get("kind") or "object"), data, causes)
    return data["apiVersion"], data["kind"]


def _foreign(data: dict[str, Any], type_name: str | None) -> Foreign:
    code = "@" + type_name if type_name else "*"
    causes = [*schema.check(data, code)] or [
        *schema.check(data.get("metadata", {}), "@meta.v1.ObjectMeta", ("metadata",))
    ]
    if causes:
        raise refusal(data["kind"], data, causes)
    try:
        return Foreign.model_validate(data)
    except ValidationError as error:
        raise refusal(data["kind"], data, [Cause("metadata", "is malformed")]) from error


def namespaced(obj: KubeObject) -> bool:
    """Whether the object lives in a namespace; a kind of a group that is not built in is taken to."""
    return obj.kind not in support.CLUSTER_SCOPED if isinstance(obj, Foreign) else obj.NAMESPACED
