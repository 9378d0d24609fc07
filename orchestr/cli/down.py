"""`orch down [SERVICE ...]`: a Compose project goes: its containers in order, its networks and secrets, and with -v its
volumes. Without -v its data and its namespace stay."""

import argparse
from typing import Any

from orchestr.api.errors import ApiError, NotFound
from orchestr.cli import OK, context, delete, files, halting, project
from orchestr.cli.errors import Failed
from orchestr.cli.kinds import find
from orchestr.cli.options import duration
from orchestr.cli.project import Project
from orchestr.client.paths import IMAGES, path, with_query
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch down              the project here; volumes stay
  orch down -v           and its volumes, for ever
  orch -p shop down      a project by its name, where there is no file"""


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    flag = parser.add_argument
    flag("services", nargs="*", metavar="SERVICE", help="only these services; the project stays")
    flag("-v", "--volumes", action="store_true", help="also its volumes and its namespace")
    flag("--remove-orphans", action="store_true", help="also services that are not in the files")
    flag("--rmi", choices=("local", "all"), help="also its images: all, or only those that were built without a name")
    flag("-t", "--timeout", type=int, metavar="SECONDS", help="what containers get to end, instead of their own")
    flag("-y", "--yes", action="store_true", help="do not ask")
    flag("-d", "--detach", action="store_true", help="do not wait until they are gone")
    flag("--wait-timeout", type=duration, metavar="SECONDS", default=120.0, help="how long to wait (default 2m)")
    flag("-n", "--namespace", metavar="NS", help="the project's namespace, instead of its name")


def run(args: argparse.Namespace) -> int:
    client, namespace = context.client(args), context.namespace(args)
    found = project.seek(client, namespace)
    if found is None and not args.volumes:
        print(f"no project {namespace} is here")
        return OK
    leaving = _leaving(args, found) if found else []
    whole = found is None or not (found.services.keys() - set(leaving))
    if args.volumes and not whole:
        raise Failed("orch down: -v goes with the whole project (name no services, or say --remove-orphans)")
    images = _images(args, found, leaving)
    targets = _targets(client, namespace, volumes=args.volumes, stack=found is not None) if whole else []
    if args.volumes:
        delete.confirm(args, [each for each in targets if each[0].kind in ("PersistentVolumeClaim", "Namespace")])
    if found:
        halting.limit(found, leaving, args.timeout)
    code = _whole(client, args, targets) if whole else _part(args, found, leaving)
    for image in images if code == OK else ():
        _remove(client, image)
    return code


def _leaving(args: argparse.Namespace, found: Project) -> list[str]:
    """The services that go; what is not in the files stays unless it is said, and that is told."""
    if args.services:
        return project.chosen(found, args.services)
    if args.remove_orphans or not context.compose_files(args):
        return list(found.services)
    known = files.every_service(args)
    orphans = [name for name in found.services if name not in known]
    if orphans:
        import sys

        text = f"warning: not in the files, and left running: {', '.join(orphans)} (--remove-orphans ends them)"
        print(text, file=sys.stderr)
    return [name for name in found.services if name in known]


def _targets(client: Client, namespace: str, *, volumes: bool, stack: bool) -> list[delete.Target]:
    """The Stack takes all that it made with it, in reverse order of dependencies."""
    found = [(find("st"), namespace, namespace)] if stack else []
    if not volumes:
        return found
    claim = find("pvc")
    try:
        client.get(path("namespaces", None, namespace))
    except NotFound:
        return found
    claims = client.items(path(claim.plural, namespace))
    return [*found, *((claim, namespace, obj["metadata"]["name"]) for obj in claims), (find("ns"), "", namespace)]


def _whole(client: Client, args: argparse.Namespace, targets: list[delete.Target]) -> int:
    deleted = [target for target in targets if delete.remove(client, target)]
    return OK if args.detach else delete.gone(client, deleted, args.wait_timeout)


def _part(args: argparse.Namespace, found: Project | None, leaving: list[str]) -> int:
    """Some services leave the Stack, and its controller ends them."""
    assert found is not None

    def without(spec: Any) -> dict[str, Any]:
        there = [name for name in leaving if name in spec["services"]]
        stopped = [name for name in spec.get("stopped") or () if name not in leaving]
        return {"services": dict.fromkeys(there), "stopped": stopped or None} if there else {}

    project.change(found, without)
    left = [] if args.detach else halting.gone(found, leaving, args.timeout)
    for name in leaving:
        print(f"{name} removed")
    if left:
        raise Failed(f"orch down: still running: {', '.join(left)} (orch status says why)", 3)
    return OK


def _images(args: argparse.Namespace, found: Project | None, leaving: list[str]) -> list[str]:
    """`local`: those that a file builds and does not name."""
    if not args.rmi or found is None:
        return []
    images = {name: str(found.services[name]["image"]) for name in leaving}
    if args.rmi == "local":
        images = {name: image for name, image in images.items() if image == f"{found.namespace}-{name}"}
    return list(dict.fromkeys(images.values()))


def _remove(client: Client, image: str) -> None:
    """One that others use, or that is gone, stays as it is."""
    try:
        client.delete(with_query(IMAGES, {"name": image}))
        print(f"image {image} removed")
    except ApiError as error:
        print(f"image {image} stays: {error.message}")
