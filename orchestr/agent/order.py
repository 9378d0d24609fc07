"""In which order the pods of this machine are stopped: dependants before what they depend on. Pure."""

from collections.abc import Sequence

from orchestr import graph
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.base import Key, KubeObject
from orchestr.api.batch import Job
from orchestr.api.core import Pod
from orchestr.api.daemonset import DaemonSet
from orchestr.api.statefulset import StatefulSet

KINDS: dict[str, type[KubeObject]] = {
    kind.__name__: kind for kind in (ReplicaSet, Deployment, StatefulSet, DaemonSet, Job)
}


def stop_levels(pods: Sequence[Pod], lookup: graph.Lookup) -> list[list[Pod]]:
    """Pods in levels: each level is stopped before the next. One level when they wait for each other in a circle."""
    tops = {pod.key: graph.node(top(pod, lookup)) for pod in pods}
    bare = [pod for pod in pods if pod.metadata.controller is None]
    objects = [obj for kind in KINDS.values() for obj in lookup.all(kind)]
    try:
        order = graph.stop_order(graph.build([*objects, *bare]))
    except graph.DependencyError:
        return [list(pods)]
    level = {node: number for number, nodes in enumerate(order) for node in nodes}
    levels: dict[int, list[Pod]] = {}
    for pod in pods:
        levels.setdefault(level.get(tops[pod.key], -1), []).append(pod)
    return [levels[number] for number in sorted(levels)]


def top(pod: Pod, lookup: graph.Lookup) -> KubeObject:
    """The workload that the pod belongs to; the pod itself when it has none or that is gone."""
    found: KubeObject = pod
    while (owner := found.metadata.controller) is not None and owner.kind in KINDS:
        above = lookup.one(KINDS[owner.kind], Key(pod.metadata.namespace or "", owner.name))
        if above is None:
            return found
        found = above
    return found
