"""`orch top`: what running pods use, now: cpu, memory, tasks, bytes read and written.

`orch top SERVICE ...`: the processes in their containers, as with Compose.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from orchestr.cli import context
from orchestr.cli.options import add_namespace, add_output
from orchestr.cli.output import dump, table
from orchestr.client.sync import Client

EXAMPLES = """examples:
  orch top -A                 all pods, largest first
  orch top --containers       each container by itself
  orch top -o wide            and how often the cpu limit held them back"""

COLUMNS = ("CPU", "MEMORY", "PIDS", "READ", "WRITTEN")
WINDOW = 1.0  # seconds between the two looks that a cpu figure needs


class Use(NamedTuple):
    cpu: float  # of one CPU
    memory: float
    pids: float
    read: float  # bytes since the start
    write: float
    periods: float  # of the cpu quota, in the window
    throttled: float


class Row(NamedTuple):
    namespace: str
    name: str
    use: Use


FIGURES = {
    "cpu": "cpu",
    "memory": "memory",
    "pids": "orchestr.dev/pids",
    "read": "orchestr.dev/read-bytes",
    "write": "orchestr.dev/write-bytes",
    "periods": "orchestr.dev/cpu-periods",
    "throttled": "orchestr.dev/cpu-periods-throttled",
}
KEYS: dict[str, Callable[[Row], Any]] = {
    "cpu": lambda row: -row.use.cpu,
    "memory": lambda row: -row.use.memory,
    "io": lambda row: -(row.use.read + row.use.write),
    "name": lambda row: (row.namespace, row.name),
}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="the processes of these services or pods")
    parser.add_argument("--containers", action="store_true", help="a line each container")
    parser.add_argument("--sort-by", choices=("cpu", "memory", "io", "name"), default="cpu")
    add_output(parser, "wide", "json", "yaml")
    add_namespace(parser)


def run(args: argparse.Namespace) -> int:
    client = context.client(args)
    if args.targets:
        return processes(client, args)
    where = "" if args.all_namespaces else f"/namespaces/{context.namespace(args)}"
    target = f"/apis/metrics.k8s.io/v1beta1{where}/pods"
    items = read(client, target)
    if args.output not in ("", "wide"):
        print(dump({"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "items": items}, args.output))
        return 0
    rows = [row for pod in items for row in _rows(pod, args.containers)]
    rows.sort(key=KEYS[args.sort_by])
    if not rows:
        print("no pod is running")
        return 0
    wide = args.output == "wide"
    head = [*(["NAMESPACE"] if args.all_namespaces else []), "NAME", *COLUMNS, *(["THROTTLED"] if wide else [])]
    body = [[*([row.namespace] if args.all_namespaces else []), row.name, *_cells(row.use, wide)] for row in rows]
    print(table(head, body))
    return 0


def processes(client: Client, args: argparse.Namespace) -> int:
    """A table each pod. Numbers are those of the machine."""
    from orchestr.cli import targets
    from orchestr.client.paths import in_pod

    namespace = context.namespace(args)
    for pod in targets.pods(client, namespace, args.targets):
        if (pod.get("status") or {}).get("phase") != "Running":
            continue
        name = pod["metadata"]["name"]
        rows = [
            [*(str(each[key]) for key in ("uid", "pid", "ppid", "cpu")), each["start"][11:16], each["tty"],
             time.strftime("%H:%M:%S", time.gmtime(each["seconds"])), each["command"]]
            for each in client.items(in_pod(namespace, name, "processes"))
        ]  # fmt: skip
        print(name)
        print(table(["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"], rows), end="\n\n")
    return 0


def _cells(use: Use, wide: bool) -> list[str]:
    cells = [f"{use.cpu * 1000:.0f}m", *(f"{each / 2**20:.1f}Mi" for each in (use.memory, use.read, use.write))]
    cells.insert(2, f"{use.pids:.0f}")
    throttled = f"{100 * use.throttled / use.periods:.0f}%" if use.periods else "-"  # - without a cpu limit
    return [*cells, *([throttled] if wide else [])]


def read(client: Client, target: str) -> list[dict[str, Any]]:
    """Two looks: a cpu figure is a difference."""
    client.items(target)
    time.sleep(WINDOW)
    return client.items(target)


def _rows(pod: dict[str, Any], single: bool) -> list[Row]:
    meta = pod["metadata"]
    each = [
        (c["name"], Use(*(quantity(c["usage"].get(key, "0")) for key in FIGURES.values()))) for c in pod["containers"]
    ]
    if single:
        return [Row(meta["namespace"], f"{meta['name']}/{name}", use) for name, use in each]
    return [Row(meta["namespace"], meta["name"], Use(*map(sum, zip(*(use for _, use in each), strict=True))))]


def quantity(text: str) -> float:
    from orchestr.api.quantity import parse

    return float(parse(text))
