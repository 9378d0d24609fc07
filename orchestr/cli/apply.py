"""`orch apply -f FILE`: the machine becomes what the files say; waits, and tells the truth about it."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from orchestr.cli import OK, composebuild, context, files
from orchestr.cli.options import add_namespace, add_output, duration
from orchestr.cli.output import dump
from orchestr.client.sync import Client

if TYPE_CHECKING:
    from orchestr.manifest.loaded import Loaded

EXAMPLES = """examples:
  orch apply -f stack.yaml                 apply and wait until it runs
  orch apply -f k8s/ --dry-run=server      would it be accepted?
  orch apply -f stack.yaml --prune         and delete what left the file
  orch apply --bundle app.tar              what orch bundle create made, nothing from the network
exit codes: 0 converged, 1 failed, 2 bad input, 3 timeout, 5 no daemon"""

MANAGER = "orch"


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    parser.add_argument("-d", "--detach", action="store_true", help="do not wait")
    parser.add_argument(
        "--timeout", type=duration, metavar="DURATION", default=300.0, help="how long to wait (default 5m)"
    )
    parser.add_argument(
        "--dry-run", choices=("client", "server"), help="only check: the files, or with the daemon's admission"
    )
    parser.add_argument("--prune", action="store_true", help="delete what was applied before and is not in the files")
    parser.add_argument("-l", "--selector", metavar="LABEL=VALUE", help="with --prune: only objects with these labels")
    parser.add_argument("--force-conflicts", action="store_true", help="take fields over from other managers")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only what failed")
    parser.add_argument("--bundle", metavar="FILE", help="what orch bundle made: its images, then its objects")
    add_output(parser, "json", "yaml", "name")
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    if args.selector and not args.prune:
        from orchestr.cli.errors import Bad

        raise Bad("orch apply: -l goes with --prune (leave it out)")
    if args.bundle:
        return _bundle(args)
    loaded = files.load(args, foreign=args.dry_run == "client")
    if args.dry_run == "client":
        for one in loaded:
            print(f"{one.object.ref} valid (dry run)")
        return OK
    context.server(args)  # it may name the namespace
    items = files.wire(loaded, args.namespace)
    client = started(args)
    if not args.dry_run:
        composebuild.missing(client, args)
    return _apply(client, args, loaded, items)


def _bundle(args: argparse.Namespace) -> int:
    """Its images first: they are looked at, digest by digest, before any has a name."""
    from orchestr.cli import bundled
    from orchestr.cli.errors import Bad
    from orchestr.client.paths import IMAGES

    if args.files or args.namespace or args.dry_run == "client":
        raise Bad("orch apply: --bundle goes with no -f, -n and --dry-run=client: it is whole (leave them out)")
    items, images = bundled.read(args.bundle)
    context.server(args)
    client = started(args)
    if images and not args.dry_run:
        with open(args.bundle, "rb") as file:
            client.stream("POST", f"{IMAGES}/load", body=file, content_type="application/x-tar").read()
    return _apply(client, args, [], [dict(item) for item in items])


def _apply(client: Client, args: argparse.Namespace, loaded: "list[Loaded]", items: list[dict[str, Any]]) -> int:
    results = send(client, args, loaded, items, dry_run=args.dry_run == "server")
    tell(args, results)
    for text in (text for result in results for text in result.get("warnings", ())):
        print(f"warning: {text}", file=sys.stderr)
    if args.detach or args.dry_run:
        return OK
    from orchestr.cli.follow import follow

    kept = [result["object"] for result in results if result["action"] != "pruned"]
    return follow(client, kept, timeout=args.timeout, color=args.color, quiet=args.quiet)


def send(
    client: Client,
    args: argparse.Namespace,
    loaded: "list[Loaded]",
    items: list[dict[str, Any]],
    *,
    dry_run: bool,
) -> list[dict[str, Any]]:
    """What became of each item. What the daemon finds wrong with one is told at its place in the file."""
    from orchestr.api.errors import ApiError

    try:
        return client.apply_all(
            items,
            manager=MANAGER,
            dry_run=dry_run,
            prune=selector(args) if args.prune else None,
            force=args.force_conflicts,
        )
    except ApiError as error:
        from orchestr.cli.placed import placed

        raise placed(error, loaded) from error


def selector(args: argparse.Namespace) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in args.selector.split(",")) if args.selector else {}


def tell(args: argparse.Namespace, results: list[dict[str, Any]]) -> None:
    if args.output in ("json", "yaml"):
        objects = [result["object"] for result in results]
        whole = objects[0] if len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": objects}
        print(dump(whole, args.output))
        return
    note = " (dry run)" if args.dry_run else ""
    for result in results:
        name = f"{result['object']['kind'].lower()}/{result['object']['metadata']['name']}"
        if args.output == "name":
            print(name)
        elif not args.quiet:
            print(f"{name} {result['action']}{note}", flush=True)


def started(args: argparse.Namespace) -> Client:
    """A client whose daemon runs; as root, and with no host given, one that does not is started, and that is said."""
    import os

    from orchestr.client.http import NoDaemon

    client = context.client(args)
    try:
        client.get("/version")
    except NoDaemon:
        if args.kubeconfig or args.context or args.host or os.environ.get("ORCH_HOST") or os.geteuid() != 0:
            raise
        from orchestr.cli.system import launch

        pid = launch(context.current())
        print(f"started the daemon (pid {pid}); orch system stop ends it", file=sys.stderr, flush=True)
    return client
