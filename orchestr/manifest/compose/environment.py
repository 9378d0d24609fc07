"""Where variables come from: the caller's environment, `.env`, and the env files of services."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from orchestr.manifest.compose import dotenv
from orchestr.manifest.compose.interpolate import InterpolationError, substitute
from orchestr.manifest.compose.reader import Reader, text
from orchestr.manifest.compose.tree import Findings, Node, Path, Place, dotted, scalars

FORMATS = ("raw",)
REFERENCE = re.compile(r"(?<!\$)(?:\$\$)*\$\{?([A-Za-z_][A-Za-z0-9_]*)")


def _nobody(name: str) -> None:
    """Hears of variables without a value where nobody asks."""


@dataclass
class Environment:
    """`variables` fill in the Compose files. An unset one is empty, with a warning; `strict` makes it an error."""

    variables: dict[str, str]
    strict: bool
    findings: Findings
    fills: bool = True  # False: the files are shown as they are written
    sources: dict[str, Place] = field(default_factory=dict)  # of the variables that came from a file
    uses: dict[str, list[tuple[Place, Path]]] = field(default_factory=dict)  # where each one is written
    late: dict[str, str] = field(default_factory=dict)  # of includes: what their secrets and configs may name
    hidden: dict[str, list[Place]] = field(default_factory=dict)  # where files set what is set already
    cache: dict[tuple[str, bool], dict[str, str]] = field(default_factory=dict)
    lines: dict[str, dict[str, int]] = field(default_factory=dict)  # of the files of services: path -> name -> line

    @property
    def home(self) -> str:
        return self.variables.get("HOME") or "/root"

    def inner(self) -> "Environment":
        """For what is included: the same variables, to which its own files may add."""
        return replace(self, variables=dict(self.variables), sources=dict(self.sources), cache={})

    def add_file(self, path: str, at: Place, field: Path, *, over: Mapping[str, str] | None = None) -> None:
        """The variables of an env file that are not set yet, or not in `over`."""
        lines: dict[str, int] = {}
        keep = self.variables if over is None else over
        for name, value in self.read_file(path, at, field, lines=lines).items():
            at_file = Place(path, lines.get(name), 1)
            if name in keep:
                self.hidden.setdefault(name, []).append(at_file)
            else:
                self.variables[name], self.sources[name] = value, at_file

    def explain(self, name: str) -> list[str]:
        """Lines that say what the variable is when files are filled in, from where, and where it is written."""
        found = [f"{name} is not set"]
        if name in self.variables:
            source = self.sources.get(name)
            found = [f"{name}={self.variables[name]}", f"from {source if source else 'the environment'}"]
        found += [f"not from {place}, which comes after it" for place in self.hidden.get(name, ())]
        return found + [f"{dotted(path)} uses it: {at}" for at, path in dict.fromkeys(self.uses.get(name, ()))]

    def filed(self, read: Reader) -> dict[str, tuple[str, Place]]:
        """The variables that a service has from its env files, with their places."""
        found: dict[str, tuple[str, Place]] = {}
        for entry in read.entries("env_file"):
            path = entry.text("path") or ""
            lines = self.lines.get(path, {})
            found |= {name: (value, Place(path, lines.get(name), 1)) for name, value in self._file(entry).items()}
        return found

    def given(self, root: Node) -> None:
        """Gives the services of an include the variables that they name without a value, and their secrets theirs."""
        for _, service in (root.get("services") or root.like({})).items():
            for name, child in (service.get("environment") or service.like({})).items():
                if child.data is None and name in self.variables:
                    child.data = self.variables[name]
        for kind in ("secrets", "configs"):
            for _, entry in (root.get(kind) or root.like({})).items():
                name = str(source.data) if (source := entry.get("environment")) is not None else ""
                if name in self.variables:
                    self.late.setdefault(name, self.variables[name])

    def unset(self, at: Place, path: Path) -> Callable[[str], None]:
        def tell(name: str) -> None:
            say = self.findings.error if self.strict else self.findings.warn
            say(at, path, f"variable {name} is not set{'' if self.strict else ', it counts as empty'}",
                f"set it, or write ${{{name}:-DEFAULT}}")  # fmt: skip

        return tell

    def fill(self, root: Node, path: Path = ()) -> None:
        """Fills in every scalar of the tree, in place. Keys stay as they are."""
        if self.fills:
            scalars(root, self._fill, path)

    def _fill(self, node: Node, path: Path) -> None:
        if not isinstance(node.data, str) or "$" not in node.data:
            return
        extension = str(path[0]).startswith("x-")  # whose values count where an alias puts them
        for name in REFERENCE.findall(node.data):
            self.uses.setdefault(name, []).append((node.at, path))
        try:
            unset = _nobody if extension else self.unset(node.at, path)
            node.data = substitute(node.data, self.variables, unset)
        except InterpolationError as error:
            if not extension:
                self.findings.error(node.at, path, str(error))
        node.filled = True

    def of(self, read: Reader) -> dict[str, str]:
        """A service's environment: its env files in order, then its own."""
        found: dict[str, str] = {}
        for entry in read.entries("env_file"):
            found |= self._file(entry)
        return found | read.map("environment", self.variables)

    def shown(self, read: Reader) -> dict[str, str | None]:
        """The same with the names that have no value anywhere."""
        own = read.children("environment")
        return dict.fromkeys(own) | self.of(read)

    def labels(self, read: Reader) -> dict[str, str]:
        """A service's labels: those of its label files in order, then its own."""
        found: dict[str, str] = {}
        files = read.get("label_file")
        for index, node in enumerate(files.list() if files is not None else ()):
            found |= self.read_file(text(node.data), node.at, (*read.path, "label_file", index))
        return found | read.map("labels")

    def _file(self, read: Reader) -> Mapping[str, str]:
        path = read.text("path") or ""
        format = read.text("format")
        if format not in (None, "", *FORMATS):
            read.refuse("format", f"env_file format {format}", f"use {', '.join(FORMATS)} or none")
        raw = format == "raw"
        if (path, raw) not in self.cache:
            if not os.path.exists(path) and read.flag("required") is False:
                return {}
            self.cache[path, raw] = self.read_file(
                path, read.at("path"), (*read.path, "path"), raw=raw, lines=self.lines.setdefault(path, {})
            )
        return self.cache[path, raw]

    def read_file(
        self, path: str, at: Place, field: Path, *, raw: bool = False, lines: dict[str, int] | None = None
    ) -> dict[str, str]:
        """The variables of an env file; `at` and `field` are what named it. `lines` takes the line of each."""

        def unset(name: str, line: int) -> None:
            self.unset(Place(path, line, 1), (name,))(name)

        try:
            with open(path, encoding="utf-8") as file:
                return dotenv.parse(file.read(), self.variables, unset, raw=raw, lines=lines)
        except OSError as error:
            self.findings.error(
                at, field, f"cannot read env file {path}: {error.strerror}", "create it, or set required: false"
            )
        except UnicodeDecodeError:
            self.findings.error(at, field, f"cannot read env file {path}: it is no UTF-8 text")
        except dotenv.EnvFileError as error:
            self.findings.error(Place(path, error.line, 1), field, str(error))
        return {}
