"""Compose files -> a project: Namespace, Secrets and Stack, with every problem found on the way.

In order: one canonical tree of all files (loading.py), drop inactive profiles, tell what is not done, build the model,
check the parts against each other. Each step goes on after a problem, so that all are told at once.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestr.api.labels import STACK
from orchestr.manifest.compose import checks, conflicts, content, links, refusals, service
from orchestr.manifest.compose.discovery import fitting
from orchestr.manifest.compose.environment import Environment
from orchestr.manifest.compose.interpolate import InterpolationError, substitute
from orchestr.manifest.compose.loading import Loader, Scope
from orchestr.manifest.compose.merge import without_reset
from orchestr.manifest.compose.names import label
from orchestr.manifest.compose.reader import Reader
from orchestr.manifest.compose.tree import Findings, Node, Place, dotted, scalars, tree
from orchestr.manifest.errors import ManifestError, Problem
from orchestr.manifest.yaml import Document

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
RESERVED = re.compile(r"default|kube-.*")
STDIN = "-"

Wire = dict[str, Any]  # an object in wire form; no models here: they cost a command 100 ms to import


@dataclass(frozen=True)
class Project:
    """A project as read.

    `unsupported` are keys that Compose knows and orch does not do: `config` shows them, `apply` refuses.
    """

    name: str
    objects: tuple[Wire, ...]  # Namespace, Secrets, Stack
    root: Node  # merged, in long form, variables filled in; services of active profiles
    profiles: tuple[str, ...]  # that services name
    environment: Environment
    warnings: tuple[Problem, ...]
    unsupported: tuple[Problem, ...]

    @cached_property
    def config(self) -> dict[str, Any]:
        """As `docker compose config --format json` shows it; contents of secrets by file name only."""
        from orchestr.manifest.compose import rendered

        return rendered.project(self.root, self.name, self.environment)

    @cached_property
    def provenance(self) -> Mapping[str, tuple[Any, Place]]:
        """`services.web.image` -> (value, where it stands)."""
        found: dict[str, tuple[Any, Place]] = {}
        scalars(self.root, lambda node, path: found.__setitem__(dotted(path), (node.data, node.at)))
        for name, entry in Reader(self.root, (), Findings()).children("services").items():
            for variable, (value, place) in self.environment.filed(entry).items():
                found.setdefault(f"services.{name}.environment.{variable}", (value, place))
        return found

    def explain(self, variable: str) -> list[str]:
        """Where a variable that fills in the files has its value from, who uses it, and which services are given it."""
        given = {
            field.removesuffix(f".environment.{variable}"): entry
            for field, entry in self.provenance.items()
            if field.startswith("services.") and field.endswith(f".environment.{variable}")
        }
        return [
            *self.environment.explain(variable),
            *(f"{field} is given it: {at}" for field, (_, at) in given.items()),
        ]


def load(
    paths: Sequence[str],
    *,
    project_dir: str | None = None,
    name: str | None = None,
    env: Mapping[str, str] | None = None,
    profiles: Sequence[str] = (),
    strict_env: bool = False,
    env_files: Sequence[str] = (),
    warn: Callable[[Problem], None] = lambda problem: None,
    read_file: Callable[[str], bytes] | None = None,
    seen: Callable[[Project], None] = lambda project: None,
) -> list[Wire]:
    """Namespace, Secrets and Stack of the files, later ones over earlier ones.

    Variables come from `env` (default: the process's), then from `env_files` (default: `.env` in the project's
    directory, which is that of the first file). `read_file` gives the bytes of a path (default: from disk, `-` stdin).
    `seen` is given the project that they are. Raises ManifestError with all problems.
    """
    found = project(
        paths,
        project_dir=project_dir,
        name=name,
        env=env,
        profiles=profiles,
        strict_env=strict_env,
        env_files=env_files,
        read_file=read_file,
    )
    for problem in found.warnings:
        warn(problem)
    if found.unsupported:
        raise ManifestError(found.unsupported)
    seen(found)
    return list(found.objects)


def project(
    paths: Sequence[str],
    *,
    project_dir: str | None = None,
    name: str | None = None,
    env: Mapping[str, str] | None = None,
    profiles: Sequence[str] = (),
    strict_env: bool = False,
    env_files: Sequence[str] = (),
    read_file: Callable[[str], bytes] | None = None,
    named: Sequence[str] = (),
) -> Project:
    """As `load`, but what is not supported is only listed. The profiles of the services that are `named` are active.

    Raises ManifestError for everything else that is wrong.
    """
    env = os.environ if env is None else env
    findings = Findings()
    directory = _directory(project_dir, paths)
    environment = _environment(env, directory, env_files, strict_env, findings)
    root, project_name = _merged(paths, read_file, name, environment, directory, findings)
    chosen = _active(profiles, environment)
    root = without_reset(root)
    services = root.get("services")
    chosen |= {
        profile for key in named if services for profile in Reader(services.get(key), (), findings).strings("profiles")
    }
    return _assembled(root, environment, directory, project_name, chosen, findings)


def uninterpolated(
    paths: Sequence[str],
    *,
    project_dir: str | None = None,
    name: str | None = None,
    profiles: Sequence[str] = (),
    strict_env: bool = False,
    env_files: Sequence[str] = (),
) -> dict[str, Any]:
    """The files as one, in long form, with their variables as they are written. Raises ManifestError."""
    findings = Findings(written=True)
    directory = _directory(project_dir, paths)
    environment = _environment(os.environ, directory, env_files, strict_env, findings)
    environment.fills = False
    root, project_name = _merged(paths, None, name, environment, directory, findings)
    if findings.errors:
        raise ManifestError(_ordered(findings.errors))
    chosen = _active(profiles, environment)
    root = without_reset(root)
    _drop_inactive(root, chosen)
    return {"name": project_name, **root.plain()}


def _directory(given: str | None, paths: Sequence[str]) -> str:
    """What relative paths start from: that of the first file, unless one is given."""
    return os.path.abspath(given or os.path.dirname(paths[0] if paths[0] != STDIN else "") or ".")


def _active(profiles: Sequence[str], environment: Environment) -> set[str]:
    named = profiles or environment.variables.get("COMPOSE_PROFILES", "").split(",")
    return {text.strip() for text in named} - {""}


def _merged(
    paths: Sequence[str],
    read_file: Callable[[str], bytes] | None,
    name: str | None,
    environment: Environment,
    directory: str,
    findings: Findings,
) -> tuple[Node, str]:
    """The files as one tree, and the project's name."""

    def read(path: str) -> bytes:
        return read_file(path) if read_file is not None and path in paths else on_disk(path)

    loader = Loader(findings, read)
    raws: list[tuple[str, Node]] = []
    broken: list[Problem] = []
    for path in paths:
        try:
            raws.append((path, loader.raw(path)))
        except ManifestError as error:
            broken += error.problems
    if broken:
        raise ManifestError(broken)
    project_name = _name(name, [root for _, root in raws], environment, directory, findings)
    environment.variables["COMPOSE_PROJECT_NAME"] = project_name
    return loader.merged(raws, Scope(directory, environment)), project_name


