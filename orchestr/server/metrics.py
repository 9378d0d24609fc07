"""/apis/metrics.k8s.io/v1beta1: what pods use now, as `kubectl top` reads it."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import trio

from orchestr.api.base import timestamp
from orchestr.api.core import Node as NodeObject
from orchestr.api.errors import NotFound
from orchestr.server.node import Node, PodUsage, Usage
from orchestr.store.local import LocalCluster

WINDOW = 0.25  # seconds in which the machine's processors are watched


def _usage(usage: Usage) -> dict[str, str]:
    return {
        "cpu": f"{usage.cpu_nanocores}n",
        "memory": f"{usage.memory_bytes // 1024}Ki",
        "orchestr.dev/pids": str(usage.pids),
        "orchestr.dev/read-bytes": str(usage.read_bytes),
        "orchestr.dev/write-bytes": str(usage.write_bytes),
        "orchestr.dev/cpu-periods": str(usage.periods),
        "orchestr.dev/cpu-periods-throttled": str(usage.throttled_periods),
    }


def wire(pod: PodUsage) -> dict[str, Any]:
    return {
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "creationTimestamp": timestamp(pod.measured)},
        "timestamp": timestamp(pod.measured),
        "window": f"{pod.window:.3f}s",
        "containers": [{"name": name, "usage": _usage(usage)} for name, usage in pod.containers.items()],
    }


async def pods(node: Node, namespace: str | None) -> dict[str, Any]:
    found: Sequence[PodUsage] = await node.usage(namespace)
    items = [wire(pod) for pod in found]
    return {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}


async def nodes(cluster: LocalCluster) -> dict[str, Any]:
    """The machine, measured now: everything that runs on it, in pods or not."""
    rows = cluster.rows(NodeObject).rows
    usage = await _machine() if rows else {}
    items = [_node(row.object.metadata.name, usage) for row in rows]
    return {"kind": "NodeMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}


async def node(cluster: LocalCluster, name: str) -> dict[str, Any]:
    for item in (await nodes(cluster))["items"]:
        if item["metadata"]["name"] == name:
            return {"kind": "NodeMetrics", "apiVersion": "metrics.k8s.io/v1beta1", **item}
    raise NotFound(f'nodemetrics.metrics.k8s.io "{name}" not found')


def _node(name: str, usage: dict[str, str]) -> dict[str, Any]:
    now = timestamp(datetime.now(UTC))
    return {
        "metadata": {"name": name, "creationTimestamp": now},
        "timestamp": now,
        "window": f"{WINDOW:.3f}s",
        "usage": usage,
    }


async def _machine() -> dict[str, str]:
    before = _busy()
    await trio.sleep(WINDOW)
    nanocores = (_busy() - before) / os.sysconf("SC_CLK_TCK") / WINDOW * 1e9
    return {"cpu": f"{max(nanocores, 0):.0f}n", "memory": f"{_used()}Ki"}


def _used() -> int:
    """KiB of memory that programs could not have. proc_meminfo(5)."""
    with open("/proc/meminfo") as file:
        memory = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return memory["MemTotal"] - memory["MemAvailable"]


def _busy() -> int:
    """Ticks in which some processor worked: all of /proc/stat's first line but idle and iowait. proc_stat(5)."""
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4]


async def pod(node: Node, namespace: str, name: str) -> dict[str, Any]:
    for each in await node.usage(namespace):
        if each.name == name:
            return wire(each)
    raise NotFound(f'pods "{name}" not found or not running in namespace "{namespace}"')
