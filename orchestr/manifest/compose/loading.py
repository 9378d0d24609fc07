"""From the files of a project to one canonical tree: parse, fill in variables, check, expand, include, extend, merge.

Every value keeps the place that it has in its own file. Each step goes on after a problem, so that all are told.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orchestr.manifest.compose import paths, schema, shorthand
from orchestr.manifest.compose.environment import Environment
from orchestr.manifest.compose.merge import TAGS, merge
from orchestr.manifest.compose.tree import Findings, Node, Path, Place, tree
from orchestr.manifest.errors import ManifestError
from orchestr.manifest.yaml import parse

if TYPE_CHECKING:
    from orchestr.manifest.compose.extending import Services

RESOURCES = ("services", "volumes", "networks", "secrets", "configs", "models")
REMOTE = "fetch it and name the file"


@dataclass(frozen=True)
class Scope:
    """What the files of a project, or of one include, are read against."""

    directory: str  # absolute: what relative paths start from
    environment: Environment
    including: tuple[str, ...] = ()  # absolute paths of the files that include these


@dataclass
class Loader:
    findings: Findings
    read: Callable[[str], bytes]
    trees: dict[tuple[str, int], Node] = field(default_factory=dict)  # what is extended, by path and environment

    def raw(self, path: str) -> Node:
        """A file as written. Raises ManifestError when it cannot be read at all."""
        documents = parse(self.read(path), path, tags=TAGS)
        if len(documents) != 1:
            where = Place(path, 1, 1)
            self.findings.error(where, (), f"has {len(documents)} documents", "a Compose file has one, with services:")
            return Node({}, where, where)
        return tree(documents[0])

    def merged(self, raws: Sequence[tuple[str, Node]], scope: Scope) -> Node:
        """The files as one, later ones over earlier ones; `raws` are (path, tree)."""
        roots = [self._file(path, raw, scope) for path, raw in raws]
        root = roots[0]
        for over in roots[1:]:
            root = merge(root, over)
        return root

    def _file(self, path: str, root: Node, scope: Scope) -> Node:
        scope.environment.fill(root)
        schema.check(root, self.findings)
        if root.get("version") is not None:
            self.findings.warn(
                root.data["version"].key, ("version",), "version is obsolete and has no effect", "remove it"
            )
        shorthand.canonical(root, self.findings)
        self._include(path, root, scope)
        self._extend(path, root, scope)
        paths.of_project(root, scope.directory, scope.environment.home)
        return root

    def _extend(self, path: str, root: Node, scope: Scope) -> None:
        services = root.get("services")
        if services is None or not isinstance(services.data, dict):
            return
        if not any(service.get("extends") for _, service in services.items()):
            return
        from orchestr.manifest.compose.extending import Extending, Services

        own = Services(os.path.abspath(path), scope.directory, services, services.get)
        extending = Extending(self.findings, scope.environment, self._extended)
        services.data = {name: extending.whole(own, name) for name in services.data}

    def _extended(self, path: str, at: Place, field: Path, environment: Environment) -> "Services | None":
        """The services of a file that one extends; each is made ready when it is asked for."""
        from orchestr.manifest.compose.extending import Services

        key = (path, id(environment))
        if key not in self.trees:
            try:
                self.trees[key] = self.raw(paths.shown(path))
            except ManifestError as error:
                self._unreadable(error, at, field)
                return None
        services = self.trees[key].get("services")
        if services is None or not isinstance(services.data, dict):
            self.findings.error(at, field, f"{paths.shown(path)} has no services", "name a file that has")
            return None
        directory, ready = os.path.dirname(path), set[str]()

        def service(name: str) -> Node | None:
            found = services.get(name)
            if found is not None and found.data is not None and name not in ready:
                ready.add(name)
                environment.fill(found, ("services", name))
                schema.check_service(found, name, self.findings)
                shorthand.canonical_service(found, name, self.findings)
                paths.of_service(found, directory, environment.home)
            return found

        return Services(path, directory, services, service)

    def _unreadable(self, error: ManifestError, at: Place, field: Path) -> None:
        for problem in error.problems:
            if problem.line is None:  # the file is not there: what names it is wrong
                self.findings.error(at, field, f"cannot read {problem.file}: {problem.message.rpartition(': ')[2]}",
                                    "create it, or correct the path")  # fmt: skip
            else:
                self.findings.errors.append(problem)

    def _include(self, path: str, root: Node, scope: Scope) -> None:
        """Adds what the file includes to it; a name that both have is an error unless it is the same."""
        includes = root.data.pop("include", None) if isinstance(root.data, dict) else None
        here = os.path.abspath(path) if path != "-" else path
        for index, entry in enumerate(includes.list() if includes is not None else ()):
            found = self._included(entry, ("include", index), scope, here)
            if found is not None:
                for kind in RESOURCES:
                    self._adopt(root, kind, found.get(kind))

    def _included(self, entry: Node, field: Path, scope: Scope, here: str) -> Node | None:
        files = _texts(entry.get("path")) if isinstance(entry.data, dict) else _texts(entry)
        if not files:
            return None
        for node in files:
            if paths.remote(str(node.data)):
                self.findings.refuse(node.at, field, f"include of {node.data}", REMOTE)
                return None
        named = [paths.absolute(str(node.data), scope.directory, scope.environment.home) for node in files]
        if named[0] in (*scope.including, here):
            chain = " -> ".join(paths.shown(each) for each in (*scope.including, here, named[0]))
            self.findings.error(
                files[0].at, field, f"files include each other: {chain}", "remove one of these includes"
            )
            return None
        inner = self._scope(entry, named[0], scope, here, field)
        raws = []
        for name, node in zip(named, files, strict=True):
            try:
                raws.append((paths.shown(name), self.raw(paths.shown(name))))
            except ManifestError as error:
                self._unreadable(error, node.at, field)
        if len(raws) < len(named):
            return None
        found = self.merged(raws, inner)
        inner.environment.given(found)
        return found

    def _scope(self, entry: Node, first: str, scope: Scope, here: str, field: Path) -> Scope:
        """The directory and the variables of what is included: those of its own .env come after the caller's."""
        stated = entry.get("project_directory")
        directory = (
            paths.absolute(str(stated.data), scope.directory, scope.environment.home)
            if stated is not None and stated.data
            else os.path.dirname(first)
        )
        files = [
            (paths.absolute(str(node.data), scope.directory, scope.environment.home), node.at)
            for node in _texts(entry.get("env_file"))
            if node.data != "/dev/null"
        ]
        if not files and os.path.isfile(default := os.path.join(directory, ".env")):
            files = [(default, entry.at)]
        environment = scope.environment.inner()
        for path, at in files:
            environment.add_file(path, at, (*field, "env_file"))
        return Scope(directory, environment, (*scope.including, here))

    def _adopt(self, root: Node, kind: str, found: Node | None) -> None:
        if found is None or not isinstance(found.data, dict):
            return
        there = root.data.setdefault(kind, found.like({}))
        if not isinstance(there.data, dict):
            there = root.data[kind] = found.like({})
        for name, child in found.items():
            known = there.data.get(name)
            if known is None:
                there.data[name] = child
            elif known.plain() != child.plain():
                where = f"{child.key.file}:{child.key.line}" if child.key.line else child.key.file
                self.findings.error(known.key, (kind, name), f"{name!r} is included too, from {where}",
                                    "rename one, or give the changes as a second path of the include")  # fmt: skip


def _texts(node: Node | None) -> list[Node]:
    """A text, or a list of them."""
    if node is None or node.data is None:
        return []
    return node.data if isinstance(node.data, list) else [node]
