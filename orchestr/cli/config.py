"""`orch config -f FILE`: a Compose project as it is understood: merged, filled in, in long form."""

import argparse
import sys

from orchestr.cli import OK, files
from orchestr.cli.options import add_output
from orchestr.cli.output import dump

EXAMPLES = """examples:
  orch config                    the project here
  orch config --services         only the names of its services"""


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="only check")
    for what in ("services", "volumes", "images"):
        parser.add_argument(f"--{what}", action="store_true", help=f"only the names of the {what}")
    add_output(parser, "json", "yaml")


def run(args: argparse.Namespace) -> int:
    from orchestr.manifest import compose

    found = compose.project(files.chosen(args), **files.compose_options(args))
    for problem in (*found.warnings, *found.unsupported):
        print(problem, file=sys.stderr)
    if args.quiet:
        return OK
    config = dict(found.config)
    if args.services or args.volumes:
        print("\n".join(config.get("services" if args.services else "volumes") or {}))
    elif args.images:
        print("\n".join(dict.fromkeys(str(s.get("image", "")) for s in config["services"].values())))
    else:
        print(dump(config, args.output or "yaml"))
    return OK
