"""StatefulSet and DaemonSet: defaults, what is refused, what stays as it was created."""

from typing import Any

import pytest

from orchestr.api import scheme
from tests.api import objects


def wire(kind: str, **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "db"}}, "spec": objects.pod_spec()}
    body = {"selector": {"matchLabels": {"app": "db"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "db", "namespace": "ns"}, "spec": body}


def made(kind: str, **spec: Any) -> Any:
    return scheme.default(scheme.decode(wire(kind, **spec)))


def refused(kind: str, **spec: Any) -> list[str]:
    return [cause.field for cause in scheme.validate(made(kind, **spec))]


def claim(name: str = "data", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec},
    }


def test_defaults() -> None:
    sts = made("StatefulSet", volumeClaimTemplates=[claim()]).wire()["spec"]
    assert sts["replicas"] == 1
    assert sts["podManagementPolicy"] == "OrderedReady"
    assert sts["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert sts["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert sts["revisionHistoryLimit"] == 10
    [template] = sts["volumeClaimTemplates"]
    assert (template["spec"]["volumeMode"], template["status"]) == ("Filesystem", {"phase": "Pending"})
    ds = made("DaemonSet").wire()["spec"]
    assert ds["updateStrategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


STRATEGY = "spec.updateStrategy"


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"replicas": -1}, ["spec.replicas"]),
        ({"podManagementPolicy": "Any"}, ["spec.podManagementPolicy"]),
        ({"ordinals": {"start": -1}}, ["spec.ordinals.start"]),
        ({"serviceName": "a.b"}, ["spec.serviceName"]),
        ({"updateStrategy": {"type": "Recreate"}}, [f"{STRATEGY}.type"]),
        ({"updateStrategy": {"type": "OnDelete", "rollingUpdate": {}}}, [f"{STRATEGY}.rollingUpdate"]),
        ({"updateStrategy": {"rollingUpdate": {"partition": -1}}}, [f"{STRATEGY}.rollingUpdate.partition"]),
        ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}}, [f"{STRATEGY}.rollingUpdate.maxUnavailable"]),
        (
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": "150%"}}},
            [f"{STRATEGY}.rollingUpdate.maxUnavailable"],
        ),
        (
            {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep"}},
            ["spec.persistentVolumeClaimRetentionPolicy.whenDeleted"],
        ),
        (
            {"volumeClaimTemplates": [claim("a"), claim("a", accessModes=[])]},
            ["spec.volumeClaimTemplates[1].spec.accessModes", "spec.volumeClaimTemplates[1].metadata.name"],
        ),
        ({"selector": {"matchLabels": {"app": "x"}}}, ["spec.template.metadata.labels"]),
    ],
)
def test_a_stateful_set_is_refused(spec: dict[str, Any], fields: list[str]) -> None:
    assert refused("StatefulSet", **spec) == fields


@pytest.mark.parametrize(
    ("rolling", "field"),
    [
        ({"maxSurge": 1}, "maxSurge"),  # maxUnavailable is 1 when nothing is said
        ({"maxUnavailable": 0}, "maxUnavailable"),
        ({"maxSurge": "half", "maxUnavailable": 0}, "maxSurge"),
    ],
)
def test_a_daemon_set_is_refused(rolling: dict[str, Any], field: str) -> None:
    assert refused("DaemonSet", updateStrategy={"rollingUpdate": rolling}) == [f"{STRATEGY}.rollingUpdate.{field}"]


def test_pods_may_mount_what_the_claim_templates_name() -> None:
    spec = objects.pod_spec()
    spec["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    template = {"metadata": {"labels": {"app": "db"}}, "spec": spec}
    assert refused("StatefulSet", template=template) == ["spec.template.spec.containers[0].volumeMounts[0].name"]
    assert refused("StatefulSet", template=template, volumeClaimTemplates=[claim()]) == []


def test_little_of_a_stateful_set_may_change() -> None:
    old = made("StatefulSet", serviceName="db")
    assert scheme.validate_update(old, made("StatefulSet", serviceName="db", replicas=3, minReadySeconds=5)) == []
    [cause] = scheme.validate_update(old, made("StatefulSet", serviceName="x", podManagementPolicy="Parallel"))
    assert cause.message.startswith("updates to statefulset spec for fields other than 'replicas', 'ordinals'")
    assert "changed: serviceName, podManagementPolicy" in cause.message


def test_the_selector_of_a_daemon_set_stays() -> None:
    other = {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
    [cause] = scheme.validate_update(made("DaemonSet"), made("DaemonSet", selector=other))
    assert cause.field == "spec.selector"
