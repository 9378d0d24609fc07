"""`orch build [SERVICE ...]`: the images that a Compose project builds."""

import argparse

from orchestr.cli import OK, apply, composebuild, files
from orchestr.cli.errors import Bad
from orchestr.cli.imagebuild import pairs

EXAMPLES = """examples:
  orch build                     all images of the project here
  orch build --no-cache web      that of one service, every step anew"""


def add(parser: argparse.ArgumentParser) -> None:
    files.add(parser)
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only these (default: all that are built)")
    parser.add_argument("--build-arg", dest="args", action="append", default=[], metavar="NAME[=VALUE]",
                        help="a value for an ARG; without = that of the variable here")  # fmt: skip
    parser.add_argument("--no-cache", action="store_true", help="run every step anew")
    parser.add_argument("--pull", action="store_true", help="ask registries for newer base images")
    parser.add_argument("--progress", choices=("auto", "plain", "quiet", "rawjson"), default="auto",
                        help="auto and plain: steps and what they print; rawjson: as the daemon tells it")  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="print digests only")


def run(args: argparse.Namespace) -> int:
    files.load(args)
    found = composebuild.services(args)
    for name in args.services:
        if name not in found:
            raise Bad(f"orch build: no service {name} with build (there are {', '.join(found) or 'none'})")
    changes = {
        **({"args": pairs(args.args, "--build-arg", environment=True)} if args.args else {}),
        **({"noCache": True} if args.no_cache else {}),
        **({"pull": True} if args.pull else {}),
    }
    client = apply.started(args)
    progress = "quiet" if args.quiet else args.progress
    for name in args.services or found:
        project, service = found[name]
        digest = composebuild.build(client, project, name, service, changes, progress=progress)
        if progress == "quiet":
            print(digest)
    return OK
