"""`orch restart [NAME ...]`: new pods for workloads, rolled as their strategy says, in dependency order."""

import argparse
import time

from orchestr.cli import OK, context
from orchestr.cli.follow import follow
from orchestr.cli.options import add_namespace, duration
from orchestr.cli.workloads import Found, find_all, target
from orchestr.client.paths import path
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch restart web            roll one service
  orch restart -n shop        everything in a namespace, what others wait for first"""

KINDS = ("deployments", "statefulsets", "daemonsets")
STAMP = "kubectl.kubernetes.io/restartedAt"  # kubectl rollout restart writes the same


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="services, workloads, pods (default: all)")
    parser.add_argument("-f", "--file", dest="files", action="append", metavar="FILE", help="the project's file")
    parser.add_argument("-d", "--detach", action="store_true", help="do not wait")
    parser.add_argument(
        "--timeout", type=duration, metavar="DURATION", default=300.0, help="how long to wait (default 5m)"
    )
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    if args.files and not args.namespace:
        args.namespace = context.project_name(args.files[0])
    pods = [name for name in args.names if name.startswith(("pod/", "pods/", "po/"))]
    names = [name for name in args.names if name not in pods]
    for name in pods:
        client.delete(path("pods", context.namespace(args), name.partition("/")[2]))
        print(f"{name} restarted", flush=True)
    code = OK
    for level in levels(find_all(client, args, names, KINDS)) if names or not pods else []:
        restarted = [restart(client, found) for found in level]
        if not args.detach:
            code = code or follow(client, restarted, timeout=args.timeout, color=args.color)
    return code


def restart(client: Client, found: Found) -> dict[str, object]:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    patch = {"spec": {"template": {"metadata": {"annotations": {STAMP: f"{stamp}.{time.time_ns() % 10**9:09d}"}}}}}
    obj = client.patch(target(found), patch)
    print(f"{found[0].kind.lower()}/{obj['metadata']['name']} restarted", flush=True)
    return {"kind": found[0].kind, **obj}


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
