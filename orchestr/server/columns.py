"""The columns of a kind's table: what they are called, and what stands in them. Pure.

The cells are read from the wire form, so that a kind needs no model of ours. Kubernetes' kinds are in builtin.py, a
custom resource has those of its definition; all else has Name and Age.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from orchestr.api.base import KubeObject
from orchestr.api.custom import Custom
from orchestr.server.age import since

Wire = Mapping[str, Any]
Cell = Callable[[Wire, datetime], Any]  # the object and the time of the request


class Column(NamedTuple):
    name: str
    cell: Cell
    type: str = "string"
    format: str = ""
    priority: int = 0  # above 0: only with -o wide
    description: str = ""

    def definition(self) -> dict[str, Any]:
        """metav1.TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description or f"{self.name} of the object.",
            "priority": self.priority,
        }


def at(wire: Any, *path: str, default: Any = None) -> Any:
    """The value at a path of fields; the default where one of them is missing or null."""
    for name in path:
        wire = wire.get(name) if isinstance(wire, Mapping) else None
    return default if wire is None else wire


def field(*path: str, default: Any = "") -> Cell:
    return lambda wire, now: at(wire, *path, default=default)


def age(*path: str) -> Cell:
    return lambda wire, now: since(at(wire, *(path or ("metadata", "creationTimestamp"))), now)


def created(wire: Wire, now: datetime) -> str:
    return str(at(wire, "metadata", "creationTimestamp", default="<unknown>"))


NAME = Column("Name", field("metadata", "name"), format="name", description="The object's name, unique in its place.")
AGE = Column("Age", age(), description="How long ago the object was created.")
DEFAULT: Sequence[Column] = (NAME, AGE)


def columns(kind: type[KubeObject]) -> Sequence[Column]:
    from orchestr.server.builtin import COLUMNS

    if issubclass(kind, Custom):
        from orchestr.server import customcolumns

        return customcolumns.columns(kind)
    return COLUMNS.get((kind.GROUP, kind.__name__)) or DEFAULT
