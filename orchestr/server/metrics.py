"""/apis/metrics.k8s.io/v1beta1: what pods use now, as `kubectl top` reads it."""

from collections.abc import Sequence
from typing import Any

from orchestr.api.base import timestamp
from orchestr.api.errors import NotFound
from orchestr.server.node import Node, PodUsage, Usage


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


async def pod(node: Node, namespace: str, name: str) -> dict[str, Any]:
    for each in await node.usage(namespace):
        if each.name == name:
            return wire(each)
    raise NotFound(f'pods "{name}" not found or not running in namespace "{namespace}"')
