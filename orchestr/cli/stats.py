"""`orch stats [SERVICE ...]`: what the project's containers use, again and again; `orch top` takes all pods."""

import argparse
import sys
from typing import Any

from orchestr.cli import OK, top
from orchestr.cli.forms import show
from orchestr.cli.options import add_scope
from orchestr.cli.project import Project, chosen, find

EXAMPLES = """examples:
  orch stats                       until ^C
  orch stats --no-stream --format json"""

COLUMNS = ("Name", "CPUPerc", "MemUsage", "MemPerc", "BlockIO", "PIDs")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("services", nargs="*", metavar="SERVICE", help="only these services (default: all)")
    parser.add_argument("--no-stream", action="store_true", help="once")
    parser.add_argument("--no-trunc", action="store_true", help="nothing is cut: as it is")
    parser.add_argument("--format", default="table", metavar="table|json|TEMPLATE", help="form of output")
    add_scope(parser)


def run(args: argparse.Namespace) -> int:
    project = find(args)
    names = chosen(project, args.services)
    while True:
        rows = measured(project, names)
        if sys.stdout.isatty() and not args.no_stream:
            print("\x1b[H\x1b[2J", end="")
        show(rows, args.format, COLUMNS)
        if args.no_stream:
            return OK


def measured(project: Project, names: list[str]) -> list[dict[str, Any]]:
    """A row each container that runs; the figures of one second."""
    pods = {pod["metadata"]["name"]: pod for pod in project.pods(names)}
    target = f"/apis/metrics.k8s.io/v1beta1/namespaces/{project.namespace}/pods"
    found = []
    for each in top.read(project.client, target):
        pod = pods.get(each["metadata"]["name"])
        for container in each["containers"] if pod else ():
            assert pod is not None
            use = {name: top.quantity(container["usage"].get(key, "0")) for name, key in top.FIGURES.items()}
            found.append(_row(pod, container["name"], use))
    return found


def _row(pod: dict[str, Any], container: str, use: dict[str, float]) -> dict[str, Any]:
    spec = next(each for each in pod["spec"]["containers"] if each["name"] == container)
    limit = top.quantity(str(((spec.get("resources") or {}).get("limits") or {}).get("memory", "0"))) or _machine()
    return {
        "Name": pod["metadata"]["name"],
        "Container": container,
        "CPUPerc": f"{use['cpu'] * 100:.2f}%",
        "MemUsage": f"{use['memory'] / 2**20:.1f}MiB / {limit / 2**20:.1f}MiB",
        "MemPerc": f"{100 * use['memory'] / limit:.2f}%",
        "BlockIO": f"{use['read'] / 2**20:.1f}MiB / {use['write'] / 2**20:.1f}MiB",
        "PIDs": f"{use['pids']:.0f}",
    }


def _machine() -> float:
    """Bytes of memory that there are at all."""
    import os

    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
