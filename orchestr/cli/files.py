"""Files of a command to objects; every problem is told at once and nothing is done."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from orchestr.cli import context
from orchestr.cli.errors import Bad

if TYPE_CHECKING:
    from orchestr.manifest.loaded import Loaded


def add(parser: argparse.ArgumentParser) -> None:
    """-f and the options that decide how Compose files are read."""
    parser.add_argument("-f", "--file", dest="files", action="append", metavar="FILE",
                        help="a file, a directory or - (repeat; default: the Compose file here or above)")  # fmt: skip
    parser.add_argument("-p", "--project-name", dest="project", metavar="NAME", help="the project's name")
    parser.add_argument("--project-directory", metavar="DIR", help="what relative paths start from")
    parser.add_argument(
        "--profile", dest="profiles", action="append", default=[], metavar="NAME", help="a Compose profile"
    )
    parser.add_argument(
        "--env-file", dest="env_files", action="append", default=[], metavar="FILE", help="instead of .env"
    )
    parser.add_argument("--strict-env", action="store_true", help="a variable that is not set is an error")


def chosen(args: argparse.Namespace) -> list[str]:
    """The files that are meant. Bad when there are none."""
    if args.files:
        return list(args.files)
    named = [
        path for path in os.environ.get("COMPOSE_FILE", "").split(os.environ.get("COMPOSE_PATH_SEPARATOR", ":")) if path
    ]
    found = context.compose_file()
    if named:
        return named
    if found is None:
        raise Bad(f"orch {args.called}: no file (give -f FILE, or go where a {context.COMPOSE_FILES[0]} is)")
    return [found]


def compose_options(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "project_dir": args.project_directory,
        "name": args.project or os.environ.get("COMPOSE_PROJECT_NAME") or None,
        "profiles": args.profiles,
        "env_files": args.env_files,
        "strict_env": args.strict_env,
    }


def load(args: argparse.Namespace, *, foreign: bool = False) -> "list[Loaded]":
    """All objects of the files. Warnings go to stderr; ManifestError is raised with every problem."""
    from orchestr.manifest import objects

    def warn(problem: object) -> None:
        print(f"{problem}" if "warning" in str(problem) else f"{problem} [warning]", file=sys.stderr)

    return objects.load(chosen(args), foreign=foreign, warn=warn, compose=compose_options(args))


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
