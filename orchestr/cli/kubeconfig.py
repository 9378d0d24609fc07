"""`orch kubeconfig`: a kubeconfig for kubectl and other clients, with a client certificate of its own."""

import argparse

from orchestr.cli import OK, context
from orchestr.cli.errors import Bad
from orchestr.cli.options import duration
from orchestr.cli.output import dump
from orchestr.client.paths import with_query

EXAMPLES = """examples:
  orch kubeconfig > ~/.kube/config                     the administrator, who may do everything
  orch kubeconfig --user jane --group dev -n shop      jane of dev: what RBAC grants them
  orch kubeconfig --user jane --expires 8h             a certificate that ends by itself
  orch kubeconfig --user jane --revoke                 certificates that jane has do not count any more
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
    parser.add_argument(
        "--revoke", action="store_true", help="take back all certificates of the user that were made until now"
    )


def run(args: argparse.Namespace) -> int:
    if args.revoke:
        return _revoke(args)
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


def _revoke(args: argparse.Namespace) -> int:
    if args.group or args.namespace or args.server or args.expires is not None:
        raise Bad("orch kubeconfig: --revoke goes with --user alone (all certificates of a user are taken back)")
    told = context.client(args).delete(with_query("/orchestr.dev/v1/kubeconfig", {"user": args.user}))["details"]
    print(f"certificates of {told['name']} made until {told['issuedUntil']} do not count any more")
    return OK
