"""Files of a command to objects; every problem is told at once and nothing is done."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from orchestr.api.labels import CONFIG_FILES
from orchestr.cli import context
from orchestr.cli.errors import Bad

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestr.manifest.loaded import Loaded


def add(parser: argparse.ArgumentParser) -> None:
    """-f and the options that decide how Compose files are read."""
    parser.add_argument("-f", "--file", dest="files", action="append", metavar="FILE",
                        help="a file, a directory or - (repeat; default: the Compose file here or above)")  # fmt: skip
    parser.add_argument("-p", "--project-name", dest="project", metavar="NAME", help="the project's name")
    parser.add_argument("--project-directory", metavar="DIR", help="what relative paths start from")
    parser.add_argument("--profile", dest="profiles", action="append", metavar="NAME", help="a Compose profile")
    parser.add_argument("--env-file", dest="env_files", action="append", metavar="FILE", help="instead of .env")
    parser.add_argument("--strict-env", action="store_true", help="a variable that is not set is an error")


def chosen(args: argparse.Namespace) -> list[str]:
    """The files that are meant. Bad when there are none."""
    found = context.compose_files(args)
    if not found:
        raise Bad(f"orch {args.called}: no file (give -f FILE, or go where a compose.yaml is)")
    return found


def compose_options(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "project_dir": args.project_directory,
        "name": args.project or os.environ.get("COMPOSE_PROJECT_NAME") or None,
        "profiles": args.profiles or (),
        "env_files": args.env_files or (),
        "strict_env": args.strict_env,
    }


def load(args: argparse.Namespace, *, foreign: bool = False) -> "list[Loaded]":
    """All objects of the files. Warnings go to stderr; ManifestError is raised with every problem."""
    from orchestr.manifest import objects

    args.read = []  # the Compose projects among them: what they build is in no object

    def warn(problem: object) -> None:
        print(f"{problem}" if "warning" in str(problem) else f"{problem} [warning]", file=sys.stderr)

    named = chosen(args)
    found = objects.load(named, foreign=foreign, warn=warn, compose={**compose_options(args), "seen": args.read.append})
    for one in found:
        if one.decoded is None and one.data["kind"] == "Stack" and not one.document.positions:
            _origin(one.data, named if one.document.name in named else [one.document.name])
    return found


def _origin(stack: dict[str, Any], paths: list[str]) -> None:
    """Notes on a project which files it was read from, for `orch ls`."""
    meta = stack["metadata"]
    text = ",".join("-" if path == "-" else os.path.abspath(path) for path in paths)
    meta["annotations"] = {**(meta.get("annotations") or {}), CONFIG_FILES: text}


def wire(loaded: "list[Loaded]", namespace: str | None) -> list[dict[str, Any]]:
    """What is sent: the objects as written, each with its namespace."""
    items = []
    for one in loaded:
        if one.decoded is None:  # what Compose files became names its namespace itself
            items.append(one.data)
            continue
        data = dict(one.data)
        meta = dict(data.get("metadata") or {})
        if one.decoded.NAMESPACED:
            meta.setdefault("namespace", namespace or "default")
        items.append({**data, "metadata": meta})
    return items


def claim(args: argparse.Namespace, stack: "Mapping[str, Any]", stored: "Mapping[str, Any] | None") -> None:
    """Bad where two directories of one name would take turns at one project, each ending what the other runs."""
    mine, its = (
        ((each or {}).get("metadata", {}).get("annotations") or {}).get(CONFIG_FILES, "").split(",")[0]
        for each in (stack, stored)
    )
    if not os.path.isabs(mine) or not os.path.isabs(its) or os.path.dirname(mine) == os.path.dirname(its):
        return
    if os.path.exists(its) and context.implied_name(args):
        name = stack["metadata"]["name"]
        raise Bad(
            f"orch {args.called}: project {name} is that of {its} (give this one a name: -p NAME, or name: in it)"
        )


def config(args: argparse.Namespace, *, every: bool = False) -> "Mapping[str, Any]":
    """The Compose files as they are understood; with `every`, the services of all profiles."""
    from orchestr.manifest import compose

    options = compose_options(args)
    return compose.project(chosen(args), **{**options, "profiles": ("*",)} if every else options).config


def every_service(args: argparse.Namespace) -> set[str]:
    """The names of all services of the files, of whatever profile."""
    return set(config(args, every=True).get("services") or {})
