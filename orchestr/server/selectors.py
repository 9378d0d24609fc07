"""Label and field selectors, as Kubernetes writes them. Pure.

a=b  a==b  a!=b  a in (b,c)  a notin (b,c)  a  !a     joined by commas
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from orchestr.api.base import KubeObject
from orchestr.api.errors import BadRequest

FIELDS = {  # on the wire: attributes of the model
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
    "spec.nodeName": ("spec", "node_name"),
    "status.phase": ("status", "phase"),
    "type": ("type",),
    "reason": ("reason",),
    "involvedObject.kind": ("involved_object", "kind"),
    "involvedObject.name": ("involved_object", "name"),
    "involvedObject.namespace": ("involved_object", "namespace"),
    "involvedObject.uid": ("involved_object", "uid"),
}
KEY = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
VALUE = r"[-A-Za-z0-9_.]*"
TERM = re.compile(
    rf"\s*(?:(?P<not>!)\s*(?P<absent>{KEY})|(?P<key>{KEY})\s*"
    rf"(?:(?P<op>==|=|!=)\s*(?P<value>{VALUE})|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|$)"
)


class Requirement(NamedTuple):
    key: str
    operator: str  # "in", "notin", "exists", "absent"
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        if self.operator in ("exists", "absent"):
            return (self.key in labels) == (self.operator == "exists")
        return (labels.get(self.key) in self.values) == (self.operator == "in")


def labels(text: str) -> tuple[Requirement, ...]:
    """Of a labelSelector. BadRequest names the place."""
    found, position = [], 0
    while position < len(text):
        match = TERM.match(text, position)
        if match is None or match.end() == position:
            raise BadRequest(
                f"cannot read labelSelector {text!r}: unexpected {text[position:][:40]!r} (write a=b,c in (d,e))"
            )
        found.append(_requirement(match))
        position = match.end()
    return tuple(found)


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return Requirement(match["absent"], "absent")
    if match["op"]:
        return Requirement(match["key"], "notin" if match["op"] == "!=" else "in", frozenset({match["value"]}))
    if match["set"]:
        return Requirement(match["key"], match["set"], frozenset(value.strip() for value in match["values"].split(",")))
    return Requirement(match["key"], "exists")


class Field(NamedTuple):
    attributes: tuple[str, ...]
    value: str
    equal: bool

    def holds(self, obj: KubeObject) -> bool:
        value: Any = obj
        for attribute in self.attributes:
            value = getattr(value, attribute, None)
        return (str(value or "") == self.value) == self.equal


def fields(text: str) -> tuple[Field, ...]:
    """Of a fieldSelector. BadRequest lists the fields there are."""
    found = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"([A-Za-z.]+)\s*(==|=|!=)\s*(.*)", term)
        if match is None or match[1] not in FIELDS:
            raise BadRequest(
                f"cannot read fieldSelector {term!r}: not supported (use {', '.join(FIELDS)} with = or !=)"
            )
        found.append(Field(FIELDS[match[1]], match[3], match[2] != "!="))
    return tuple(found)


class Selector(NamedTuple):
    """Which objects of a collection are meant."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Field, ...] = ()

    def holds(self, obj: KubeObject) -> bool:
        return all(label.holds(obj.metadata.labels) for label in self.labels) and all(
            field.holds(obj) for field in self.fields
        )


def selector(label_selector: str | None, field_selector: str | None) -> Selector:
    return Selector(labels(label_selector or ""), fields(field_selector or ""))
