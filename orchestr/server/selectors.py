"""Label and field selectors of a request, as Kubernetes writes them. Pure."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from orchestr.api.base import KubeObject
from orchestr.api.errors import BadRequest
from orchestr.api.labelquery import Requirement, labels

COMMON = ("metadata.name", "metadata.namespace")
# What else each kind can be selected by. Source: the field label conversions of pkg/apis/*/v1/conversion.go.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
        "reason", "reportingComponent", "source", "type",
    ),
    "secrets": ("type",),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicationcontrollers": ("status.replicas",),
    "replicasets": ("status.replicas",),
    "jobs": ("status.successful",),
    "certificatesigningrequests": ("spec.signerName",),
}  # fmt: skip
ELSEWHERE = {"status.successful": "status.succeeded", "source": "source.component"}  # not where their names say


class Field(NamedTuple):
    path: tuple[str, ...]  # names on the wire, each with the model's attribute for it
    value: str
    equal: bool

    def holds(self, obj: KubeObject) -> bool:
        value: Any = obj
        for name in self.path:
            value = getattr(value, snake(name), None)
        if isinstance(value, tuple):  # status.podIPs
            return any(getattr(item, "ip", item) == self.value for item in value) == self.equal
        return (_said(value, self.value) == self.value) == self.equal


def _said(value: Any, wanted: str) -> str:
    """A field as a selector writes it; what is absent is its type's zero."""
    if value is None or isinstance(value, bool):
        zeros = {"false": "false", "0": "0"}
        return str(value).lower() if value else zeros.get(wanted, "false" if value is False else "")
    return str(value)


@cache
def snake(name: str) -> str:
    """The attribute of a field: podIPs -> pod_ips."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def known(kind: type[KubeObject] | None) -> tuple[str, ...]:
    """The fields that a kind can be selected by; a custom resource may name more in `SELECTABLE`."""
    own: tuple[str, ...] = getattr(kind, "SELECTABLE", ())
    return (*COMMON, *FIELDS.get(kind.PLURAL if kind else "", ()), *own)


def fields(text: str, kind: type[KubeObject] | None = None) -> tuple[Field, ...]:
    """Of a fieldSelector. BadRequest lists the fields there are."""
    found, names = [], known(kind)
    for term in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"([A-Za-z.]+)\s*(==|=|!=)\s*(.*)", term)
        if match is None or match[1] not in names:
            label = match[1] if match else term
            raise BadRequest(f"field label not supported: {label} (use {', '.join(names)} with = or !=)")
        path = ELSEWHERE.get(match[1], match[1])
        found.append(Field(tuple(path.split(".")), match[3], match[2] != "!="))
    return tuple(found)


class Selector(NamedTuple):
    """Which objects of a collection are meant."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Field, ...] = ()

    def holds(self, obj: KubeObject) -> bool:
        return all(label.holds(obj.metadata.labels) for label in self.labels) and all(
            field.holds(obj) for field in self.fields
        )


def selector(label_selector: str | None, field_selector: str | None, kind: type[KubeObject] | None = None) -> Selector:
    return Selector(labels(label_selector or ""), fields(field_selector or "", kind))
