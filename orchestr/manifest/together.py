"""What can only be seen when the objects of all files are there: duplicates, ports that clash, cycles, loose ends."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orchestr import cycles, graph
from orchestr.api import scheme
from orchestr.api.apps import Deployment, ReplicaSet
from orchestr.api.batch import Job
from orchestr.api.core import Pod, Service
from orchestr.api.daemonset import DaemonSet
from orchestr.api.statefulset import StatefulSet
from orchestr.manifest.errors import Problem
from orchestr.manifest.loaded import Loaded

PUBLISH = "orchestr.dev/publish"
TEMPLATED = (Deployment, StatefulSet, DaemonSet, ReplicaSet, Job)


def problems(loaded: Sequence[Loaded], warn: Callable[[Problem], None]) -> list[Problem]:
    """What is wrong with the objects as a set. What may be right, as the rest may be in the store, goes to `warn`."""
    for check in (selectors, loose_ends):
        for found in check(loaded):
            warn(found)
    return [found for check in (duplicates, published_ports, cycle) for found in check(loaded)]


def duplicates(loaded: Sequence[Loaded]) -> Iterator[Problem]:
    first: dict[tuple[str, str, str, str], Loaded] = {}
    for one in loaded:
        obj = one.object
        if not obj.metadata.name or isinstance(obj, scheme.Foreign):
            continue  # with generateName each creates a new one; foreign objects are not created at all
        namespace = _namespace(one) if scheme.namespaced(obj) else ""
        key = (obj.api_version.rpartition("/")[0], obj.kind, namespace, obj.metadata.name)
        if key in first:
            yield one.problem("metadata.name", f"{obj.ref} is there twice", f"first at {first[key].place}")
        first.setdefault(key, one)


def published_ports(loaded: Sequence[Loaded]) -> Iterator[Problem]:
    """Two services cannot publish one port of the machine."""
    taken: dict[tuple[str, int], list[tuple[str, Loaded]]] = {}
    for one in loaded:
        if not isinstance(one.object, Service):
            continue
        for field, address, port, protocol in _published(one.object):
            for other, holder in taken.get((protocol, port), []):
                if holder is not one and (address == other or not address or not other):
                    who = f"{holder.object.ref} of {holder.place}"
                    yield one.problem(field, f"port {port}/{protocol} is published by {who} too", "choose another")
            taken.setdefault((protocol, port), []).append((address, one))


def _published(service: Service) -> Iterator[tuple[str, str, int, str]]:
    """(field, host address or "", port, protocol)"""
    for index, port in enumerate(service.spec.ports):
        if service.spec.type in ("NodePort", "LoadBalancer") and port.node_port:
            yield f"spec.ports[{index}].nodePort", "", port.node_port, port.protocol
        if service.spec.type == "LoadBalancer":
            yield f"spec.ports[{index}].port", "", port.port, port.protocol
    for entry in _annotation(service):
        address = str(entry.get("hostIP") or "")
        address = "" if address in ("0.0.0.0", "::") else address
        port_number = entry.get("hostPort")
        if isinstance(port_number, int):
            yield f"metadata.annotations[{PUBLISH}]", address, port_number, str(entry.get("protocol") or "TCP")


def _annotation(service: Service) -> list[dict[str, Any]]:
    try:
        found = json.loads(service.metadata.annotations.get(PUBLISH, "[]"))
    except ValueError:
        return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _namespace(one: Loaded) -> str:
    return one.object.metadata.namespace or "default"


def selectors(loaded: Sequence[Loaded]) -> Iterator[Problem]:
    """A service whose selector matches none of the pods of the set, when the set has pods in its namespace."""
    labels: dict[str, list[Any]] = {}
    for one in loaded:
        if isinstance(one.object, Pod):
            labels.setdefault(_namespace(one), []).append(one.object.metadata.labels)
        elif isinstance(one.object, TEMPLATED):
            labels.setdefault(_namespace(one), []).append(one.object.spec.template.metadata.labels)
    for one in loaded:
        there = labels.get(_namespace(one), [])
        if not isinstance(one.object, Service) or not one.object.spec.selector or not there:
            continue
        wanted = one.object.spec.selector.items()
        if not any(wanted <= dict(found).items() for found in there):
            shown = ", ".join(f"{key}: {value}" for key, value in one.object.spec.selector.items())
            yield one.problem("spec.selector", f"no pod of these files has the labels {shown}")


def _graph(loaded: Sequence[Loaded]) -> tuple[graph.Graph, dict[graph.Node, Loaded]]:
    """The dependency graph; objects without a namespace are in `default`."""
    placed = {}
    for one in loaded:
        obj = one.object
        if scheme.namespaced(obj) and not obj.metadata.namespace:
            obj = obj.but(metadata=obj.metadata.but(namespace="default"))
        placed[graph.node(obj)] = (obj, one)
    return graph.build(obj for obj, _ in placed.values()), {node: one for node, (_, one) in placed.items()}


def _depends_on(one: Loaded) -> str:
    prefix = "" if isinstance(one.object, Pod) else "spec.template."
    return f"{prefix}metadata.annotations[{graph.DEPENDS_ON}]"


def loose_ends(loaded: Sequence[Loaded]) -> Iterator[Problem]:
    """References to what none of the files has; it may be in the store."""
    try:
        found, sources = _graph(loaded)
    except graph.DependencyError:
        return  # told by `cycle`
    for edge in found.edges:
        if edge.target.missing and edge.source in sources:
            yield sources[edge.source].problem("", f"{edge.source} needs {edge.target}, which is not in these files")


def cycle(loaded: Sequence[Loaded]) -> Iterator[Problem]:
    for one in loaded:
        try:
            graph.edges(one.object)
        except graph.DependencyError as error:
            yield one.problem(_depends_on(one), str(error))
            return
    found, sources = _graph(loaded)
    nodes = graph.find_cycle(found)
    if nodes and nodes[0] in sources:
        first = sources[nodes[0]]
        yield first.problem(
            _depends_on(first), f"dependencies go in a circle: {cycles.path(nodes)}", "remove one of them"
        )
