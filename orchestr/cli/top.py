"""`orch top`: cpu and memory of running pods, now."""

import argparse
import time
from typing import Any

from orchestr.cli import context
from orchestr.cli.options import add_namespace, add_output
from orchestr.cli.output import dump, table
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch top -A                 all pods, largest first
  orch top --containers       each container by itself"""

WINDOW = 1.0  # seconds between the two looks that a cpu figure needs


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--containers", action="store_true", help="a line each container")
    parser.add_argument("--sort-by", choices=("cpu", "memory", "name"), default="cpu")
    add_output(parser, "json", "yaml")
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    where = "" if args.all_namespaces else f"/namespaces/{context.namespace(args)}"
    target = f"/apis/metrics.k8s.io/v1beta1{where}/pods"
    items = read(client, target)
    if args.output:
        print(dump({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": items}, args.output))
        return 0
    rows = [row for pod in items for row in _rows(pod, args.containers)]
    keys = {"cpu": lambda row: -row[2], "memory": lambda row: -row[3], "name": lambda row: row[:2]}
    rows.sort(key=keys[args.sort_by])
    if not rows:
        print("no pod is running")
        return 0
    head = [*(["NAMESPACE"] if args.all_namespaces else []), "NAME", "CPU", "MEMORY"]
    body = [
        [*([ns] if args.all_namespaces else []), name, f"{cpu * 1000:.0f}m", f"{memory / 2**20:.1f}Mi"]
        for ns, name, cpu, memory in rows
    ]
    print(table(head, body))
    return 0


def read(client: Client, target: str) -> list[dict[str, Any]]:
    """Two looks: a cpu figure is a difference."""
    client.items(target)
    time.sleep(WINDOW)
    return client.items(target)


def _rows(pod: dict[str, Any], single: bool) -> list[tuple[str, str, float, float]]:
    meta = pod["metadata"]
    each = [(c["name"], quantity(c["usage"]["cpu"]), quantity(c["usage"]["memory"])) for c in pod["containers"]]
    if single:
        return [(meta["namespace"], f"{meta['name']}/{name}", cpu, memory) for name, cpu, memory in each]
    return [(meta["namespace"], meta["name"], sum(c for _, c, _ in each), sum(m for _, _, m in each))]


def quantity(text: str) -> float:
    from orchestr.api.quantity import parse

    return float(parse(text))
