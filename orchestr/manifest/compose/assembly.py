"""Compose files -> a project: Namespace, Secrets and Stack, with every problem found on the way.

In order: parse, fill in variables, check against the schema, expand short forms, merge, drop inactive profiles, build
the model, check the parts against each other. Each step goes on after a problem, so that all are told at once.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestr.api.labels import STACK
from orchestr.manifest.compose import checks, content, schema, service, shorthand
from orchestr.manifest.compose.environment import Environment
from orchestr.manifest.compose.merge import TAGS, merge, without_reset
from orchestr.manifest.compose.names import label
from orchestr.manifest.compose.reader import Reader
from orchestr.manifest.compose.tree import Findings, Node, Place, dotted, scalars, tree
from orchestr.manifest.errors import ManifestError, Problem
from orchestr.manifest.yaml import Document, parse

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
    config: Mapping[str, Any]  # merged, long forms, variables filled in; secrets by file name only
    provenance: Mapping[str, Place]  # "services.web.image" -> where it stands
    warnings: tuple[Problem, ...]
    unsupported: tuple[Problem, ...]


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
) -> list[Wire]:
    """Namespace, Secrets and Stack of the files, later ones over earlier ones.

    Variables come from `env` (default: the process's), then from `env_files` (default: `.env` in the project's
    directory, which is that of the first file). `read_file` gives the bytes of a path (default: from disk, `-` stdin).
    Raises ManifestError with all problems.
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
) -> Project:
    """As `load`, but what is not supported is only listed. Raises ManifestError for everything else that is wrong."""
    env = os.environ if env is None else env
    findings = Findings()
    directory = os.path.abspath(project_dir or os.path.dirname(paths[0] if paths[0] != STDIN else "") or ".")
    environment = _environment(env, directory, env_files, strict_env, findings)
    roots = [_root(path, (read_file or _bytes)(path), environment, findings) for path in paths]
    root = roots[0]
    for over in roots[1:]:
        root = merge(root, over)
    project_name = _name(name, Reader(root, (), findings), environment.variables, directory)
    chosen = {*profiles, *filter(None, environment.variables.get("COMPOSE_PROFILES", "").split(","))}
    return _assembled(without_reset(root), environment, directory, project_name, chosen, findings)


def written(document: Document, directory: str) -> list[Wire]:
    """A Stack written as an object, its spec in Compose's short forms: Secrets and the Stack in long form.

    Variables are not filled in: the object stands for itself. Its metadata is as written. Raises ManifestError.
    """
    findings, metadata = Findings(), document.data["metadata"]
    environment = Environment({}, False, findings)
    root = _canonical(tree(_below(document, "spec")), findings)
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
    inactive = _drop_inactive(root, chosen)
    spec, secrets = _spec(read, environment, directory, project_name, inactive)
    if findings.errors:
        raise ManifestError(_ordered([*findings.errors, *findings.unsupported]))
    own = label(project_name)
    named: Wire = {"name": own, "labels": {STACK: own}}
    stack: Wire = {"apiVersion": "orchestr.dev/v1", "kind": "Stack", "metadata": {**named, "namespace": own}}
    return Project(
        project_name,
        ({"apiVersion": "v1", "kind": "Namespace", "metadata": named}, *secrets, {**stack, "spec": spec}),
        {"name": project_name, **root.plain()},
        _provenance(root),
        _ordered(findings.warnings),
        _ordered(findings.unsupported),
    )


def _environment(
    env: Mapping[str, str], directory: str, env_files: Sequence[str], strict: bool, findings: Findings
) -> Environment:
    """The caller's variables over those of `.env` (or of the files given instead)."""
    found = Environment(env, strict, findings)
    default = os.path.join(directory, ".env")
    files = list(env_files) or [path for path in env.get("COMPOSE_ENV_FILES", "").split(",") if path]
    from_files: dict[str, str] = {}
    for path in files or ([default] if os.path.isfile(default) else []):
        from_files |= found.read_file(path, Place(path), ())
    found.variables = {**from_files, **env}
    return found


def _root(path: str, text: bytes, environment: Environment, findings: Findings) -> Node:
    documents = parse(text, path, tags=TAGS)
    if len(documents) != 1:
        where = Place(path, 1, 1)
        findings.error(where, (), f"has {len(documents)} documents", "a Compose file has one, with services:")
        return Node({}, where, where)
    root = tree(documents[0])
    environment.fill(root)
    return _canonical(root, findings)


def _canonical(root: Node, findings: Findings) -> Node:
    schema.check(root, findings)
    if root.get("version") is not None:
        findings.warn(root.data["version"].key, ("version",), "version is obsolete and has no effect", "remove it")
    shorthand.canonical(root, findings)
    return root


def _bytes(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read()
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ManifestError([Problem(path, None, None, "", f"cannot read the file: {error.strerror}", "")]) from error


def _name(given: str | None, read: Reader, variables: Mapping[str, str], directory: str) -> str:
    """As Compose: -p, COMPOSE_PROJECT_NAME, `name:`, the directory."""
    stated = given or variables.get("COMPOSE_PROJECT_NAME") or read.text("name")
    name = stated or re.sub(r"[^a-z0-9_-]", "", os.path.basename(directory).lower()).lstrip("_-") or "project"
    if not NAME.fullmatch(name):
        read.error("name", f"{name!r} is no project name", "use lower case letters, digits, '-' and '_'")
    elif RESERVED.fullmatch(label(name)):
        read.error(
            "name", f"{name!r} cannot be a project: the namespace belongs to Kubernetes", "choose another with name:"
        )
    return name


def _drop_inactive(root: Node, profiles: set[str]) -> set[str]:
    """Removes services of other profiles from the tree; their names."""
    services = root.get("services")
    inactive = set()
    for name, child in list(services.items()) if services else ():
        wanted = {str(item.data) for item in (child.get("profiles") or child.like([])).list()}
        if wanted and "*" not in profiles and not wanted & profiles:
            inactive.add(name)
            del services.data[name]  # type: ignore[union-attr]  # items() came from it
    return inactive


def _spec(
    read: Reader, environment: Environment, directory: str, name: str, inactive: set[str]
) -> tuple[Wire, tuple[Wire, ...]]:
    """The Stack's spec and the Secrets that it names."""
    context = service.Context(environment, directory, environment.variables.get("HOME", "/root"))
    if not read.children("services") and not inactive and read.get("include") is None:
        read.error("services", "there is no service", "add services: with at least one")
    services = {key: service.service(entry, context) for key, entry in read.children("services").items()}
    if read.get("include") is None:  # which is not supported, and holds what is referred to
        checks.check(services, read, inactive)
    used = {
        kind: {use["source"] for one in services.values() for use in one.get(kind, ())}
        for kind in ("secrets", "configs")
    }
    secrets = content.secrets(read, used["secrets"], environment, directory, name)
    _drivers(read)
    spec = {
        "services": {key: _without(one, inactive) for key, one in services.items()},
        "networks": {key: _given(name=use.text("name")) for key, use in read.children("networks").items()},
        "volumes": {
            key: _given(name=use.text("name"), labels=use.map("labels"))
            for key, use in read.children("volumes").items()
        },
        "secrets": secrets.model,
        "configs": content.configs(read, used["configs"], environment, directory),
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


def _provenance(root: Node) -> dict[str, Place]:
    found: dict[str, Place] = {}
    scalars(root, lambda node, path: found.__setitem__(dotted(path), node.at))
    return found


def _ordered(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """In the order of the file, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda found: (found.file, found.line or 0, found.column or 0)))