def written(document: Document, directory: str) -> list[Wire]:
    """A Stack written as an object, its spec in Compose's short forms: Secrets and the Stack in long form.

    Variables are not filled in: the object stands for itself. Its metadata is as written. Raises ManifestError.
    """
    findings, metadata = Findings(), document.data["metadata"]
    environment = Environment({}, False, findings, fills=False)
    directory, root = os.path.abspath(directory), tree(_below(document, "spec"))
    root = Loader(findings, on_disk).merged([(document.name, root)], Scope(directory, environment))
    found = _assembled(root, environment, directory, metadata["name"], set(), findings)
    if found.unsupported:
        raise ManifestError(found.unsupported)
    _, *secrets, stack = found.objects
    namespace = {"namespace": metadata.get("namespace") or "default"}
    labels = {"labels": {**stack["metadata"]["labels"], **(metadata.get("labels") or {})}}
    return [
        *({**secret, "metadata": secret["metadata"] | namespace} for secret in secrets),
        {**stack, "metadata": metadata | namespace | labels},
    ]


def _below(document: Document, key: str) -> Document:
    """The part of a document under a key, with the positions that it has in the file."""
    positions, values = (
        {path[1:]: at for path, at in places.items() if path[:1] == (key,)}
        for places in (document.positions, document.values)
    )
    return Document(document.data[key], positions, values, document.name)


def _assembled(
    root: Node, environment: Environment, directory: str, project_name: str, chosen: set[str], findings: Findings
) -> Project:
    """From the canonical tree to the objects. Raises ManifestError for what is wrong; what is not done is listed."""
    read = Reader(root, (), findings)
    profiles, inactive = _profiles(read), _drop_inactive(root, chosen)
    refusals.refuse(root, findings)
    spec, secrets = _spec(read, environment, directory, project_name, inactive)
    if findings.errors:
        raise ManifestError(_ordered([*findings.errors, *findings.unsupported]))
    own = label(project_name)
    named: Wire = {"name": own, "labels": {STACK: own}}
    stack: Wire = {"apiVersion": "orchestr.dev/v1", "kind": "Stack", "metadata": {**named, "namespace": own}}
    return Project(
        project_name,
        ({"apiVersion": "v1", "kind": "Namespace", "metadata": named}, *secrets, {**stack, "spec": spec}),
        root,
        profiles,
        environment,
        _ordered(findings.warnings),
        _ordered(findings.unsupported),
    )


