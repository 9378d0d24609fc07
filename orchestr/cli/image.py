"""`orch image build|pull|push|load|save|list|inspect|history|tag|remove|prune|df|diff|mount|unmount|bootstrap`."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from orchestr.cli import OK, imagebuild
from orchestr.cli.errors import Bad, Failed
from orchestr.cli.options import add_namespace, add_output
from orchestr.cli.output import age, dump, table
from orchestr.client.paths import IMAGES, with_query
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch image build -t app .
  orch image pull redis:7
  orch image tag app registry.example.com/team/app:1
  orch image push registry.example.com/team/app:1
  orch image bootstrap redis --suite bookworm --package redis-server
  orch image load app.tar          oci-archive, docker-archive or an OCI layout directory
  orch image save app -o app.tar"""

PIECE = 1 << 20


def add(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verb = verbs.add_parser("list", aliases=["ls"], help="images that are here")
    add_output(verb, "json", "yaml")
    verb = verbs.add_parser("inspect", help="one image as JSON: digest, config, layers")
    verb.add_argument("names", nargs="+", metavar="NAME")
    verb = verbs.add_parser("history", help="what made an image's layers, the newest first")
    verb.add_argument("names", nargs=1, metavar="NAME")
    verb = verbs.add_parser("pull", help="from its registry")
    verb.add_argument("names", nargs="+", metavar="NAME")
    verb.add_argument("-q", "--quiet", action="store_true", help="say the digest only")
    verb = verbs.add_parser("push", help="to the registry that its name says")
    verb.add_argument("names", nargs="+", metavar="NAME")
    verb.add_argument("-q", "--quiet", action="store_true", help="say the digest only")
    verb = verbs.add_parser("build", help="from a Dockerfile", epilog=imagebuild.EXAMPLES,
                            formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    imagebuild.add(verb)
    verb = verbs.add_parser("tag", help="another name for an image that is here")
    verb.add_argument("names", nargs=2, metavar="NAME")
    verb = verbs.add_parser("load", help="from an archive or a layout directory")
    verb.add_argument("paths", nargs="+", metavar="PATH")
    verb.add_argument("--name", metavar="NAME", help="instead of the names in the archive")
    verb = verbs.add_parser("save", help="to an archive")
    verb.add_argument("names", nargs="+", metavar="NAME")
    verb.add_argument("-o", "--output", required=True, metavar="FILE", help="the file, - for standard output")
    verb.add_argument("--format", choices=("oci-archive", "docker-archive", "oci"), default="oci-archive",
                      help="oci: a layout directory")  # fmt: skip
    verb = verbs.add_parser("remove", aliases=["rm"], help="a name; its content goes with the last name")
    verb.add_argument("names", nargs="+", metavar="NAME")
    verb = verbs.add_parser("prune", help="remove images that have no name and that nobody uses, and leftovers")
    verb.add_argument("-a", "--all", action="store_true", help="all images that nobody uses, with a name too")
    verb.add_argument("--filter", action="append", default=[], metavar="until=TIME",
                      help="only images made before: 24h ago, or a time such as 2026-01-31T12:00:00Z")  # fmt: skip
    verb.add_argument("--dry-run", action="store_true", help="only say what it would remove")
    add_output(verb, "json", "yaml")
    verb = verbs.add_parser("diff", help="what was added (A), changed (C) and deleted (D) between two images")
    verb.add_argument("names", nargs="*", metavar="NAME")
    verb.add_argument("--container", metavar="POD[/CONTAINER]", help="compare this running container with the image, "
                      "or with its own")  # fmt: skip
    add_namespace(verb, all_=False)
    add_output(verb, "json", "yaml")
    verb = verbs.add_parser("mount", help="as a directory to look into, read-only; without a name: those that are")
    verb.add_argument("names", nargs="*", metavar="NAME")
    verb = verbs.add_parser("unmount", aliases=["umount"], help="take the directory away")
    verb.add_argument("names", nargs="*", metavar="NAME")
    verb.add_argument("-a", "--all", action="store_true", help="of every image")
    verb = verbs.add_parser("df", help="how much of the disk they take, and what could go")
    verb.add_argument("-v", "--verbose", action="store_true", help="image by image")
    add_output(verb, "json", "yaml")
    verb = verbs.add_parser("bootstrap", help="make one from Debian packages")
    verb.add_argument("names", nargs=1, metavar="NAME")
    verb.add_argument("--suite", default="bookworm", help="the release (default: bookworm)")
    verb.add_argument(
        "--package", dest="packages", action="append", default=[], metavar="PACKAGE", help="repeat for more"
    )


def run(args: argparse.Namespace) -> int:
    from orchestr.cli import imagestore
    from orchestr.cli.apply import started

    client = started(args)
    verb = {"ls": "list", "rm": "remove", "umount": "unmount"}.get(args.verb, args.verb)
    calls = {
        "build": imagebuild.run,
        "list": _list,
        "inspect": _inspect,
        "history": _history,
        "pull": _exchange,
        "push": _exchange,
        "tag": _tag,
        "load": _load,
        "save": _save,
        "remove": _remove,
        "prune": imagestore.prune,
        "df": imagestore.df,
        "diff": imagestore.diff,
        "mount": imagestore.mount,
        "unmount": imagestore.unmount,
        "bootstrap": _bootstrap,
    }
    return calls[verb](client, args)


def _list(client: Client, args: argparse.Namespace) -> int:
    items = client.items(IMAGES)
    if args.output:
        print(dump({"kind": "ImageList", "apiVersion": "orchestr.dev/v1", "items": items}, args.output))
        return OK
    rows = [
        [name, image["digest"][7:19], age(image.get("created") or None), size(image.get("size", 0))]
        for image in items
        for name in image["names"] or ["<none>"]
    ]
    print(table(["NAME", "DIGEST", "CREATED", "SIZE"], rows))
    return OK


def size(count: int) -> str:
    return f"{count / 1e6:.1f}MB" if count else "-"


def _inspect(client: Client, args: argparse.Namespace) -> int:
    found = [client.get(IMAGES, {"name": name}) for name in args.names]
    print(dump(found[0] if len(found) == 1 else found, "json"))
    return OK


def _history(client: Client, args: argparse.Namespace) -> int:
    config = client.get(IMAGES, {"name": args.names[0]})["config"]
    rows = [
        [age(each.get("created")), "no layer" if each.get("empty_layer") else "layer", str(each.get("created_by", ""))]
        for each in reversed(config.get("history") or [])
        if isinstance(each, dict)
    ]
    print(table(["CREATED", "MADE", "BY"], rows))
    return OK


def _tag(client: Client, args: argparse.Namespace) -> int:
    source, name = args.names
    client.stream("POST", f"{IMAGES}/tag", body=json.dumps({"name": source, "as": name}).encode()).read()
    print(f"tagged {name}")
    return OK


def _exchange(client: Client, args: argparse.Namespace) -> int:
    exchange(client, args.verb, args.names, quiet=args.quiet)
    return OK


def exchange(client: Client, verb: str, names: Sequence[str], *, quiet: bool) -> None:
    """Pull or push, with what the user is logged in as."""
    from orchestr.cli.transfer import Bars, logins

    for name in names:
        body = json.dumps({"name": name, "logins": logins(name)}).encode()
        bars = Bars(sys.stderr, quiet=quiet)
        response = client.stream("POST", f"{IMAGES}/{verb}", body=body)
        told: dict[str, Any] = {}
        for line in response.lines():
            told = json.loads(line)
            bars.told(told)
        bars.end()
        if "image" not in told:
            raise Failed(f"orch: {told.get('message') or f'cannot {verb} {name}: the daemon stopped telling'}")
        print(told["image"] if quiet else f"{name} {told['image']}")


def _load(client: Client, args: argparse.Namespace) -> int:
    for path in args.paths:
        if not os.path.exists(path):
            raise Bad(f"orch image load: {path}: no such file or directory (give an archive or an OCI layout)")
        for image in _send(client, path, args.name)["items"]:
            print(f"loaded {', '.join(image['names']) or image['digest']}")
    return OK


def _send(client: Client, path: str, name: str | None) -> dict[str, Any]:
    target = with_query(f"{IMAGES}/load", {"name": name})
    with _archive(path) as file:
        response = client.stream("POST", target, body=file, content_type="application/x-tar")
    answer: dict[str, Any] = json.loads(response.read())
    return answer


@contextmanager
def _archive(path: str) -> Iterator[BinaryIO]:
    """The file, or one without a name that holds the directory."""
    if not os.path.isdir(path):
        with open(path, "rb") as file:
            yield file
        return
    import tarfile
    import tempfile

    with tempfile.TemporaryFile() as made:
        with tarfile.open(fileobj=made, mode="w:") as tar:
            tar.add(path, arcname=".")
        made.seek(0)
        yield cast(BinaryIO, made)


def _save(client: Client, args: argparse.Namespace) -> int:
    layout = args.format == "oci"
    if layout and (args.output == "-" or os.path.exists(args.output)):
        raise Bad(
            f"orch image save: {args.output} cannot become a layout directory (give a path that is not there yet)"
        )
    wanted = "oci-archive" if layout else args.format
    response = client.stream("GET", with_query(f"{IMAGES}/save", {"name": args.names, "format": wanted}))
    if args.output == "-":
        for chunk in response.chunks():
            sys.stdout.buffer.write(chunk)
        return OK
    temporary = f"{args.output}.part"
    with open(temporary, "wb") as file:
        for chunk in response.chunks():
            file.write(chunk)
    if layout:
        import tarfile

        with tarfile.open(temporary) as archive:
            archive.extractall(args.output, filter="data")
        os.unlink(temporary)
    else:
        os.rename(temporary, args.output)
    return OK


def _remove(client: Client, args: argparse.Namespace) -> int:
    for name in args.names:
        client.delete(with_query(IMAGES, {"name": name}))
        print(f"removed {name}")
    return OK


def _bootstrap(client: Client, args: argparse.Namespace) -> int:
    name = args.names[0]
    body = json.dumps({"name": name, "suite": args.suite, "packages": args.packages}).encode()
    response = client.stream("POST", f"{IMAGES}/bootstrap", body=body)
    for line in response.lines():
        told = json.loads(line)
        if "stage" in told:
            print(f"{name}: {told['stage']}", file=sys.stderr, flush=True)
        elif "image" in told:
            print(f"{told['name']} {told['image']}")
            return OK
        else:
            raise Failed(f"orch: {told.get('message', told)}")
    raise Failed(f"orch: cannot bootstrap {name}: the daemon stopped telling (see orch system status)")
