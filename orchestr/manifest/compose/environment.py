"""Where variables come from: the caller's environment, `.env`, and the env files of services."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestr.manifest.compose import dotenv
from orchestr.manifest.compose.interpolate import InterpolationError, substitute
from orchestr.manifest.compose.reader import Reader
from orchestr.manifest.compose.tree import Findings, Node, Path, Place, scalars

FORMATS = ("raw",)


@dataclass
class Environment:
    """`variables` fill in the Compose files. An unset one is empty, with a warning; `strict` makes it an error."""

    variables: Mapping[str, str]
    strict: bool
    findings: Findings
    cache: dict[tuple[str, bool], dict[str, str]] = field(default_factory=dict)

    def unset(self, at: Place, path: Path) -> Callable[[str], None]:
        def tell(name: str) -> None:
            say = self.findings.error if self.strict else self.findings.warn
            say(at, path, f"variable {name} is not set{'' if self.strict else ', it counts as empty'}",
                f"set it, or write ${{{name}:-DEFAULT}}")  # fmt: skip

        return tell

    def fill(self, root: Node) -> None:
        """Fills in every scalar of the tree, in place. Keys stay as they are."""
        scalars(root, self._fill)

    def _fill(self, node: Node, path: Path) -> None:
        if (
            not isinstance(node.data, str)
            or "$" not in node.data
            or any(str(part).startswith("x-") for part in path[:1])
        ):
            return
        try:
            node.data = substitute(node.data, self.variables, self.unset(node.at, path))
        except InterpolationError as error:
            self.findings.error(node.at, path, str(error))
        node.filled = True

    def of(self, read: Reader, directory: str) -> dict[str, str]:
        """A service's environment: its env files in order, then its own."""
        found: dict[str, str] = {}
        for entry in read.entries("env_file"):
            found |= self._file(entry, directory)
        return found | read.map("environment", self.variables)

    def _file(self, read: Reader, directory: str) -> Mapping[str, str]:
        path = os.path.normpath(os.path.join(directory, read.text("path") or ""))
        format = read.text("format")
        if format not in (None, "", *FORMATS):
            read.refuse("format", f"env_file format {format}", f"use {', '.join(FORMATS)} or none")
        raw = format == "raw"
        if (path, raw) not in self.cache:
            if not os.path.exists(path) and read.flag("required") is False:
                return {}
            self.cache[path, raw] = self.read_file(path, read.at("path"), (*read.path, "path"), raw=raw)
        return self.cache[path, raw]

    def read_file(self, path: str, at: Place, field: Path, *, raw: bool = False) -> dict[str, str]:
        """The variables of an env file; `at` and `field` are what named it."""

        def unset(name: str, line: int) -> None:
            self.unset(Place(path, line, 1), (name,))(name)

        try:
            with open(path, encoding="utf-8") as file:
                return dotenv.parse(file.read(), self.variables, unset, raw=raw)
        except OSError as error:
            self.findings.error(
                at, field, f"cannot read env file {path}: {error.strerror}", "create it, or set required: false"
            )
        except UnicodeDecodeError:
            self.findings.error(at, field, f"cannot read env file {path}: it is no UTF-8 text")
        except dotenv.EnvFileError as error:
            self.findings.error(Place(path, error.line, 1), field, str(error))
        return {}
