"""An object with the place it comes from."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestr.api.errors import render
from orchestr.manifest.errors import Problem
from orchestr.manifest.yaml import Document, Path

if TYPE_CHECKING:
    from orchestr.api.base import KubeObject

HINT = re.compile(r"(?P<message>.*\S) \((?P<hint>[^()]*(?:\([^()]*\)[^()]*)*)\)")


@dataclass(frozen=True)
class Loaded:
    """One object of a file. `data` is the wire form as written: what server-side apply is sent."""

    data: dict[str, Any]
    document: Document
    at: Path = ()  # of the object in the document; () unless it is an item of a List
    decoded: "KubeObject | None" = None  # None: made from Compose

    @cached_property
    def object(self) -> "KubeObject":
        """The model; what was made from Compose is decoded when somebody asks, as the models cost 100 ms to import.

        Raises Invalid.
        """
        if self.decoded is not None:
            return self.decoded
        from orchestr.api import scheme

        return scheme.decode(self.data)

    @property
    def place(self) -> str:
        """FILE:LINE:COL, FILE alone for what a Compose file compiled to."""
        return str(self.problem("", "")).removesuffix(": ")

    def problem(self, field: str, message: str, hint: str = "") -> Problem:
        """A problem with a field of the object, at the place of that field or of what surrounds it."""
        return problem(self.document, self.at, field, message, hint)


def problem(document: Document, at: Path, field: str, message: str, hint: str = "") -> Problem:
    """A problem at `field` of the object at `at`."""
    found = HINT.fullmatch(message) if not hint else None
    if found:
        message, hint = found["message"], found["hint"]
    if not document.positions:
        return Problem(document.name, None, None, field, message, hint)
    line, column = document.place(_path(document, at, field))
    return Problem(document.name, line, column, field, message, hint)


def _path(document: Document, at: Path, field: str) -> Path:
    """The longest path below `at` that is written out as the field or the beginning of it."""
    data = document.data
    for part in at:
        data = data[part]
    path, written = at, 0
    while step := _step(data, field, written, first=written == 0):
        part, written = step
        path, data = (*path, part), data[part]
    return path


def _step(data: Any, field: str, written: int, *, first: bool) -> tuple[str | int, int] | None:
    """The key or index in `data` that the field goes on with after `written` characters, and how far that reaches."""
    parts = data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for part in parts:
        text = render((part,))
        text = text if first or text.startswith("[") else f".{text}"
        end = written + len(text)
        if field.startswith(text, written) and field[end : end + 1] in ("", ".", "["):
            return part, end
    return None
