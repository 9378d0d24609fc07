"""The dependency graph: edges, what a pod waits for, order, drawings."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

from orchestr import drawing, graph
from orchestr.api.apps import Deployment, DeploymentSpec
from orchestr.api.base import Condition, Key, KubeObject, ObjectMeta
from orchestr.api.batch import Job, JobSpec, JobStatus
from orchestr.api.core import (
    ConfigMap,
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStatus,
    EnvFromSource,
    LabelSelector,
    PersistentVolumeClaim,
    PersistentVolumeClaimStatus,
    PersistentVolumeClaimVolumeSource,
    Pod,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
    SecretEnvSource,
    Volume,
)


class Objects:
    """A Lookup on a list."""

    def __init__(self, *objects: KubeObject) -> None:
        self.objects = objects

    def one(self, kind: type[Any], key: Key) -> Any:
        return next((obj for obj in self.objects if type(obj) is kind and obj.key == key), None)

    def all(self, kind: type[Any], *, namespace: str | None = None) -> Sequence[Any]:
        return [obj for obj in self.objects if type(obj) is kind and namespace in (None, obj.key.namespace)]


def meta(name: str, needs: str = "", **fields: Any) -> ObjectMeta:
    return ObjectMeta(name=name, namespace="ns", annotations={graph.DEPENDS_ON: needs} if needs else {}, **fields)


def deployment(name: str, needs: str = "") -> Deployment:
    template = PodTemplateSpec(metadata=meta("", needs))
    spec = DeploymentSpec(selector=LabelSelector(match_labels={"app": name}), template=template)
    return Deployment(metadata=meta(name), spec=spec)


def job(name: str, condition: str = "", message: str | None = None) -> Job:
    conditions = (Condition(type=condition, status="True", message=message),) if condition else ()
    return Job(
        metadata=meta(name, uid="u"), spec=JobSpec(template=PodTemplateSpec()), status=JobStatus(conditions=conditions)
    )


def pod(name: str, needs: str = "", *, app: str = "", phase: str = "Running", ready: bool = True, why: str = "") -> Pod:
    condition = Condition(type="Ready", status=str(ready), message=why or None)
    runs = ContainerState(running=ContainerStateRunning())
    status = PodStatus(
        phase=phase,
        conditions=(condition,),
        container_statuses=(ContainerStatus(name="main", state=runs),) if phase == "Running" else (),
    )
    return Pod(metadata=meta(name, needs, labels={"app": app}), status=status)


def test_both_forms_of_the_annotation_mean_the_same() -> None:
    source = graph.Node("ns", "pod", "web")
    short = graph.parse("db, job/migrate=completed, deployment/x=started", source)
    entries = [
        {"name": "db", "condition": "service_healthy"},
        {"name": "job/migrate", "condition": "service_completed_successfully"},
        {"name": "deployment/x"},
    ]
    assert short == graph.parse(json.dumps(entries), source)


@pytest.mark.parametrize(
    "text", ["[", "[1]", '[{"name": "db", "condition": "soon"}]', "node/x", "[{}]", "db=later", "a/"]
)
def test_an_unreadable_annotation_says_how_to_write_it(text: str) -> None:
    with pytest.raises(graph.DependencyError, match=r"write \["):
        graph.parse(text, graph.Node("ns", "pod", "web"))
    assert graph.unmet(pod("web", text), Objects())[0].startswith("cannot read orchestr.dev/depends-on of pod/web")


def test_a_pod_waits_for_its_configmaps_secrets_and_claims() -> None:
    spec = PodSpec(
        containers=(
            Container(
                name="main",
                env_from=(
                    EnvFromSource(secret_ref=SecretEnvSource(name="pw")),
                    EnvFromSource(secret_ref=SecretEnvSource(name="extra", optional=True)),
                ),
            ),
        ),
        volumes=(
            Volume(name="d", persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name="data")),
            Volume(name="c", config_map={"name": "conf"}),  # type: ignore[arg-type]
        ),
    )
    web = Pod(metadata=meta("web"), spec=spec)
    claim = PersistentVolumeClaim(metadata=meta("data"))
    assert graph.unmet(web, Objects(claim)) == [
        "claim data not bound",
        "configmap/conf does not exist",
        "secret/pw does not exist",
    ]
    bound = claim.but(status=PersistentVolumeClaimStatus(phase="Bound"))
    assert graph.unmet(web, Objects(bound, ConfigMap(metadata=meta("conf")))) == ["secret/pw does not exist"]


NEVER = "db never completes: it is a Deployment (wait for service_healthy instead)"


@pytest.mark.parametrize(
    ("needs", "there", "reasons"),
    [
        ("db", (), ["db does not exist"]),
        ('[{"name": "db", "required": false}]', (), []),
        ("db", (deployment("db"),), ["db not ready"]),
        ("db", (deployment("db"), pod("p", app="db", ready=False, why="probe 3/5")), ["db not ready (probe 3/5)"]),
        ("db=started", (deployment("db"), pod("p", app="db", ready=False)), []),
        ("db=started", (deployment("db"), pod("p", app="db", phase="Pending")), ["db not running"]),
        ("db", (deployment("db"), pod("p", app="db")), []),
        ("db", (deployment("db"), pod("p", app="db", ready=False), pod("q", app="db")), []),
        ("job/m", (job("m"),), ["m not complete"]),
        ("job/m", (job("m", "Complete"),), []),
        ("m=started", (job("m", "Complete"),), []),
        ("job/m", (job("m", "Failed", "exit 3"),), ["m failed: exit 3 (nothing more happens until it is run again)"]),
        (
            "db=completed",
            (deployment("db"),),
            ["db never completes: it is a Deployment (wait for service_healthy instead)"],
        ),
        ("pod/p", (pod("p", app="x"),), []),
    ],
)
def test_what_is_unmet(needs: str, there: tuple[KubeObject, ...], reasons: list[str]) -> None:
    assert graph.unmet(pod("web", needs), Objects(*there)) == reasons


def shop() -> graph.Graph:
    return graph.build(
        [deployment("web", "api"), deployment("api", "db, job/migrate"), deployment("db"), job("migrate")]
    )


def test_order_of_starting_and_stopping() -> None:
    levels = [[str(node) for node in level] for level in graph.start_order(shop())]
    assert levels == [["deployment/db", "job/migrate"], ["deployment/api"], ["deployment/web"]]
    assert graph.stop_order(shop()) == tuple(reversed(graph.start_order(shop())))


def test_a_cycle_is_found_and_printed_along_its_arrows() -> None:
    found = graph.build([deployment("a", "b"), deployment("b", "c"), deployment("c", "a"), deployment("d", "a")])
    cycle = graph.find_cycle(found)
    assert cycle is not None
    assert cycle[0] == cycle[-1]
    waits = {(edge.source, edge.target) for edge in found.edges}
    assert all(step in waits for step in pairwise(cycle))
    with pytest.raises(graph.DependencyError, match=" -> deployment/"):
        graph.start_order(found)
    assert drawing.text(found)  # a cycle can be drawn


@given(lists(tuples(integers(0, 6), integers(0, 6)), max_size=15))
def test_either_there_is_a_cycle_or_an_order_that_keeps_every_edge(pairs: list[tuple[int, int]]) -> None:
    nodes = tuple(graph.Node("", "pod", str(number)) for number in range(7))
    found = graph.Graph(nodes, tuple(graph.Edge(nodes[a], nodes[b], graph.STARTED) for a, b in pairs))
    if graph.find_cycle(found):
        return
    level = {node: place for place, nodes in enumerate(graph.start_order(found)) for node in nodes}
    assert len(level) == 7
    assert all(level[edge.target] < level[edge.source] for edge in found.edges)


def test_the_tree() -> None:
    assert drawing.text(shop()) == (
        "deployment/web\n"
        "└── deployment/api (healthy)\n"
        "    ├── deployment/db (healthy)\n"
        "    └── job/migrate (completed)\n"
    )


def test_the_other_drawings_name_every_node_and_edge() -> None:
    found = graph.build([deployment("web", "gone, db"), deployment("db")])
    assert '"deployment/web" -> "deployment/db" [label="healthy"];' in drawing.dot(found)
    assert 'n2["deployment/web"]' in drawing.mermaid(found)
    picture = ElementTree.fromstring(drawing.svg(found))
    titles = {title.text for title in picture.iter("{http://www.w3.org/2000/svg}title")}
    assert titles == {"deployment/web", "deployment/db", "gone"}
