"""`orch restart [NAME ...]`: new pods for workloads, rolled as their strategy says, in dependency order."""

import argparse

from orchestr.cli import OK, context, project
from orchestr.cli.errors import Bad
from orchestr.cli.follow import follow
from orchestr.cli.options import add_scope, duration
from orchestr.cli.recreate import rerun, roll, tell
from orchestr.cli.workloads import Found, find_all
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch restart web            roll one service
  orch restart -n shop        everything in a namespace, what others wait for first"""

KINDS = ("deployments", "statefulsets", "daemonsets", "jobs")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="services, workloads, pods (default: all)")
    parser.add_argument("-d", "--detach", action="store_true", help="do not wait")
    parser.add_argument(
        "-t", "--stop-timeout", type=int, metavar="SECONDS", help="what containers of services get to end"
    )
    parser.add_argument("--no-deps", action="store_true", help="nothing else is restarted: as it is")
    parser.add_argument(
        "--timeout", type=duration, metavar="DURATION", default=300.0, help="how long to wait (default 5m)"
    )
    add_scope(parser)


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    pods = [name for name in args.names if name.startswith(("pod/", "pods/", "po/"))]
    names = [name for name in args.names if name not in pods]
    for name in pods:
        client.delete(path("pods", context.namespace(args), name.partition("/")[2]))
        print(f"{name} restarted", flush=True)
    found = _wanted(client, args, names) if names or not pods else []
    _stop_timeout(client, args, found)
    code = OK
    for level in levels(found):
        restarted = [roll(client, each) for each in level if each[0].kind != "Job"]
        restarted += rerun(client, [each for each in level if each[0].kind == "Job"])
        tell(restarted)
        if not args.detach:
            code = code or follow(client, restarted, timeout=args.timeout, color=args.color)
    return code


def _wanted(client: Client, args: argparse.Namespace, names: list[str]) -> list[Found]:
    """Of the Jobs only a service's, which its Stack makes anew; one that has ended only when it is named."""
    found = find_all(client, args, names, KINDS)
    lone = [obj for kind, obj in found if kind.kind == "Job" and not _of_stack(obj)]
    if lone and names:
        raise Bad(f"orch restart: job/{lone[0]['metadata']['name']} runs once (delete it, and apply it anew)")
    return [
        (kind, obj)
        for kind, obj in found
        if kind.kind != "Job" or (_of_stack(obj) and (names or (obj.get("status") or {}).get("active")))
    ]


def _of_stack(obj: dict[str, object]) -> bool:
    meta = obj["metadata"]
    assert isinstance(meta, dict)
    return any(owner["kind"] == "Stack" for owner in meta.get("ownerReferences") or [])


def _stop_timeout(client: Client, args: argparse.Namespace, found: list[Found]) -> None:
    if args.stop_timeout is None:
        return
    from orchestr.cli.halting import limit

    there = project.seek(client, context.namespace(args))
    labels = {obj["metadata"]["name"] for _, obj in found}
    if there:
        limit(there, [name for name, label in there.labels.items() if label in labels], args.stop_timeout)


def levels(found: list[Found]) -> list[list[Found]]:
    """What others wait for comes first."""
    if len(found) < 2:
        return [found] if found else []
    from orchestr import graph
    from orchestr.api.scheme import decode

    names = {kind.kind.lower() for kind, _ in found}
    by_name = {each[1]["metadata"]["name"]: each for each in found}
    objects = [decode({"apiVersion": kind.api_version, **obj}) for kind, obj in found]
    order = graph.start_order(graph.build(objects))
    chosen = [[by_name[node.name] for node in level if node.kind in names and node.name in by_name] for level in order]
    return [level for level in chosen if level]
