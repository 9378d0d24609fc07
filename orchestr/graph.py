"""Who waits for whom: dependency edges of objects, what a pod still waits for, order, cycles.

Everything is pure: objects in, data out. `edges` and `unmet` run on every pod start and import only the API;
networkx costs 200 ms to import and is loaded by the functions that order a whole graph. Drawings are in drawing.py.

An edge comes from annotation `orchestr.dev/depends-on` on a pod template, or is implied by a ConfigMap, Secret or
claim that the pod cannot start without. Conditions are Compose's: `service_started` (a pod of it runs, or it has
finished), `service_healthy` (at least one pod is ready; waiting for all would let one bad replica hold up everybody),
`service_completed_successfully` (a Job that is complete).
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from orchestr import cycles
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.base import Key, KubeObject
from orchestr.api.batch import Job
from orchestr.api.core import ConfigMap, Container, PersistentVolumeClaim, Pod, PodSpec, Secret
from orchestr.api.daemonset import DaemonSet
from orchestr.api.statefulset import StatefulSet

K = TypeVar("K", bound=KubeObject)

DEPENDS_ON = "orchestr.dev/depends-on"
STARTED, HEALTHY, COMPLETED = "service_started", "service_healthy", "service_completed_successfully"
CONDITIONS = {"started": STARTED, "healthy": HEALTHY, "completed": COMPLETED}
CLASSES: dict[str, type[KubeObject]] = {
    kind.__name__.lower(): kind for kind in (Deployment, StatefulSet, DaemonSet, Job, ReplicaSet, Pod)
}  # in the order in which a bare name is tried
WORKLOADS = tuple(CLASSES)
EXISTS, BOUND = "exists", "bound"  # conditions of implied edges


class DependencyError(ValueError):
    """The annotation cannot be read. Text as "cannot read ...: CAUSE (WHAT TO DO)"."""


class Lookup(Protocol):
    """Synchronous reads of stored objects; the engine's Index is one."""

    def one(self, kind: type[K], key: Key) -> K | None: ...

    def all(self, kind: type[K], *, namespace: str | None = None) -> Sequence[K]: ...


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """An object; kind in lower case, "" while it is only known by name."""

    namespace: str
    kind: str
    name: str
    missing: bool = False  # something points at it, and it is not among the objects

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}" if self.kind else self.name


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` waits for `target`."""

    source: Node
    target: Node
    condition: str
    required: bool = True
    restart: bool = False  # restarted when the target was


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def node(obj: KubeObject) -> Node:
    return Node(obj.metadata.namespace or "", obj.kind.lower(), obj.metadata.name)


def edges(obj: KubeObject) -> tuple[Edge, ...]:
    """What the pods of this workload, or this pod, wait for. Raises DependencyError for an unreadable annotation."""
    template: Any = obj if isinstance(obj, Pod) else getattr(getattr(obj, "spec", None), "template", None)
    if template is None:
        return ()
    source = node(obj)
    declared = parse(template.metadata.annotations.get(DEPENDS_ON, ""), source)
    return declared + tuple(Edge(source, target, how) for target, how in _implied(template.spec, source).items())


def parse(text: str, source: Node) -> tuple[Edge, ...]:
    """Edges of an annotation: a JSON list, or the short form `db, job/migrate=completed`.

    The short form waits for a job's completion and for everything else to be ready.
    """
    if not text.strip():
        return ()
    try:
        entries = json.loads(text) if text.lstrip().startswith("[") else [_short(item) for item in text.split(",")]
        return tuple(_edge(source, entry) for entry in entries)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        form = '[{"name": "db", "condition": "service_healthy"}] or db, job/migrate=completed'
        raise DependencyError(f"cannot read {DEPENDS_ON} of {source}: {error} (write {form})") from error


def _short(item: str) -> dict[str, Any]:
    name, _, word = item.strip().partition("=")
    default = COMPLETED if name.startswith("job/") else HEALTHY
    return {"name": name.strip(), "condition": CONDITIONS.get(word.strip(), word.strip()) or default, "required": True}


def _edge(source: Node, entry: dict[str, Any]) -> Edge:
    kind, _, name = entry["name"].rpartition("/")
    condition = entry.get("condition", STARTED)
    if condition not in CONDITIONS.values():
        raise ValueError(f"condition {condition!r} is none of {', '.join(CONDITIONS.values())}")
    if (kind and kind.lower() not in WORKLOADS) or not name:
        raise ValueError(f"{entry['name']!r} names no {', '.join(WORKLOADS[:-1])} or {WORKLOADS[-1]}")
    target = Node(source.namespace, kind.lower(), name)
    return Edge(source, target, condition, bool(entry.get("required", True)), bool(entry.get("restart", False)))


def _implied(spec: PodSpec, source: Node) -> dict[Node, str]:
    found: dict[Node, str] = {}
    for kind, name, optional in (*_volumes(spec), *_environment((*spec.init_containers, *spec.containers))):
        if name and not optional:
            found[Node(source.namespace, kind, name)] = BOUND if kind == "persistentvolumeclaim" else EXISTS
    return found


ROOT_CA = "kube-root-ca.crt"  # known to the agent without a ConfigMap


def _volumes(spec: PodSpec) -> Iterator[tuple[str, str, bool | None]]:
    for volume in spec.volumes:
        if volume.config_map:
            yield "configmap", volume.config_map.name, volume.config_map.optional
        if volume.secret:
            yield "secret", volume.secret.secret_name, volume.secret.optional
        for each in volume.projected.sources if volume.projected else ():
            if each.config_map and each.config_map.name != ROOT_CA:
                yield "configmap", each.config_map.name, each.config_map.optional
            if each.secret:
                yield "secret", each.secret.name, each.secret.optional
        if volume.persistent_volume_claim:
            yield "persistentvolumeclaim", volume.persistent_volume_claim.claim_name, False


def _environment(containers: Iterable[Container]) -> Iterator[tuple[str, str, bool | None]]:
    for container in containers:
        for bulk in container.env_from:
            if bulk.config_map_ref:
                yield "configmap", bulk.config_map_ref.name, bulk.config_map_ref.optional
            if bulk.secret_ref:
                yield "secret", bulk.secret_ref.name, bulk.secret_ref.optional
        for source in (variable.value_from for variable in container.env if variable.value_from):
            if source.config_map_key_ref:
                yield "configmap", source.config_map_key_ref.name, source.config_map_key_ref.optional
            if source.secret_key_ref:
                yield "secret", source.secret_key_ref.name, source.secret_key_ref.optional


def build(objects: Iterable[KubeObject]) -> Graph:
    """The graph of all objects that no controller made. Targets known only by name get their kind."""
    tops = [obj for obj in objects if obj.metadata.controller is None or obj.metadata.controller.kind == "Stack"]
    found = [edge for obj in tops for edge in edges(obj)]
    known = {node(obj) for obj in tops}
    drawn = {node(obj) for obj in tops if obj.kind.lower() in WORKLOADS}
    resolved = tuple(replace(edge, target=_resolve(edge.target, known)) for edge in found)
    nodes = sorted(drawn | {end for edge in resolved for end in (edge.source, edge.target)})
    return Graph(tuple(nodes), resolved)


def _resolve(target: Node, known: set[Node]) -> Node:
    kinds = (target.kind,) if target.kind else WORKLOADS
    candidates = (replace(target, kind=kind) for kind in kinds)
    return next((candidate for candidate in candidates if candidate in known), replace(target, missing=True))


def find_cycle(graph: Graph) -> tuple[Node, ...] | None:
    """The nodes along a cycle of the edges, as cycles.find_cycle."""
    waits: dict[Node, list[Node]] = {}
    for edge in graph.edges:
        waits.setdefault(edge.source, []).append(edge.target)
    return cycles.find_cycle(waits)


def start_order(graph: Graph) -> tuple[tuple[Node, ...], ...]:
    """Levels: all of a level may start once the levels before are there. Raises DependencyError with the cycle."""
    import networkx as nx

    digraph: Any = nx.DiGraph()
    digraph.add_nodes_from(graph.nodes)
    digraph.add_edges_from((edge.target, edge.source) for edge in graph.edges)
    try:
        return tuple(tuple(sorted(level)) for level in nx.topological_generations(digraph))
    except nx.NetworkXUnfeasible as error:
        cycle = cycles.path(find_cycle(graph) or ())
        raise DependencyError(f"cannot order the objects: they wait for each other: {cycle} (remove one)") from error


def stop_order(graph: Graph) -> tuple[tuple[Node, ...], ...]:
    """Levels in the order of stopping: dependants first."""
    return tuple(reversed(start_order(graph)))


def unmet(pod: Pod, lookup: Lookup) -> list[str]:
    """What this pod still waits for, one reason a line; empty when it may start."""
    try:
        waits = edges(pod)
    except DependencyError as error:
        return [str(error)]
    return [reason for edge in waits if (reason := _reason(edge, lookup))]


def _reason(edge: Edge, lookup: Lookup) -> str | None:
    match edge.target.kind:
        case "configmap":
            return _absent(lookup.one(ConfigMap, _key(edge.target)), edge.target)
        case "secret":
            return _absent(lookup.one(Secret, _key(edge.target)), edge.target)
        case "persistentvolumeclaim":
            claim = lookup.one(PersistentVolumeClaim, _key(edge.target))
            unbound = claim is not None and claim.status.phase != "Bound"
            return f"claim {edge.target.name} not bound" if unbound else _absent(claim, edge.target)
    target = workload(edge.target, lookup)
    if target is None:
        return f"{edge.target.name} does not exist" if edge.required else None
    if edge.condition == COMPLETED:
        return _incomplete(target)
    return _not_up(target, edge.condition, lookup)


def _key(target: Node) -> Key:
    return Key(target.namespace, target.name)


def _absent(obj: KubeObject | None, target: Node) -> str | None:
    return f"{target} does not exist" if obj is None else None


def workload(target: Node, lookup: Lookup) -> KubeObject | None:
    """The stored workload that a declared edge means."""
    kinds = [CLASSES[target.kind]] if target.kind in CLASSES else [] if target.kind else list(CLASSES.values())
    return next((obj for kind in kinds if (obj := lookup.one(kind, _key(target)))), None)


def _incomplete(target: KubeObject) -> str | None:
    name = target.metadata.name
    if isinstance(target, Pod):
        return None if target.status.phase == "Succeeded" else f"{name} not complete"
    if not isinstance(target, Job):
        return f"{name} never completes: it is a {target.kind} (wait for service_healthy instead)"
    if target.status.has("Failed"):
        why = next((c.message or c.reason for c in target.status.conditions if c.type == "Failed"), None)
        return f"{name} failed{f': {why}' if why else ''} (nothing more happens until it is run again)"
    return None if target.status.has("Complete") else f"{name} not complete"


def _not_up(target: KubeObject, condition: str, lookup: Lookup) -> str | None:
    if isinstance(target, Job) and target.status.has("Complete"):
        return None
    if isinstance(target, Job) and target.status.has("Failed"):
        return _incomplete(target)
    alive = [pod for pod in pods_of(target, lookup) if not pod.metadata.deleting]
    if condition == STARTED and any(runs(pod) or pod.status.phase == "Succeeded" for pod in alive):
        return None
    if condition == HEALTHY and any(pod.ready or pod.status.phase == "Succeeded" for pod in alive):
        return None
    why = next((text for pod in alive if (text := trouble(pod))), "")
    word = "not running" if condition == STARTED else "not ready"
    return f"{target.metadata.name} {word}{f' ({why})' if why else ''}"


def runs(pod: Pod) -> bool:
    """Whether a container runs. The phase does not tell: it stays Running while all of them wait for a restart."""
    return any(status.state.running for status in pod.status.container_statuses)


def dependencies(pod: Pod, lookup: Lookup) -> list[Pod]:
    """The pods of all workloads that this pod waits for, as they are. Raises DependencyError."""
    targets = (workload(edge.target, lookup) for edge in edges(pod))
    return [each for target in targets if target is not None for each in pods_of(target, lookup)]


def pods_of(target: KubeObject, lookup: Lookup) -> list[Pod]:
    """The pods of a workload. A Job's are told by their owner, a Deployment's by its selector."""
    if isinstance(target, Pod):
        return [target]
    pods = lookup.all(Pod, namespace=target.metadata.namespace)
    if isinstance(target, Deployment | ReplicaSet):
        return [pod for pod in pods if target.spec.selector.matches(pod.metadata.labels)]
    return [pod for pod in pods if (owner := pod.metadata.controller) and owner.uid == target.metadata.uid]


def trouble(pod: Pod) -> str:
    """Why a pod is not ready, in the words of its status; "" when it says nothing."""
    for status in pod.status.container_statuses:
        if status.state.waiting and (status.state.waiting.message or status.state.waiting.reason):
            return status.state.waiting.message or status.state.waiting.reason or ""
    for type in ("PodScheduled", "Initialized", "ContainersReady", "Ready"):
        condition = pod.status.condition(type)
        if condition and condition.status != "True" and condition.message:
            return condition.message
    return pod.status.message or ""
