"""`orch kubeconfig`: a kubeconfig for kubectl and other clients, with a client certificate of its own."""

import argparse

from orchestr.cli import OK, context
from orchestr.cli.options import duration
from orchestr.cli.output import dump

EXAMPLES = """examples:
  orch kubeconfig > ~/.kube/config                     the administrator, who may do everything
  orch kubeconfig --user jane --group dev -n shop      jane of dev: what RBAC grants them
  orch kubeconfig --server https://192.0.2.7:6443      for another machine (see orch daemon --listen)"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", metavar="NAME", help="whom the certificate names (default: the administrator)")
    parser.add_argument("--group", action="append", metavar="NAME", help="a group of the user (repeat)")
    parser.add_argument("-n", "--namespace", metavar="NS", help="the namespace of commands that name none")
    parser.add_argument("--server", metavar="URL", help="how the client reaches the daemon (default: over loopback)")
    parser.add_argument(
        "--expires",
        type=duration,
        metavar="DURATION",
        help="life of the certificate, 10m or more (default 1 year)",
    )


def run(args: argparse.Namespace) -> int:
    name = context.current().name
    wanted = {
        "user": args.user,
        "groups": args.group,
        "namespace": args.namespace,
        "server": args.server,
        "expirationSeconds": None if args.expires is None else int(args.expires),
        "cluster": f"orch-{name}" if name else "orch",
    }
    given = {key: value for key, value in wanted.items() if value is not None}
    print(dump(context.client(args).create("/orchestr.dev/v1/kubeconfig", given), "yaml"))
    return OK
