"""The columns that a CustomResourceDefinition gives its kind. Pure.

Source: staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor of Kubernetes.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from orchestr.api.custom import Custom
from orchestr.api.definition import CustomResourceColumnDefinition
from orchestr.server.age import since
from orchestr.server.columns import DEFAULT, NAME, Cell, Column, Wire
from orchestr.server.jsonpath import values

TYPES: dict[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}


def columns(kind: type[Custom]) -> Sequence[Column]:
    """Name and what the definition says; without that, Name and Age."""
    if not kind.PRINTER_COLUMNS:
        return DEFAULT
    return (NAME, *(_column(each) for each in kind.PRINTER_COLUMNS))


def _column(given: CustomResourceColumnDefinition) -> Column:
    about = given.description or f"Custom resource definition column (in JSONPath format): {given.json_path}"
    return Column(given.name, _cell(given), given.type, given.format or "", given.priority or 0, about)


def _cell(given: CustomResourceColumnDefinition) -> Cell:
    def cell(wire: Wire, now: datetime) -> Any:
        found = values(wire, given.json_path)
        if not found or found[0] is None:
            return None
        if given.type == "date":
            return since(found[0], now)
        if given.type == "string":
            return " ".join(_text(each) for each in found)
        return found[0] if isinstance(found[0], TYPES.get(given.type, (int, float, bool))) else None

    return cell


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))
