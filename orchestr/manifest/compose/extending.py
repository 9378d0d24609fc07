"""`extends`: a service on top of another, of the same file or of one that `file` names, which may extend in its turn.

As Compose does it, everything is inherited, `depends_on` and `links` too; what the service itself says comes over it by
the rules of merging, and its `!reset` and `!override` hold for what it inherits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from orchestr.manifest.compose import paths
from orchestr.manifest.compose.environment import Environment
from orchestr.manifest.compose.merge import merge, without_reset
from orchestr.manifest.compose.tree import Findings, Node, Path, Place


@dataclass(frozen=True)
class Services:
    """The services of one file."""

    path: str
    directory: str  # what `extends.file` starts from
    node: Node
    get: Callable[[str], Node | None]  # checked, in long form


Open = Callable[[str, Place, Path, Environment], Services | None]


@dataclass(frozen=True)
class Extending:
    findings: Findings
    environment: Environment
    open: Open

    def whole(self, services: Services, name: str, chain: tuple[tuple[str, str], ...] = ()) -> Node:
        """The service with all that it inherits. What cannot be found is told, and the service stays as it is."""
        service = services.get(name) or services.node.data[name]
        extends = service.get("extends")
        if extends is None or not isinstance(service.data, dict):
            return service
        own = service.like({key: child for key, child in service.items() if key != "extends"})
        at: Path = ("services", name, "extends")
        target = extends.get("service")
        if target is None or target.data is None:
            return service  # told by the schema
        found = self._target(services, extends, at)
        if found is None:
            return service
        base, chain = str(target.data), (*chain, (services.path, name))
        if found.get(base) is None:
            known = ", ".join(sorted(found.node.data)[:8])
            where = paths.shown(found.path)
            self.findings.error(
                target.at, (*at, "service"), f"there is no service {base!r} in {where}", f"there are {known}"
            )
            return service
        if (found.path, base) in chain:
            circle = " -> ".join(f"{one} of {paths.shown(path)}" for path, one in (*chain, (found.path, base)))
            self.findings.error(target.at, (*at, "service"), f"services extend each other: {circle}", "remove one")
            return service
        return merge(without_reset(self.whole(found, base, chain)), own, ("services", "*"))

    def _target(self, services: Services, extends: Node, at: Path) -> Services | None:
        file = extends.get("file")
        if file is None or file.data is None:
            return services
        if paths.remote(str(file.data)):
            self.findings.refuse(file.at, (*at, "file"), f"extends of {file.data}", "fetch it and name the file")
            return None
        path = paths.absolute(str(file.data), services.directory, self.environment.home)
        return self.open(path, file.at, (*at, "file"), self.environment)
