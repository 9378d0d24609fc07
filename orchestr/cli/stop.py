"""`orch stop [SERVICE ...]`: services end and stay ended, whatever happens, until `orch start` or `orch up`."""

import argparse

from orchestr.cli import halting
from orchestr.cli.options import add_scope
from orchestr.cli.project import chosen, find

EXAMPLES = """examples:
  orch stop              the project here, what waits for others first
  orch stop -t 60 db     one service, which gets a minute"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="services of the project (default: all)")
    parser.add_argument(
        "-t", "--timeout", type=int, metavar="SECONDS", help="what containers get to end, instead of their own"
    )
    add_scope(parser)


def run(args: argparse.Namespace) -> int:
    project = find(args)
    return halting.stop(project, chosen(project, args.services), args.timeout)
