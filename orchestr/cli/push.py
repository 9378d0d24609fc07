"""`orch push [SERVICE ...]`: the images of the project's services; `orch image push` takes images by name."""

import argparse

from orchestr.cli import files
from orchestr.cli.options import add_namespace
from orchestr.cli.pull import exchange

EXAMPLES = """examples:
  orch push web"""


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    flag = parser.add_argument
    flag("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    flag("--include-deps", action="store_true", help="also what they wait for")
    flag("--ignore-push-failures", action="store_true", help="go on with the others, and exit 0")
    flag("-q", "--quiet", action="store_true", help="print only digests")
    add_namespace(parser, all_=False)


def run(args: argparse.Namespace) -> int:
    return exchange(args, "push")
