"""`orch bundle create -f FILE -o BUNDLE`: objects and all their images in one file, for a machine without a network."""

import argparse
import os

from orchestr.cli import OK, bundled, files
from orchestr.cli.apply import started
from orchestr.cli.errors import Bad
from orchestr.cli.image import exchange
from orchestr.cli.options import add_namespace
from orchestr.client.paths import IMAGES, with_query
from orchestr.client.sync import Client
from orchestr.images.seam import ImageError

EXAMPLES = """examples:
  orch bundle create -f stack.yaml -o app.tar     here, where images can be pulled
  orch apply --bundle app.tar                     there, where nothing can"""


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verb = verbs.add_parser("create", help="of files, and the images that they name; what is not here is pulled")
    files.add(verb)
    verb.add_argument("-o", "--output", required=True, metavar="BUNDLE", help="the file that is made")
    verb.add_argument("-q", "--quiet", action="store_true", help="say nothing")
    add_namespace(verb, all_=False)


def run(args: argparse.Namespace) -> int:
    items = files.wire(files.load(args), args.namespace)
    try:
        named = bundled.images(items)
    except ImageError as error:
        raise Bad(f"orch bundle: {error}") from error
    temporary = f"{args.output}.part"
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))  # Secrets are in it
    try:
        if named:
            _save(started(args), named, temporary, quiet=args.quiet)
        bundled.close(temporary, items, named)
        os.rename(temporary, args.output)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    if not args.quiet:
        print(f"{args.output}: {len(items)} objects, {len(named)} images, {os.path.getsize(args.output) / 1e6:.1f} MB")
    return OK


def _save(client: Client, named: list[str], path: str, *, quiet: bool) -> None:
    exchange(client, "pull", [name for name in named if not _here(client, name)], quiet=quiet)
    response = client.stream("GET", with_query(f"{IMAGES}/save", {"name": named}))
    with open(path, "wb") as file:
        for chunk in response.chunks():
            file.write(chunk)


def _here(client: Client, name: str) -> bool:
    from orchestr.api.errors import NotFound

    try:
        client.get(IMAGES, {"name": name})
    except NotFound:
        return False
    return True
