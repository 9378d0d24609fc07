"""A Compose file as a tree that remembers where everything stands, so that any later step can name FILE:LINE:COL."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orchestr.manifest.errors import Problem
from orchestr.manifest.yaml import Document

Path = tuple[str | int, ...]
RESET, OVERRIDE = "!reset", "!override"  # what a later file does to an earlier one


class Place(NamedTuple):
    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in self if part is not None)


@dataclass(slots=True)
class Node:
    """A value: `data` is a dict of Nodes, a list of Nodes, or a scalar. `key` is where its key stands, else itself."""

    data: Any
    at: Place
    key: Place
    tag: str = ""  # RESET, OVERRIDE or ""
    filled: bool = False  # a variable was filled in: text that may stand for a number or boolean

    def get(self, name: str) -> "Node | None":
        return self.data.get(name) if isinstance(self.data, dict) else None

    def items(self) -> Iterator[tuple[str, "Node"]]:
        return iter(self.data.items() if isinstance(self.data, dict) else ())

    def list(self) -> "list[Node]":
        return self.data if isinstance(self.data, list) else []

    def like(self, data: Any) -> "Node":
        """Another value at the same place."""
        return Node(data, self.at, self.key, self.tag)

    def map(self, data: Mapping[str, object]) -> "Node":
        """A mapping of scalars at the same place."""
        return self.like({key: self.like(value) for key, value in data.items()})

    def plain(self) -> Any:
        if isinstance(self.data, dict):
            return {name: child.plain() for name, child in self.data.items()}
        if isinstance(self.data, list):
            return [child.plain() for child in self.data]
        return self.data


@dataclass(slots=True)
class Findings:
    """What was found wrong, doubtful, and not done or lacking, on the way."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    unsupported: list[Problem] = field(default_factory=list)
    written: bool = False  # variables are not filled in: a value with one in it may be anything

    def open(self, data: Any) -> bool:
        return self.written and isinstance(data, str) and "$" in data

    def error(self, at: Place, path: Path, message: str, hint: str = "") -> None:
        self.errors.append(problem(at, path, message, hint))

    def warn(self, at: Place, path: Path, message: str, hint: str = "") -> None:
        self.warnings.append(problem(at, path, message, hint))

    def refuse(self, at: Place, path: Path, what: str, why: str) -> None:
        self.unsupported.append(problem(at, path, f"not supported: {what}", why))

    def lacking(self, at: Place, path: Path, message: str, hint: str) -> None:
        """What the project needs to run, but not to be shown."""
        self.unsupported.append(problem(at, path, message, hint))


def problem(at: Place, path: Path, message: str, hint: str = "") -> Problem:
    return Problem(at.file, at.line, at.column, dotted(path), message, hint)


def dotted(path: Path) -> str:
    """`services.web.ports[0]`"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def tree(document: Document) -> Node:
    """The document with its positions."""
    return _node(document.data, (), document)


def _node(data: Any, path: Path, document: Document) -> Node:
    key = Place(document.name, *document.positions.get(path, (1, 1)))
    at = Place(document.name, *document.values[path]) if path in document.values else key
    if isinstance(data, Mapping):
        data = {name: _node(child, (*path, name), document) for name, child in data.items()}
    elif isinstance(data, list | tuple):
        data = [_node(child, (*path, index), document) for index, child in enumerate(data)]
    return Node(data, at, key, document.tags.get(path, ""))


def scalars(node: Node, change: Callable[[Node, Path], None], path: Path = ()) -> None:
    """Calls `change` with every scalar."""
    if isinstance(node.data, dict):
        for name, child in node.data.items():
            scalars(child, change, (*path, name))
    elif isinstance(node.data, list):
        for index, child in enumerate(node.data):
            scalars(child, change, (*path, index))
    else:
        change(node, path)
