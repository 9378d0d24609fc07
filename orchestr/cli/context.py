"""Which daemon and which namespace a command means."""

import argparse
import os
import sys
from typing import cast

from orchestr.cli.errors import Bad, Failed
from orchestr.cli.kinds import learn_from
from orchestr.client.paths import Address
from orchestr.client.sync import Client
from orchestr.instance import Instance, InstanceError, instance

LABEL_LIMIT = 63  # RFC 1123


def current() -> Instance:
    """The instance of --instance or $ORCH_INSTANCE."""
    try:
        return instance()
    except InstanceError as error:
        raise Bad(f"orch: {error}") from error


def start_command(here: Instance) -> str:
    return f"orch system start{f' --instance {here.name}' if here.name else ''}"


def client(args: argparse.Namespace) -> Client:
    """Of --kubeconfig or --context, --host, $ORCH_HOST, or the instance's socket."""
    here = current()
    config = server(args)
    host = config or args.host or os.environ.get("ORCH_HOST") or here.socket
    try:
        made = Client(host, start="" if config else start_command(here))
    except ValueError as error:
        raise Bad(f"orch: {error}") from error
    learn_from(made)
    made.warn = _warn
    return made


def _warn(text: str) -> None:
    print(f"Warning: {text}", file=sys.stderr)


def server(args: argparse.Namespace) -> Address | None:
    """Of --kubeconfig or --context, whose namespace becomes that of `args`; None without them."""
    if not (args.kubeconfig or args.context):
        return None
    if (known := getattr(args, "remote_server", None)) is not None:
        return cast(Address, known)
    from orchestr.client.kubeconfig import BadConfig, load, usual

    if args.host:
        raise Bad("orch: give either --kubeconfig or --host")
    try:
        place = load(args.kubeconfig or usual(), args.context or "")
        if place.address.tls and place.address.tls.plugin:
            place.address.tls.plugin.credential()  # now, where it can be told well that there are none
    except BadConfig as error:
        raise Bad(f"orch: {error}") from error
    except ValueError as error:
        raise Failed(f"orch: {error}") from error
    if place.namespace and not getattr(args, "namespace", None) and not args.project:
        args.namespace = place.namespace
    args.remote_server = place.address
    return place.address


def namespace(args: argparse.Namespace) -> str:
    """-n, else the project in scope, else `default`."""
    chosen = getattr(args, "namespace", None) or in_scope(args)
    return str(chosen or "default")


def in_scope(args: argparse.Namespace) -> str | None:
    """The namespace of the project that is meant: -p, COMPOSE_PROJECT_NAME, that of the files; None without any."""
    named = args.project or os.environ.get("COMPOSE_PROJECT_NAME")
    if named:
        return label(str(named))
    found = compose_files(args)
    return project_name(found, getattr(args, "project_directory", None)) if found else None


def compose_files(args: argparse.Namespace) -> list[str]:
    """The project's files: -f, COMPOSE_FILE, those in this directory or the nearest above; none without any."""
    if getattr(args, "files", None):
        return list(args.files)
    from orchestr.manifest.compose.discovery import discover

    directory = getattr(args, "project_directory", None) or os.getcwd()
    return discover(directory, os.environ, getattr(args, "env_files", None) or ())


def project_name(paths: list[str], directory: str | None = None) -> str:
    """The namespace of the project of Compose files: COMPOSE_PROJECT_NAME of its `.env`, the last `name:`, else its
    directory. Without a YAML parser, for this is on the way of `orch status`; a name with variables is read in full."""
    from orchestr.manifest.compose.discovery import fitting

    folder = _folder(paths, directory)
    return label(fitting(_given(paths, folder)) or fitting(os.path.basename(folder)) or "project")


def _folder(paths: list[str], directory: str | None) -> str:
    """The project's directory."""
    return os.path.abspath(directory or os.path.dirname(paths[0]) or ".")


def _given(paths: list[str], folder: str) -> str:
    """The name that somebody gave it, "" for none: the variable in its `.env`, else the last `name:`."""
    stated = _of_env(os.path.join(folder, ".env"), paths)
    for path in paths if not stated else ():
        stated = _stated(path, paths) or stated
    return stated


def implied_name(args: argparse.Namespace) -> bool:
    """Whether the project's name is only that of its directory, which another one may have, too."""
    paths = compose_files(args)
    if args.project or os.environ.get("COMPOSE_PROJECT_NAME") or not paths:
        return False
    return not _given(paths, _folder(paths, getattr(args, "project_directory", None)))


def _of_env(path: str, paths: list[str]) -> str:
    """COMPOSE_PROJECT_NAME of an env file."""
    try:
        with open(path, "rb") as file:
            if b"COMPOSE_PROJECT_NAME" not in file.read():
                return ""
    except OSError:
        return ""
    return _read(paths)


def _stated(path: str, paths: list[str]) -> str:
    """The top-level `name:` of one file, "" without one."""
    if path == "-" or not os.path.isfile(path):
        return ""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("name:"):
                value = line[5:].split("#")[0].strip().strip("\"'")
                return _read(paths) if "$" in value else value
    return ""


def _read(paths: list[str]) -> str:
    from orchestr.manifest import compose

    return compose.project(paths).name


def label(name: str) -> str:
    """A Compose project's name as the namespace it becomes. Most names are their own: those spare the import, which
    takes longer than a whole `orch exec`."""
    plain = name.isascii() and name.replace("-", "a").isalnum() and name == name.lower().strip("-")
    if plain and len(name) <= LABEL_LIMIT:
        return name
    from orchestr.manifest.compose.names import label

    return label(name)
