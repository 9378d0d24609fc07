"""`orch export SERVICE`: the file system of a service's container as a tar archive, without its volumes."""

import argparse
import sys

from orchestr.cli import OK, context, targets
from orchestr.cli.cp import Output
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.options import add_namespace

EXAMPLES = """examples:
  orch export web -o web.tar"""

COMMAND = ["tar", "-C", "/", "--one-file-system", "-cf", "-", "."]


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="a service, a pod or kind/name")
    parser.add_argument("-o", "--output", metavar="FILE", help="instead of stdout")
    parser.add_argument("--index", type=int, metavar="N", help="the Nth container of the service, from 1")
    parser.add_argument("-c", "--container", metavar="NAME", help="the container (default: the first)")
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    if not args.output and sys.stdout.isatty():
        raise Bad("orch export: an archive is nothing for a terminal (give -o FILE)")
    client, namespace = context.client(args), context.namespace(args)
    found = targets.pods(client, namespace, [args.target])
    pod = targets.running(targets.indexed(found, args.index) if args.index else found)
    if pod is None:
        raise Failed(f"orch export: no pod of {args.target} is running (orch status says why)")
    name, container = pod["metadata"]["name"], targets.container(pod, args.container)
    reader = Output(client.exec(namespace, name, COMMAND, container=container))
    with open(args.output, "wb") if args.output else sys.stdout.buffer as file:
        while data := reader.read(1 << 20):
            file.write(data)
    reader.check(f"the file system of {name}")
    return OK
