"""`orch logout [HOST]`: takes a registry's login out of the file that `orch login` wrote."""

import argparse

from orchestr.cli import OK
from orchestr.cli.errors import Failed

EXAMPLES = """examples:
  orch logout registry.example.com"""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", nargs="?", metavar="HOST", help="the registry (default: that of short names)")


def run(args: argparse.Namespace) -> int:
    from orchestr.images.registry import credentials, settings
    from orchestr.images.seam import ImageError

    try:
        host = args.host or settings.read(settings.file()).default
        path = credentials.file()
        known = credentials.find(credentials.read(path), host, "", None) is not None
        if known:
            credentials.keep(path, host, None)
    except ImageError as error:
        raise Failed(f"orch: {error}") from error
    print(f"logged out of {host}" if known else f"not logged in to {host}")
    return OK
