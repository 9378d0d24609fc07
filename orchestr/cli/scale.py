"""`orch scale NAME=N ...` or `orch scale --replicas N NAME ...`."""

import argparse

from orchestr.cli import OK, context
from orchestr.cli.errors import Bad
from orchestr.cli.follow import follow
from orchestr.cli.options import add_namespace, duration
from orchestr.cli.workloads import find_all, target

EXAMPLES = """examples:
  orch scale web=3                 three pods
  orch scale --replicas 0 worker   none; its data stays"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME[=N]", help="services or deployments")
    parser.add_argument("--replicas", type=int, metavar="N", help="for names without a number of their own")
    parser.add_argument("-f", "--file", dest="files", action="append", metavar="FILE", help="the project's file")
    parser.add_argument("-d", "--detach", action="store_true", help="do not wait")
    parser.add_argument(
        "--timeout", type=duration, metavar="DURATION", default=300.0, help="how long to wait (default 5m)"
    )
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    wanted = [_count(args, word) for word in args.names]
    if args.files and not args.namespace:
        args.namespace = context.project_name(args.files[0])
    client = context.client(args)
    scaled = []
    found = [
        (found, count)
        for name, count in wanted
        for found in find_all(client, args, [name], ("deployments", "replicasets"))
    ]
    for each, count in found:
        obj = client.patch(target(each), {"spec": {"replicas": count}})
        print(f"{each[0].kind.lower()}/{obj['metadata']['name']} scaled to {count}", flush=True)
        scaled.append({"kind": each[0].kind, **obj})
    return OK if args.detach else follow(client, scaled, timeout=args.timeout, color=args.color)


def _count(args: argparse.Namespace, word: str) -> tuple[str, int]:
    name, sign, number = word.partition("=")
    if sign and not (number.isascii() and number.isdigit()):
        raise Bad(f"orch scale: {number!r} is no number of replicas (write {name}=3)")
    count = int(number) if sign else args.replicas
    if count is None or count < 0:
        raise Bad(f"orch scale: no number of replicas for {name} (write {name}=3)")
    return name, count
