"""`orch delete`: objects by name or label, or all that a file made. Claims (data) stay unless --volumes is said."""

import argparse
import sys
from typing import Any

from orchestr.api.errors import NotFound
from orchestr.cli import OK, TIMEOUT, context, files
from orchestr.cli.errors import Bad
from orchestr.cli.kinds import Kind, find, references
from orchestr.cli.options import add_namespace, duration
from orchestr.cli.view import BELOW, View
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch delete -f stack.yaml            what the file made; volumes stay
  orch delete -f stack.yaml --volumes  and its volumes, for ever
  orch delete pod web-1 --now          one object, at once"""

Target = tuple[Kind, str, str]  # kind, namespace, name


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="*", metavar="KIND NAME | KIND/NAME")
    files.add(parser)
    parser.add_argument("-l", "--selector", metavar="LABEL=VALUE", help="objects of KIND with these labels")
    parser.add_argument("--all", action="store_true", help="all objects of KIND in the namespace")
    parser.add_argument(
        "--volumes", "-v", action="store_true", help="with a Compose file: also its volumes and namespace"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--now", action="store_true", help="without waiting for a graceful end")
    parser.add_argument("--grace-period", type=int, metavar="SECONDS", help="instead of the objects' own")
    parser.add_argument("--ignore-not-found", action="store_true", help="what is gone already is fine")
    parser.add_argument("-d", "--detach", action="store_true", help="do not wait until they are gone")
    parser.add_argument(
        "--timeout", type=duration, metavar="DURATION", default=120.0, help="how long to wait (default 2m)"
    )
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    targets = named(client, args) if args.what else of_files(client, args)
    if args.volumes:
        confirm(args, [target for target in targets if target[0].kind in ("PersistentVolumeClaim", "Namespace")])
    grace = 0 if args.now else args.grace_period
    lost = args.ignore_not_found or not args.what
    deleted = [target for target in targets if remove(client, target, grace=grace, lost=lost)]
    return OK if args.detach else gone(client, deleted, args.timeout)


def named(client: Client, args: argparse.Namespace) -> list[Target]:
    namespace = context.namespace(args)
    kinds, names = references(args.what)
    if kinds and not (args.selector or args.all):
        raise Bad("orch delete: no name (give names, -l LABEL=VALUE or --all)")
    found = [(kind, namespace if kind.namespaced else "", name) for kind, name in names]
    for kind in kinds:
        target = path(kind.plural, namespace if kind.namespaced else None, group=kind.group, version=kind.version)
        for obj in client.items(target, {"labelSelector": args.selector}):
            found.append((kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
    return found


def of_files(client: Client, args: argparse.Namespace) -> list[Target]:
    """In reverse of the files' order. Of a Compose file: the Stack (its children follow it, in reverse dependency
    order) and its Secrets; the namespace and the claims hold data and stay."""
    items = files.wire(files.load(args), args.namespace)
    stacks = {item["metadata"]["namespace"] for item in items if item["kind"] == "Stack"}
    found: list[Target] = []
    for item in reversed(items):
        kind, meta = find(item["kind"]), item["metadata"]
        if kind.kind == "Namespace" and meta["name"] in stacks:
            continue
        found.append((kind, meta.get("namespace", "") if kind.namespaced else "", meta["name"]))
    found.sort(key=lambda target: (target[0].kind == "Namespace", target[0].kind != "Stack"))
    if args.volumes:
        claim = find("pvc")
        for stack in sorted(stacks):
            found += [(claim, stack, obj["metadata"]["name"]) for obj in client.items(path(claim.plural, stack))]
            found.append((find("ns"), "", stack))
    return found


def confirm(args: argparse.Namespace, lost: list[Target]) -> None:
    """Asks on a terminal before data is destroyed; without one, -y must be there."""
    if not lost or args.yes:
        return
    names = ", ".join(f"{kind.kind.lower()}/{name}" for kind, _, name in lost)
    if not sys.stdin.isatty():
        raise Bad(f"orch {args.called}: this destroys {names} (say -y)")
    print(f"This destroys the data of {names}. Type yes: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != "yes":
        raise Bad(f"orch {args.called}: nothing was deleted")


def remove(client: Client, target: Target, *, grace: int | None = None, lost: bool = True) -> bool:
    """Whether it was there; with `lost` it need not be."""
    kind, namespace, name = target
    options: dict[str, Any] = {"propagationPolicy": "Background"}
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    try:
        client.delete(path(kind.plural, namespace or None, name, group=kind.group, version=kind.version), options)
    except NotFound:
        if lost:
            return False
        raise
    print(f"{kind.kind.lower()}/{name} deleted", flush=True)
    return True


def gone(client: Client, targets: list[Target], timeout: float) -> int:
    """Waits until the objects, and the pods below them, are gone."""
    if not targets:
        return OK
    import time

    namespaces = {namespace for _, namespace, _ in targets if namespace}
    plurals = dict.fromkeys([*(kind.plural for kind, _, _ in targets), *BELOW])
    view = View(client, namespaces, plurals)
    parents = {obj["metadata"]["uid"] for target in targets if (obj := view.one(*target))}
    end = time.monotonic() + timeout
    while True:
        left = [f"{kind.kind.lower()}/{name}" for kind, ns, name in targets if view.one(kind, ns, name)]
        left += [f"pod/{pod['metadata']['name']}" for uid in parents for pod in view.below(uid)]
        if not left:
            return OK
        if time.monotonic() >= end:
            print(f"orch: still there: {', '.join(left)}", file=sys.stderr)
            return TIMEOUT
        view.wait(end - time.monotonic())
