"""Images that a Compose project builds: `build:` of its services as what `orch image build` sends."""

import argparse
import base64
import os
import sys
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any

from orchestr.cli.errors import Bad
from orchestr.client.sync import Client

if TYPE_CHECKING:
    from orchestr.cli.imagebuild import Wanted
    from orchestr.manifest.compose import Project


def services(args: argparse.Namespace) -> dict[str, "tuple[Project, Mapping[str, Any]]"]:
    """Those with `build`, of the projects that `files.load` has read."""
    return {
        name: (project, service)
        for project in args.read
        if any(service.get("build") for _, service in _nodes(project))
        for name, service in project.config["services"].items()
        if service.get("build")
    }


def _nodes(project: "Project") -> Any:
    found = project.root.get("services")
    return found.items() if found is not None else ()


def missing(
    client: Client,
    args: argparse.Namespace,
    names: Container[str] | None = None,
    *,
    anew: bool = False,
    policies: bool = False,
) -> None:
    """Builds what is not here; with `anew` all, with `policies` what says `pull_policy: build`, too."""
    for name, (project, service) in services(args).items():
        if names is not None and name not in names:
            continue
        from orchestr.cli.imagenames import digest

        image = image_of(project, name, service)
        if anew or (policies and service.get("pull_policy") == "build") or not digest(client, image):
            build(client, project, name, service, progress="quiet" if args.quiet else "plain")


def image_of(project: "Project", name: str, service: Mapping[str, Any]) -> str:
    return str(service.get("image") or f"{project.name}-{name}")


def build(
    client: Client,
    project: "Project",
    name: str,
    service: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
    *,
    progress: str,
) -> str:
    """The image's digest. `changes`: fields of the request that the command line says."""
    from orchestr.cli import imagebuild

    wanted = _wanted(project, name, service)
    for field, value in (changes or {}).items():
        wanted.fields[field] = {**wanted.fields[field], **value} if isinstance(value, dict) else value
    found = imagebuild.send(client, wanted, progress=progress, prefix=f"{name} ")
    if progress != "quiet":
        print(f"built {wanted.fields['tags'][0]} {found}", file=sys.stderr)
    return found


def _wanted(project: "Project", name: str, service: Mapping[str, Any]) -> "Wanted":
    from orchestr.cli.imagebuild import Wanted, read_text
    from orchestr.manifest.compose.paths import remote

    said = service["build"]
    context = str(said.get("context") or ".")
    if remote(context):
        raise Bad(f"orch: services.{name}.build.context: {context} is not supported (give a directory)")
    inline = said.get("dockerfile_inline")
    file = f"services.{name}.build.dockerfile_inline" if inline else os.path.join(context, said["dockerfile"])
    platforms = said.get("platforms") or []
    if len(platforms) > 1:
        raise Bad(f"orch: services.{name}.build.platforms: more than one is not supported (name this machine's own)")
    fields: dict[str, Any] = {
        "tags": [image_of(project, name, service), *(said.get("tags") or [])],
        "args": dict(said.get("args") or {}),
        "labels": dict(said.get("labels") or {}),
        "target": said.get("target") or "",
        "platform": platforms[0] if platforms else "",
        "noCache": bool(said.get("no_cache")),
        "pull": bool(said.get("pull")),
        "network": said.get("network") or "default",
        "secrets": dict(_secret(project, name, use) for use in said.get("secrets") or []),
        **({"shm": int(said["shm_size"])} if said.get("shm_size") else {}),
    }
    return Wanted(context, inline or read_text(file), file, fields)


def _secret(project: "Project", name: str, use: Any) -> tuple[str, str]:
    source = use if isinstance(use, str) else str(use["source"])
    id_ = source if isinstance(use, str) else str(use.get("target") or source)
    entry = (project.config.get("secrets") or {}).get(source) or {}
    if "file" in entry:
        from orchestr.cli.imagebuild import secret

        return id_, secret(f"id={id_},src={entry['file']}")[1]
    if entry.get("environment") in project.environment.variables:
        content = project.environment.variables[entry["environment"]]
        return id_, base64.b64encode(content.encode("utf-8", "surrogateescape")).decode()
    raise Bad(f"orch: services.{name}.build.secrets: {source} has no content here (give it a file or a variable)")
