"""`orch start [SERVICE ...]`: stopped services run again, and what they wait for."""

import argparse

from orchestr.cli import OK, halting
from orchestr.cli.options import add_scope, duration
from orchestr.cli.project import chosen, find

EXAMPLES = """examples:
  orch start          all that was stopped
  orch start web      one service, and what it waits for"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="services of the project (default: all)")
    parser.add_argument("-d", "--detach", action="store_true", help="do not wait")
    parser.add_argument("--wait", action="store_true", help="wait until they are well: as it is")
    parser.add_argument(
        "--wait-timeout", type=duration, metavar="SECONDS", default=300.0, help="how long to wait (default 5m)"
    )
    add_scope(parser)


def run(args: argparse.Namespace) -> int:
    from orchestr.cli.follow import follow

    project, started = halting.start(found := find(args), chosen(found, args.services))
    for name in started:
        print(f"{name} started", flush=True)
    if args.detach or not started:
        return OK
    return follow(
        project.client, [{**project.stack, "kind": "Stack"}], timeout=args.wait_timeout, color=args.color, only=started
    )
