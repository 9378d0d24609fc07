"""Taints, tolerations, node selectors and node affinity, by Kubernetes' rules."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.api import placement
from orchestr.api.node import Node
from orchestr.api.pod import Pod, PodSpec
from orchestr.api.validation import validate

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GPU = {"key": "gpu", "value": "a", "effect": "NoSchedule"}
GONE = {"key": "gone", "effect": "NoExecute", "timeAdded": "2026-01-31T12:00:00Z"}


def node(labels: dict[str, str] | None = None, **spec: Any) -> Node:
    return Node.model_validate({"metadata": {"name": "n", "labels": labels or {}}, "spec": spec})


def pod(**spec: Any) -> PodSpec:
    return PodSpec.model_validate({"containers": [{"name": "c", "image": "i"}], **spec})


def needs(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "gpu", "value": "a"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "a", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "value": "b"}, False),
        ({"key": "gpu"}, False),
        ({"key": "cpu", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: dict[str, Any], tolerated: bool) -> None:
    assert placement.tolerates(toleration, GPU) is tolerated
    why = placement.refusal(pod(tolerations=[toleration]), node(taints=[GPU]))
    assert why == (None if tolerated else "node(s) had untolerated taint {gpu: a}")


def test_a_cordoned_node_takes_only_what_tolerates_it() -> None:
    assert placement.refusal(pod(), node(unschedulable=True)) == "node(s) were unschedulable"
    daemon = {"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}
    assert placement.refusal(pod(tolerations=[daemon]), node(unschedulable=True)) is None
    assert placement.refusal(pod(), node(taints=[{"key": "x", "effect": "PreferNoSchedule"}])) is None


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({"nodeSelector": {"disk": "ssd"}}, True),
        ({"nodeSelector": {"disk": "hdd"}}, False),
        ({"nodeSelector": {"disk": "ssd", "x": "y"}}, False),
        (
            {"affinity": needs({"matchExpressions": [{"key": "disk", "operator": "In", "values": ["x", "ssd"]}]})},
            True,
        ),
        ({"affinity": needs({"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["ssd"]}]})}, False),
        ({"affinity": needs({"matchExpressions": [{"key": "no", "operator": "NotIn", "values": ["ssd"]}]})}, True),
        ({"affinity": needs({"matchExpressions": [{"key": "no", "operator": "DoesNotExist"}]})}, True),
        ({"affinity": needs({"matchExpressions": [{"key": "no", "operator": "Exists"}]})}, False),
        ({"affinity": needs({"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["3"]}]})}, True),
        ({"affinity": needs({"matchExpressions": [{"key": "cores", "operator": "Lt", "values": ["4"]}]})}, False),
        ({"affinity": needs({"matchExpressions": [{"key": "disk", "operator": "Lt", "values": ["4"]}]})}, False),
        ({"affinity": needs({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]})}, True),
        ({"affinity": needs({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["m"]}]})}, False),
        ({"affinity": needs({}, {"matchExpressions": [{"key": "disk", "operator": "Exists"}]})}, True),
        ({"affinity": needs({})}, False),
    ],
)
def test_selected(spec: dict[str, Any], fits: bool) -> None:
    why = placement.refusal(pod(**spec), node({"disk": "ssd", "cores": "4"}))
    assert why == (None if fits else "node(s) didn't match Pod's node affinity/selector")


def test_when_a_pod_leaves() -> None:
    def leaves(*tolerations: dict[str, Any]) -> datetime | None:
        return placement.leaves_at(tolerations, [GPU, GONE], NOW + timedelta(seconds=5))

    assert leaves() == NOW + timedelta(seconds=5)
    assert leaves({"key": "gone", "operator": "Exists"}) is None
    assert leaves({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}) == NOW + timedelta(seconds=60)
    short = {"key": "gone", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": -1}
    assert leaves(short, {"operator": "Exists"}) == NOW


@given(
    st.lists(st.fixed_dictionaries({"key": st.sampled_from("ab"), "effect": st.sampled_from(placement.EFFECTS)})),
    st.lists(st.fixed_dictionaries({"operator": st.just("Exists"), "key": st.sampled_from("ab")})),
)
def test_a_pod_that_is_taken_is_not_driven_out(taints: list[Any], tolerations: list[Any]) -> None:
    if placement.refusal(pod(tolerations=tolerations), node(taints=taints)) is None:
        assert placement.leaves_at(tolerations, taints, NOW) is None


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"tolerations": [{"value": "x"}]}, "spec.tolerations[0].operator"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "x"}]}, "spec.tolerations[0].operator"),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 1}]}, "spec.tolerations[0].effect"),
        ({"tolerations": [{"key": "a", "effect": "Never"}]}, "spec.tolerations[0].effect"),
        ({"tolerations": [{"key": "-"}]}, "spec.tolerations[0].key"),
        ({"nodeSelector": {"a": "b c"}}, "spec.nodeSelector[a]"),
        (
            {"affinity": needs({"matchExpressions": [{"key": "a", "operator": "In"}]})},
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]"
            ".matchExpressions[0].values",
        ),
    ],
)
def test_what_is_refused(spec: dict[str, Any], field: str) -> None:
    made = Pod.model_validate(
        {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}
    )
    assert field in [cause.field for cause in validate(made)]


def test_taints_that_are_refused() -> None:
    bad = node(taints=[{"key": "a b", "effect": "NoSchedule"}, GPU, GPU, {"key": "c", "effect": "Never"}])
    assert {cause.field for cause in validate(bad)} == {"spec.taints[0].key", "spec.taints[2]", "spec.taints[3].effect"}
