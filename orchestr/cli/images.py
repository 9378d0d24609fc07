"""`orch images [SERVICE ...]`: the images that the project's containers run."""

import argparse
from typing import Any

from orchestr.cli import OK
from orchestr.cli.forms import show
from orchestr.cli.image import size
from orchestr.cli.imagenames import image
from orchestr.cli.options import add_scope
from orchestr.cli.output import age
from orchestr.cli.project import chosen, find

EXAMPLES = """examples:
  orch images
  orch images -q web        the digest of its image; orch image list shows all images"""

COLUMNS = ("Container", "Repository", "Tag", "ImageID", "Size", "Created")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    parser.add_argument("-q", "--quiet", action="store_true", help="only digests")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    add_scope(parser)


def run(args: argparse.Namespace) -> int:
    project = find(args)
    known: dict[str, dict[str, Any]] = {}
    rows = []
    for pod in project.pods(chosen(project, args.services)):
        for status in (pod.get("status") or {}).get("containerStatuses") or []:
            name, digest = str(status["image"]), str(status.get("imageID") or "")
            if name not in known:
                known[name] = image(project.client, name) or {}
            rows.append(_row(pod["metadata"]["name"], name, digest, known[name]))
    if args.quiet:
        print("\n".join(dict.fromkeys(row["ID"] for row in rows if row["ID"])))
    else:
        show(rows, args.format, COLUMNS)
    return OK


def _row(container: str, name: str, digest: str, found: dict[str, Any]) -> dict[str, Any]:
    repository, colon, tag = name.partition("@")[0].rpartition(":")
    if not colon or "/" in tag:
        repository, tag = name.partition("@")[0], "latest"
    same = found if found.get("digest") == digest else {}  # else the name has gone over to another image
    return {
        "ID": digest,
        "ImageID": digest[7:19],
        "Container": container,
        "Repository": repository,
        "Tag": tag,
        "Size": size(same.get("size", 0)),
        "Created": age(same["created"]) if same.get("created") else "-",
    }
