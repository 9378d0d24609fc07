"""Requests and limits as the runtime gets them."""

import pytest

from orchestr.agent.failure import ConfigFailure
from orchestr.agent.resources import EXTRA, OOM_SCORE, linux_resources, oom_score
from orchestr.api.base import ObjectMeta
from orchestr.api.container import ResourceRequirements
from orchestr.api.core import Container, Pod, PodSpec


@pytest.mark.parametrize(
    ("requests", "limits", "shares"),
    [
        ({"cpu": "500m"}, {}, 512),
        ({}, {"cpu": "2"}, 2048),
        ({"cpu": "1m"}, {}, 2),
        ({"cpu": "0"}, {"cpu": "2"}, None),  # a Compose limit without a reservation: competes as everybody else
        ({}, {}, None),
    ],
)
def test_shares(requests: dict[str, str], limits: dict[str, str], shares: int | None) -> None:
    container = Container(name="c", image="i", resources=ResourceRequirements(requests=requests, limits=limits))
    assert linux_resources(container).get("cpu", {}).get("shares") == shares


def container(**limits: str) -> Container:
    return Container(name="c", image="i", resources=ResourceRequirements(limits=limits))


def test_huge_pages_of_kubernetes_are_the_kernels() -> None:
    found = linux_resources(container(**{"hugepages-2Mi": "64Mi", "hugepages-1Gi": "1Gi"}))
    assert found["hugepageLimits"] == [{"pageSize": "2MB", "limit": 64 << 20}, {"pageSize": "1GB", "limit": 1 << 30}]


def test_an_annotation_goes_over_the_fields() -> None:
    text = '{"memory": {"swap": -1}, "cpu": {"cpus": "0"}, "network": {"classID": 5}}'
    found = linux_resources(container(memory="1Mi"), {EXTRA: text})
    assert found["memory"] == {"limit": 1 << 20, "swap": -1}
    assert (found["cpu"], found["network"]) == ({"cpus": "0"}, {"classID": 5})


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "Expecting property name"),
        ("[]", "not an object"),
        ('{"blockIO": {"throttleReadBpsDevice": [{"path": "/dev/null", "rate": 1}]}}', "not a block device"),
        ('{"blockIO": {"throttleReadBpsDevice": [{"path": "/nowhere", "rate": 1}]}}', "No such file"),
    ],
)
def test_an_annotation_that_cannot_be_used(text: str, cause: str) -> None:
    with pytest.raises(ConfigFailure, match=cause):
        linux_resources(container(), {EXTRA: text})


@pytest.mark.parametrize(("given", "score"), [("-5", -5), ("1000", 1000)])
def test_a_score_of_ones_own(given: str, score: int) -> None:
    assert oom_score(Pod(metadata=ObjectMeta(annotations={OOM_SCORE: given}), spec=PodSpec(containers=()))) == score
    with pytest.raises(ConfigFailure, match="-1000 to 1000"):
        oom_score(Pod(metadata=ObjectMeta(annotations={OOM_SCORE: "x"}), spec=PodSpec(containers=())))