def _environment(
    env: Mapping[str, str], directory: str, env_files: Sequence[str], strict: bool, findings: Findings
) -> Environment:
    """The caller's variables over those of `.env` (or of the files given instead, later over earlier)."""
    found = Environment({"PWD": os.getcwd(), **env}, strict, findings)
    default = os.path.join(directory, ".env")
    files = list(env_files) or [path for path in env.get("COMPOSE_ENV_FILES", "").split(",") if path]
    for path in files or ([default] if os.path.isfile(default) else []):
        found.add_file(path, Place(path), (), over=env)
    return found


def on_disk(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read()
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ManifestError([Problem(path, None, None, "", f"cannot read the file: {error.strerror}", "")]) from error


def _name(
    given: str | None, roots: Sequence[Node], environment: Environment, directory: str, findings: Findings
) -> str:
    """As Compose: -p, COMPOSE_PROJECT_NAME, the last file's `name:`, the directory; the last two are made to fit."""
    stated = given or environment.variables.get("COMPOSE_PROJECT_NAME")
    node = next((node for root in reversed(roots) if (node := root.get("name")) is not None and node.data), None)
    at = node.at if node is not None else roots[0].at
    if stated:
        if not NAME.fullmatch(stated):
            findings.error(at, ("name",), f"{stated!r} is no project name", "use lower case letters, digits, '-', '_'")
        name = stated
    else:
        written = _substituted(node, environment) if node is not None else ""
        name = fitting(written) or fitting(os.path.basename(directory)) or "project"
    if RESERVED.fullmatch(label(name)):
        why = "the namespace belongs to Kubernetes"
        findings.error(at, ("name",), f"{name!r} cannot be a project: {why}", "choose another with name:")
    return name


def _substituted(node: Node, environment: Environment) -> str:
    """What is wrong with it is told when the file is filled in."""
    try:
        return substitute(str(node.data), environment.variables, lambda name: None)
    except InterpolationError:
        return ""


def _profiles(read: Reader) -> tuple[str, ...]:
    entries = read.children("services").values()
    return tuple(sorted({profile for entry in entries for profile in entry.strings("profiles")}))


def _drop_inactive(root: Node, profiles: set[str]) -> set[str]:
    """Removes services of other profiles from the tree; their names."""
    services = root.get("services")
    inactive = set()
    for name, child in list(services.items()) if services else ():
        named = child.get("profiles")
        wanted = {str(item.data) for item in named.list()} if named is not None else set()
        if wanted and "*" not in profiles and not wanted & profiles:
            inactive.add(name)
            del services.data[name]  # type: ignore[union-attr]  # items() came from it
    return inactive


def _spec(
    read: Reader, environment: Environment, directory: str, name: str, inactive: set[str]
) -> tuple[Wire, tuple[Wire, ...]]:
    """The Stack's spec and the Secrets that it names."""
    context = service.Context(environment)
    if not read.children("services") and not inactive:
        read.error("services", "there is no service", "add services: with at least one")
    services = {key: service.service(entry, context) for key, entry in read.children("services").items()}
    links.add(services, read, inactive)
    conflicts.check(read)
    checks.check(services, read, inactive)
    used = {
        kind: {use["source"] for one in services.values() for use in one.get(kind, ())}
        for kind in ("secrets", "configs")
    }
    secrets = content.secrets(read, used["secrets"], environment, name)
    _drivers(read)
    spec = {
        "services": {key: _without(one, inactive) for key, one in services.items()},
        "networks": {key: _given(name=use.text("name")) for key, use in read.children("networks").items()},
        "volumes": {
            key: _given(name=use.text("name"), labels=use.map("labels"))
            for key, use in read.children("volumes").items()
        },
        "secrets": secrets.model,
        "configs": content.configs(read, used["configs"], environment),
    }
    return _given(**spec), secrets.objects


def _given(**fields: Any) -> Wire:
    """Without what is not there."""
    return {key: value for key, value in fields.items() if value not in (None, {})}


def _without(one: Wire, inactive: set[str]) -> Wire:
    """Optional dependencies on services of inactive profiles are dropped."""
    if not inactive or "depends_on" not in one:
        return one
    left = {key: use for key, use in one["depends_on"].items() if key not in inactive}
    return _given(**one | {"depends_on": left})


def _drivers(read: Reader) -> None:
    for kind, known in (("networks", ("bridge",)), ("volumes", ("local",))):
        for entry in read.children(kind).values():
            if (driver := entry.text("driver")) and driver not in known:
                entry.refuse("driver", f"{kind} driver {driver}", f"use {known[0]} or leave it out")
            for key in ("enable_ipv4", "enable_ipv6"):
                if entry.flag(key) is False:
                    entry.refuse(key, f"{key} false", "networks have both families")


def _ordered(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """In the order of the file, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda found: (found.file, found.line or 0, found.column or 0)))
