"""`orch volumes [SERVICE ...]`: the named volumes of the project, and where their data is."""

import argparse
from typing import Any

from orchestr.cli import OK
from orchestr.cli.forms import show
from orchestr.cli.options import add_scope
from orchestr.cli.project import chosen, find
from orchestr.client.paths import path

EXAMPLES = """examples:
  orch volumes
  orch volumes --format json db"""

COLUMNS = ("Volume", "Name", "Status", "Mountpoint")
KEY = "orchestr.dev/volume"  # annotation of a claim: its name in the file


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only those of these services (default: all)")
    parser.add_argument("-q", "--quiet", action="store_true", help="only names")
    parser.add_argument("--format", default="table", metavar="table|json|TEMPLATE", help="form of output")
    add_scope(parser)


def run(args: argparse.Namespace) -> int:
    project = find(args)
    used = {
        mount.get("source")
        for name in chosen(project, args.services)
        for mount in project.services[name].get("volumes") or []
        if mount["type"] == "volume"
    }
    volumes = {volume["metadata"]["name"]: volume for volume in project.client.items(path("persistentvolumes"))}
    labels = {"labelSelector": f"orchestr.dev/stack={project.namespace}"}
    rows = [
        _row(claim, volumes)
        for claim in project.client.items(path("persistentvolumeclaims", project.namespace), labels)
    ]
    rows = [row for row in rows if not args.services or row["Volume"] in used]
    if args.quiet:
        print("\n".join(row["Name"] for row in rows))
    else:
        show(rows, args.format, COLUMNS)
    return OK


def _row(claim: dict[str, Any], volumes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    spec = volumes.get((claim.get("spec") or {}).get("volumeName") or "", {}).get("spec") or {}
    local = spec.get("hostPath") or spec.get("local") or {}
    return {
        "Volume": (claim["metadata"].get("annotations") or {}).get(KEY, claim["metadata"]["name"]),
        "Name": claim["metadata"]["name"],
        "Status": (claim.get("status") or {}).get("phase", "Pending"),
        "Mountpoint": local.get("path", ""),
    }
