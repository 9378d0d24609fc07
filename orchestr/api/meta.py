"""The small shared types of meta/v1 and core/v1: label selectors, references, int-or-string."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from pydantic import StrictInt, StrictStr

from orchestr.api.base import Dict, Items, Model

IntOrString = StrictInt | StrictStr


def scaled(value: IntOrString, total: int, *, up: bool) -> int:
    """An absolute number, or a percentage (`"25%"`) of `total`, rounded up or down.

    Raises ValueError for a string that is no percentage.
    """
    if isinstance(value, int):
        return value
    if not value.endswith("%") or not value[:-1].isdecimal():
        raise ValueError(f"cannot read {value!r}: neither a number nor a percentage (write 1 or 25%)")
    share = Decimal(value[:-1]) * total / 100
    return int(share.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))


class LabelSelectorRequirement(Model):
    key: str
    operator: str  # In, NotIn, Exists, DoesNotExist
    values: Items[str] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case _:
                return self.key not in labels


class LabelSelector(Model):
    match_labels: Dict[str] = {}
    match_expressions: Items[LabelSelectorRequirement] = ()

    @property
    def empty(self) -> bool:
        """An empty selector matches every object."""
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


class LocalObjectReference(Model):
    name: str = ""


class ObjectReference(Model):
    api_version: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    field_path: str | None = None
