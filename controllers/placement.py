"""Pod (core/v1) and its node: places pods that wait for it, and removes those that its NoExecute taints drive out.

Admission decides on a pod whenever it is written. So a pod that the node did not take is written anew, unchanged, when
the node has changed; admission binds it, or corrects what its condition says. A running pod leaves at once when it does
not tolerate a NoExecute taint, and after the least of its tolerationSeconds when it does for a while.

A key is that of a pod. Node stands as the watched kind, so that the many changes of pods that are well wake nobody.
"""

from collections.abc import Iterable

from orchestr.api import placement
from orchestr.api.node import Node
from orchestr.api.pod import Pod
from orchestr.engine import After, By, ControllerCluster, Index, Key, Related, Watches

COMPONENT = "default-scheduler"
WAITS = "waits for a node"  # index of pods


def waits(pod: Pod) -> bool:
    return not pod.spec.node_name and not pod.spec.scheduling_gates and pod.active


def driven(pod: Pod, node: Node) -> bool:
    """Whether a taint of the node may end the pod."""
    here = bool(node.spec.taints) and pod.spec.node_name == node.metadata.name and pod.active
    return here and any(taint["effect"] == placement.NO_EXECUTE for taint in node.spec.taints)


def _waiting(pod: Pod) -> Iterable[bool]:
    return (True,) if waits(pod) else ()


def _itself(pod: Pod, index: Index) -> tuple[Key, ...]:
    return (pod.key,) if waits(pod) or any(driven(pod, node) for node in index.all(Node)) else ()


def _all(node: Node, index: Index) -> list[Key]:
    """The pods that a change of the node concerns."""
    running = [pod for pod in index.all(Pod) if driven(pod, node)] if node.spec.taints else []
    return [pod.key for pod in (*index.by(Pod, WAITS, True), *running)]


WATCHES = Watches(Node, related=(Related(Pod, _itself), Related(Node, _all)), indexes=(By(Pod, WAITS, _waiting),))


async def reconcile(cluster: ControllerCluster, key: Key) -> After | None:
    pod = await cluster.get(Pod, key) if key.namespace else None
    for node in cluster.all(Node) if pod else ():
        assert pod is not None
        if waits(pod):
            await _place(cluster, pod, node)
        elif driven(pod, node):
            return await _drive_out(cluster, pod, node)
    return None


async def _place(cluster: ControllerCluster, pod: Pod, node: Node) -> None:
    if why := placement.refusal(pod.spec, node):
        cluster.record(pod, "FailedScheduling", placement.message(why), warning=True)
    await cluster.update(pod)  # Conflict if it changed meanwhile; nothing is written when it waits for the same still


async def _drive_out(cluster: ControllerCluster, pod: Pod, node: Node) -> After | None:
    """Deletes the pod when its time on the node is over; else says when that will be."""
    now = cluster.now()
    end = placement.leaves_at(pod.spec.tolerations or (), node.spec.taints or (), now)
    if end is None:
        return None
    if end > now:
        return After((end - now).total_seconds())
    cluster.record(pod, "TaintManagerEviction", f"Marking for deletion Pod {pod.key}")
    await cluster.delete(pod)
    return None
