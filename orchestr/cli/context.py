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
COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


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
    """-n, else -p, else the project of a Compose file here or above, else `default`."""
    chosen = getattr(args, "namespace", None) or args.project or os.environ.get("COMPOSE_PROJECT_NAME")
    if chosen:
        return str(chosen)
    found = compose_file()
    return project_name(found) if found else "default"


def compose_file() -> str | None:
    """A Compose file in this directory or the nearest one above."""
    folder = os.getcwd()
    while True:
        for name in COMPOSE_FILES:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return path
        if folder == "/":
            return None
        folder = os.path.dirname(folder)


def project_name(path: str) -> str:
    """The namespace of a Compose file's project: its `name:`, else its directory. Without a YAML parser, for this is on
    the way of `orch status`; a name with variables in it is read in full."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("name:"):
                value = line[5:].split("#")[0].strip().strip("\"'")
                if "$" in value:
                    from orchestr.manifest import compose

                    value = compose.project([path]).name
                return label(value)
    return label(os.path.basename(os.path.dirname(os.path.abspath(path))))


def label(name: str) -> str:
    """A Compose project's name as the namespace it becomes. Most names are their own: those spare the import, which
    takes longer than a whole `orch exec`."""
    plain = name.isascii() and name.replace("-", "a").isalnum() and name == name.lower().strip("-")
    if plain and len(name) <= LABEL_LIMIT:
        return name
    from orchestr.manifest.compose.names import label

    return label(name)
