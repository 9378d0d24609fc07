"""Where a new pod goes: behind a scheduling gate while it has to wait, else to the only node, if that takes it.

A pod that the node does not take (cordoned, tainted, not selected) stays Pending, with the reason in its condition
PodScheduled. Each write of it asks anew; controllers/placement.py writes it when the node has changed.

The gate is lifted by controllers/gates.py. A pod whose ConfigMaps, Secrets and claims are all there already, and that
declares no dependency, is let through at once; the agent asks once more before each container start anyway.
"""

from orchestr import graph
from orchestr.api import placement, scheme
from orchestr.api.base import Condition, Key, timestamp
from orchestr.api.core import Node, PersistentVolumeClaim, Pod
from orchestr.api.errors import Cause
from orchestr.api.pod import PodSchedulingGate
from orchestr.engine.conditions import with_condition
from orchestr.store.refusals import invalid
from orchestr.store.request import Request

GATE = "orchestr.dev/dependencies"
KINDS = {kind.__name__.lower(): kind for kind in scheme.KINDS}


def schedule(request: Request) -> Pod:
    """The pod with its gate or its node. Raises Invalid for dependencies that cannot be read, or another node."""
    pod = request.new
    assert isinstance(pod, Pod)
    if pod.spec.node_name not in (None, "", request.site.node):
        message = f"{pod.spec.node_name} is not this machine: other nodes are not supported (leave it out)"
        raise invalid(Pod, pod.metadata.name, [Cause("spec.nodeName", message)])
    if request.old is None and _waits(request, pod):
        gates = tuple(gate for gate in pod.spec.scheduling_gates if gate.name != GATE)
        pod = pod.but(spec=pod.spec.but(scheduling_gates=(*gates, PodSchedulingGate(name=GATE)), node_name=None))
    if pod.spec.node_name and (waited := pod.status.condition("PodScheduled")) and waited.status == "False":
        return _bound(request, pod)  # by a Binding
    if pod.spec.scheduling_gates or pod.spec.node_name or (request.old is not None and not pod.active):
        return pod
    row = request.tx.get(Node, Key("", request.site.node))
    why = placement.refusal(pod.spec, row.object) if row is not None and isinstance(row.object, Node) else None
    return _held(request, pod, why) if why else _bound(request, pod)


def stamp(request: Request) -> Node:
    """The node with the time at which each NoExecute taint was added: pods that tolerate it for a while leave then."""
    node = request.new
    assert isinstance(node, Node)
    added = timestamp(request.tx.now)
    taints = [
        taint if taint["effect"] != placement.NO_EXECUTE or taint.get("timeAdded") else {**taint, "timeAdded": added}
        for taint in node.spec.taints or ()
    ]
    return node.but(spec=node.spec.but(taints=taints)) if taints else node


def _waits(request: Request, pod: Pod) -> bool:
    try:
        edges = graph.edges(pod)
    except graph.DependencyError as error:
        field = f"metadata.annotations[{graph.DEPENDS_ON}]"
        raise invalid(Pod, pod.metadata.name, [Cause(field, str(error))]) from error
    return any(edge.condition not in (graph.EXISTS, graph.BOUND) or _absent(request, edge.target) for edge in edges)


def _absent(request: Request, target: graph.Node) -> bool:
    row = request.tx.get(KINDS[target.kind], Key(target.namespace, target.name))
    if row is None:
        return True
    return isinstance(row.object, PersistentVolumeClaim) and row.object.status.phase != "Bound"


def _held(request: Request, pod: Pod, why: str) -> Pod:
    waits = Condition(type="PodScheduled", status="False", reason="Unschedulable", message=placement.message(why))
    conditions = with_condition(pod.status.conditions, waits, request.tx.now)
    return pod.but(status=pod.status.but(conditions=conditions))


def _bound(request: Request, pod: Pod) -> Pod:
    scheduled = Condition(type="PodScheduled", status="True", last_transition_time=request.tx.now)
    others = tuple(condition for condition in pod.status.conditions if condition.type != "PodScheduled")
    return pod.but(
        spec=pod.spec.but(node_name=request.site.node),
        status=pod.status.but(conditions=(*others, scheduled)),
    )
