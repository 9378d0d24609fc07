"""Files to objects: Compose files and Kubernetes manifests, with every problem of every file told at once.

    load(["shop.yaml", "k8s/", "-"]) -> [Loaded(data, document, at), ...]

Nothing is handed out when anything is wrong: a file with one good and one bad document gives no object.

The models of Kubernetes' kinds are imported when a document of one is there: they cost a command 80 ms, and a Compose
file needs none of them.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from orchestr.api.errors import Cause, Invalid, render
from orchestr.manifest.errors import ManifestError, Problem
from orchestr.manifest.loaded import Loaded, problem
from orchestr.manifest.yaml import Document, Path, parse

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"
COMPOSE_TAGS = frozenset(("!reset", "!override"))

Warn = Callable[[Problem], None]


@dataclass(frozen=True)
class Source:
    """A file that was found, and whether it was named itself or lies in a directory that was."""

    name: str
    named: bool


def load(
    paths: Sequence[str],
    *,
    stdin: BinaryIO | None = None,
    foreign: bool = False,
    warn: Warn = lambda problem: None,
    compose: Mapping[str, Any] | None = None,
) -> list[Loaded]:
    """The objects of files, directories (*.yaml, *.yml, *.json in order of name) and `-`.

    With `foreign`, kinds without behaviour here are taken too, with a warning. Compose files that are named themselves
    are one project, later over earlier; each one in a directory is its own. `compose`: options of compose.load.
    Warnings and notes go to `warn`. Raises ManifestError with all problems of all files.
    """
    found = _Found(foreign, warn, dict(compose or {}))
    for source in _sources(paths, found.problems):
        found.file(source, stdin)
    found.projects()
    if found.documents:
        from orchestr.manifest import together

        found.problems += together.problems(found.loaded, warn)
    if found.problems:
        raise ManifestError(_ordered(found.problems))
    return found.loaded


def _ordered(problems: Sequence[Problem]) -> list[Problem]:
    """In the order of the files and their lines, each once."""
    files = {name: index for index, name in enumerate(dict.fromkeys(problem.file for problem in problems))}
    return sorted(dict.fromkeys(problems), key=lambda p: (files[p.file], p.line or 0, p.column or 0))


def _sources(paths: Sequence[str], problems: list[Problem]) -> Iterator[Source]:
    for path in paths:
        if path != STDIN and os.path.isdir(path):
            names = sorted(name for name in os.listdir(path) if name.endswith(SUFFIXES))
            files = [os.path.join(path, name) for name in names]
            if not files:
                problems.append(Problem(path, message="the directory has no *.yaml, *.yml or *.json"))
            yield from (Source(file, False) for file in files if os.path.isfile(file))
        else:
            yield Source(path, True)


def _read(source: Source, stdin: BinaryIO | None) -> bytes:
    if source.name == STDIN:
        return (stdin or sys.stdin.buffer).read()
    try:
        with open(source.name, "rb") as file:
            return file.read()
    except OSError as error:
        raise ManifestError([Problem(source.name, message=f"cannot read the file: {error.strerror}")]) from error


class _Found:
    """What the files gave so far."""

    def __init__(self, foreign: bool, warn: Warn, compose: dict[str, Any]) -> None:
        self.foreign, self.warn, self.compose = foreign, warn, compose
        self.loaded: list[Loaded] = []
        self.problems: list[Problem] = []
        self.documents = False  # whether any was an object, and not a Compose file
        self.stacks: list[list[str]] = []  # Compose files, a list for each project
        self.named: list[str] | None = None  # the project of the files that were named themselves
        self.contents: dict[str, bytes] = {}  # of files that can be read only once

    def file(self, source: Source, stdin: BinaryIO | None) -> None:
        try:
            content = _read(source, stdin)
            documents = parse(content, source.name, tags=COMPOSE_TAGS)
        except ManifestError as error:
            self.problems += error.problems
            return
        for document in documents:
            if is_compose(document.data):
                self._compose(source, content)
            else:
                self._document(document)

    def _compose(self, source: Source, content: bytes) -> None:
        self.contents[source.name] = content
        if not source.named:
            self.stacks.append([source.name])
        elif self.named is None:
            self.named = [source.name]
            self.stacks.append(self.named)
        elif source.name not in self.named:
            self.named.append(source.name)

    def projects(self) -> None:
        """Reads the Compose files, now that it is known which belong together."""
        if not self.stacks:
            return
        from orchestr.manifest import compose

        for paths in self.stacks:
            try:
                objects = compose.load(paths, warn=self.warn, read_file=self.contents.__getitem__, **self.compose)
            except ManifestError as error:
                self.problems += error.problems
                continue
            self.loaded += [Loaded(data, Document(None, {}, {}, paths[0])) for data in objects]

    def _document(self, document: Document) -> None:
        if document.tags:
            at = next(iter(document.tags))
            self._problem(document, at, Cause(render(at), f"not supported: tag {document.tags[at]}"))
        for data, path in _items(document.data, ()):
            self._object(document, data, path)

    def _object(self, document: Document, data: Any, path: Path) -> None:
        from orchestr.api import scheme

        self.documents = True
        try:
            obj = scheme.decode(data, foreign=self.foreign, customs=True)
        except Invalid as error:
            if not path and _is_stack(data):
                self._stack(document)
                return
            for cause in error.causes:
                self._problem(document, path, cause)
            return
        if not isinstance(obj, scheme.Foreign):  # of those the fields are checked, the rules are not ours
            for cause in scheme.validate(scheme.default(obj)):
                self._problem(document, path, cause)
        loaded = Loaded(data, document, path, obj)
        self.loaded.append(loaded)
        self._notes(loaded)

    def _stack(self, document: Document) -> None:
        """A Stack whose spec is written as people write Compose files, not in the long form that is stored."""
        from orchestr.manifest.compose import written

        directory = os.path.dirname(os.path.abspath(document.name)) if document.name != STDIN else os.getcwd()
        try:
            objects = written(document, directory)
        except ManifestError as error:
            self.problems += error.problems
            return
        self.loaded += [Loaded(data, document) for data in objects]

    def _notes(self, loaded: Loaded) -> None:
        from orchestr.api import scheme

        if isinstance(loaded.object, scheme.Foreign) and self.foreign:
            self.warn(loaded.problem("kind", f"kind {loaded.object.kind} is checked only: nothing runs it here"))
        for cause in scheme.notes(loaded.object):
            self.warn(loaded.problem(cause.field, cause.message))

    def _problem(self, document: Document, path: Path, cause: Cause) -> None:
        self.problems.append(problem(document, path, cause.field, cause.message))


def is_compose(data: Any) -> bool:
    """Whether a document is a Compose file: it has services (or includes some) and no apiVersion."""
    if not isinstance(data, Mapping) or {"apiVersion", "kind"} & data.keys():
        return False
    return bool({"services", "include"} & data.keys())


def _is_stack(data: Any) -> bool:
    """Whether a document is a Stack with a name and a spec, right or wrong."""
    if not isinstance(data, Mapping) or not isinstance(data.get("spec"), Mapping):
        return False
    meta = data.get("metadata")
    named = isinstance(meta, Mapping) and isinstance(meta.get("name"), str)
    return named and data.get("apiVersion") == "orchestr.dev/v1" and data.get("kind") == "Stack"


def _items(data: Any, path: Path) -> Iterator[tuple[Any, Path]]:
    """The objects of a document: itself, or the items of a List."""
    kind = data.get("kind") if isinstance(data, Mapping) else None
    items = data.get("items") if isinstance(data, Mapping) else None
    if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        for index, item in enumerate(items):
            yield from _items(_of_list(item, data, kind), (*path, "items", index))
    else:
        yield data, path


def _of_list(item: Any, data: Mapping[str, Any], kind: str) -> Any:
    """An item of a typed list (PodList) may leave out its kind."""
    if kind == "List" or not isinstance(item, Mapping) or "kind" in item:
        return item
    return {"apiVersion": data.get("apiVersion"), "kind": kind.removesuffix("List"), **item}
