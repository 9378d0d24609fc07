"""Reads one mapping of a merged tree: typed values out, every problem told with its place."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from orchestr.manifest.compose.tree import Findings, Node, Path, Place

T = TypeVar("T")
TRUE, FALSE = {"true", "yes", "on", "1", "y"}, {"false", "no", "off", "0", "n", ""}


def text(data: Any) -> str:
    """A scalar as Compose passes it on: true -> `true`, 1 -> `1`."""
    return str(data).lower() if isinstance(data, bool) else str(data)


def flag(data: Any) -> bool:
    if isinstance(data, bool):
        return data
    if str(data).lower() in TRUE | FALSE:
        return str(data).lower() in TRUE
    raise ValueError(f"cannot read {data!r} as a boolean (write true or false)")


def number(data: Any) -> int:
    if isinstance(data, bool) or not str(data).strip().lstrip("-").isdecimal():
        raise ValueError(f"cannot read {data!r} as a whole number (write digits)")
    return int(data)


class Reader:
    """A mapping at `path`. What is missing, null or wrong reads as None; what is wrong is in the findings."""

    def __init__(self, node: Node | None, path: Path, findings: Findings) -> None:
        self.node, self.path, self.findings = node, path, findings

    def at(self, key: str) -> Place:
        """Where the value of `key` stands, else where the mapping does."""
        child = self.node.get(key) if self.node else None
        return child.at if child is not None else self.node.key if self.node else Place("")

    def get(self, key: str) -> Node | None:
        child = self.node.get(key) if self.node else None
        return None if child is None or child.data is None else child

    def read(self, key: str, convert: Callable[[Any], T]) -> T | None:
        child = self.get(key)
        if child is None or isinstance(child.data, dict | list):
            return None
        return self.convert(child, (*self.path, key), convert)

    def convert(self, node: Node, path: Path, convert: Callable[[Any], T]) -> T | None:
        try:
            return convert(node.data)
        except ValueError as error:
            self.findings.error(node.at, path, str(error))
            return None

    def text(self, key: str) -> str | None:
        return self.read(key, text)

    def flag(self, key: str) -> bool | None:
        return self.read(key, flag)

    def number(self, key: str) -> int | None:
        return self.read(key, number)

    def natural(self, key: str) -> int | None:
        """A number from 0 up."""
        found = self.number(key)
        if found is None or found >= 0:
            return found
        self.error(key, f"{found} is negative", "write a number from 0 up")
        return None

    def checked(self, key: str, check: Callable[[str], object]) -> str | None:
        """The text, once `check` has accepted it."""

        def convert(data: Any) -> str:
            check(text(data))
            return text(data)

        return self.read(key, convert)

    def child(self, key: str) -> "Reader":
        return Reader(self.get(key), (*self.path, key), self.findings)

    def entries(self, key: str) -> "list[Reader]":
        child = self.get(key)
        items = child.list() if child is not None else []
        return [Reader(item, (*self.path, key, index), self.findings) for index, item in enumerate(items)]

    def children(self, key: str) -> "dict[str, Reader]":
        child = self.get(key)
        pairs = child.items() if child is not None else ()
        return {name: Reader(item, (*self.path, key, name), self.findings) for name, item in pairs}

    def strings(self, key: str) -> tuple[str, ...]:
        child = self.get(key)
        return tuple(text(item.data) for item in child.list()) if child is not None else ()

    def map(self, key: str, missing: Mapping[str, str] | None = None) -> dict[str, str]:
        """A mapping of scalars. A null is "", or with `missing` the value there, and left out when it has none."""
        child = self.get(key)
        found: dict[str, str] = {}
        for name, item in child.items() if child is not None else ():
            if item.data is not None:
                found[name] = text(item.data)
            elif missing is None:
                found[name] = ""
            elif name in missing:
                found[name] = missing[name]
        return found

    def error(self, key: str, message: str, hint: str = "") -> None:
        self.findings.error(self.at(key), (*self.path, key) if key else self.path, message, hint)

    def refuse(self, key: str, what: str, why: str) -> None:
        self.findings.refuse(self.at(key), (*self.path, key) if key else self.path, what, why)

    def lacking(self, key: str, message: str, hint: str) -> None:
        self.findings.lacking(self.at(key), (*self.path, key) if key else self.path, message, hint)
