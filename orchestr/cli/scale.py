"""`orch scale NAME=N ...` or `orch scale --replicas N NAME ...`.

A service of a Stack is scaled in the Stack, which decides over its workloads; the next apply of the file decides anew.
"""

import argparse
from typing import Any

from orchestr.cli import OK, context
from orchestr.cli.errors import Bad
from orchestr.cli.follow import follow
from orchestr.cli.options import add_namespace, duration
from orchestr.cli.workloads import Found, find_all, target
from orchestr.client.paths import path
from orchestr.client.sync import Client
from orchestr.manifest.compose.names import labels as dns_labels

EXAMPLES = """examples:
  orch scale web=3                 three pods
  orch scale --replicas 0 worker   none; its data stays"""


KINDS = ("deployments", "statefulsets", "replicasets", "jobs")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME[=N]", help="services, deployments or statefulsets")
    parser.add_argument("--replicas", type=int, metavar="N", help="for names without a number of their own")
    parser.add_argument("-f", "--file", dest="files", action="append", metavar="FILE", help="the project's file")
    parser.add_argument("--no-deps", action="store_true", help="nothing else is started: as it is")
    parser.add_argument("-d", "--detach", action="store_true", help="do not wait")
    parser.add_argument(
        "--timeout", type=duration, metavar="DURATION", default=300.0, help="how long to wait (default 5m)"
    )
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    wanted = [_count(args, word) for word in args.names]
    client = context.client(args)
    scaled = []
    found = [(found, count) for name, count in wanted for found in find_all(client, args, [name], KINDS)]
    for each, count in found:
        scaled.append(scale(client, each, count))
        print(f"{each[0].kind.lower()}/{each[1]['metadata']['name']} scaled to {count}", flush=True)
    return OK if args.detach else follow(client, scaled, timeout=args.timeout, color=args.color)


def scale(client: Client, found: Found, count: int) -> dict[str, Any]:
    """The object to wait for: the workload, or the Stack that makes it."""
    kind, obj = found
    owner = next((o for o in obj["metadata"].get("ownerReferences") or [] if o["kind"] == "Stack"), None)
    if owner is None and kind.kind == "Job":
        raise Bad(f"orch scale: job/{obj['metadata']['name']} has no number of replicas (set its parallelism)")
    if owner is None:
        return {"kind": kind.kind, **client.patch(target(found), {"spec": {"replicas": count}})}
    place = path("stacks", obj["metadata"]["namespace"], owner["name"], group="orchestr.dev")
    names = dns_labels(client.get(place)["spec"]["services"])
    service = next(key for key, name in names.items() if name == obj["metadata"]["name"])
    patch = {"spec": {"services": {service: {"deploy": {"replicas": count}}}}}
    return {"kind": "Stack", **client.patch(place, patch)}


def _count(args: argparse.Namespace, word: str) -> tuple[str, int]:
    name, sign, number = word.partition("=")
    if sign and not (number.isascii() and number.isdigit()):
        raise Bad(f"orch scale: {number!r} is no number of replicas (write {name}=3)")
    count = int(number) if sign else args.replicas
    if count is None or count < 0:
        raise Bad(f"orch scale: no number of replicas for {name} (write {name}=3)")
    return name, count
