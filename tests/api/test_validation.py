from typing import Any

import pytest

from orchestr.api import scheme
from tests.api import objects


def findings(data: dict[str, Any]) -> dict[str, str]:
    obj = scheme.default(scheme.decode(data))
    return {cause.field: cause.message for cause in scheme.validate(obj)}


def container(**fields: Any) -> dict[str, Any]:
    return objects.pod(containers=[{"name": "web", "image": "local/host", **fields}])


def named(data: dict[str, Any], name: str) -> dict[str, Any]:
    return data | {"metadata": {"name": name}}


@pytest.mark.parametrize("data", [objects.pod(), objects.deployment(), objects.job(), objects.service()])
def test_what_is_right_passes(data: dict[str, Any]) -> None:
    assert findings(data) == {}


C = "spec.containers[0]"
WRONG = [
    (named(objects.pod(), "Web_1"), "metadata.name", "write web-1"),
    (objects.pod(containers=[]), "spec.containers", "at least one"),
    (objects.pod(containers=[{"name": "web"}]), f"{C}.image", "needs an image"),
    (container(ports=[{"containerPort": 70000}]), f"{C}.ports[0].containerPort", "1 to 65535"),
    (container(volumeMounts=[{"name": "d", "mountPath": "/d"}]), f"{C}.volumeMounts[0].name", "no volume"),
    (container(resources={"limits": {"cpu": 1}, "requests": {"cpu": 2}}), f"{C}.resources.requests.cpu", "exceed"),
    (container(resources={"limits": {"nvidia.com/gpu": 1}}), f"{C}.resources.limits[nvidia.com/gpu]", "not supported"),
    (container(readinessProbe={"httpGet": {"port": "http"}}), f"{C}.readinessProbe.httpGet.port", "no port is called"),
    (container(livenessProbe={}), f"{C}.livenessProbe", "exactly one"),
    (container(securityContext={"runAsUser": 2**31}), f"{C}.securityContext.runAsUser", "an id from 0"),
    (container(lifecycle={"stopSignal": "TERM"}), f"{C}.lifecycle.stopSignal", "SIGTERM"),
    (container(env=[{"name": "A=B"}]), f"{C}.env[0].name", "no variable name"),
    (objects.pod(volumes=[{"name": "v", "hostPath": {"path": "x"}}]), "spec.volumes[0].hostPath.path", "absolute"),
    (objects.pod(volumes=[{"name": "v"}, {"name": "v"}]), "spec.volumes[1].name", "there twice"),
    (objects.pod(restartPolicy="always"), "spec.restartPolicy", "Always, OnFailure, Never"),
    (objects.deployment(replicas=-1), "spec.replicas", "at least 0"),
    (objects.deployment(selector={"matchLabels": {"app": "x"}}), "spec.template.metadata.labels", "do not match"),
    (objects.deployment(selector={}), "spec.selector", "must not be empty"),
    (objects.deployment(strategy={"rollingUpdate": {"maxSurge": "x"}}), "spec.strategy.rollingUpdate.maxSurge", "25%"),
    (
        objects.deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        "spec.strategy.rollingUpdate.maxUnavailable",
        "no pod could ever be replaced",
    ),
    (objects.job(template={"spec": objects.pod_spec()}), "spec.template.spec.restartPolicy", "OnFailure or Never"),
    (objects.service(ports=[]), "spec.ports", "at least one"),
    (objects.service(ports=[{"port": 1}, {"port": 2}]), "spec.ports[0].name", "several ports"),
    (objects.service(type="ExternalName"), "spec.type", "not supported"),
]


@pytest.mark.parametrize(("data", "field", "words"), WRONG, ids=[field for _, field, _ in WRONG])
def test_what_breaks_a_rule_is_told_with_its_field(data: dict[str, Any], field: str, words: str) -> None:
    assert words in findings(data)[field]


def changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before, after = (scheme.default(scheme.decode(data)) for data in (old, new))
    return [cause.field for cause in scheme.validate_update(before, after)]


def test_a_selector_never_changes() -> None:
    assert changed(objects.deployment(), objects.deployment(selector={"matchLabels": {"a": "b"}})) == ["spec.selector"]


def test_gates_of_a_pod_are_only_taken_away() -> None:
    gated = objects.pod(schedulingGates=[{"name": "orchestr.dev/dependencies"}])
    assert changed(gated, objects.pod(nodeName="here")) == []
    assert changed(objects.pod(), gated) == ["spec.schedulingGates"]


def test_of_a_pod_the_image_may_change_and_the_command_not() -> None:
    assert changed(objects.pod(), container(image="other:1", imagePullPolicy="Always")) == []
    assert changed(objects.pod(), container(command=["x"])) == ["spec.containers"]


@pytest.mark.parametrize(
    ("type_", "good", "field"),
    [
        ("kubernetes.io/tls", {"tls.crt": "YQ==", "tls.key": "YQ=="}, "data[tls.crt]"),
        ("kubernetes.io/basic-auth", {"password": "YQ=="}, "data.username"),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": "YQ=="}, "data.ssh-privatekey"),
        ("kubernetes.io/dockerconfigjson", {".dockerconfigjson": "e30="}, "data[.dockerconfigjson]"),
        ("example.org/own", {}, ""),
    ],
)
def test_what_a_secret_of_a_type_has(type_: str, good: dict[str, str], field: str) -> None:
    def wrong(**fields: object) -> list[str]:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "type": type_, **fields}
        return [cause.field for cause in scheme.validate(scheme.default(scheme.decode(secret)))]

    assert wrong(data=good) == []
    assert (field in wrong()) == bool(field)


def test_a_secret_for_a_token_names_its_account() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    secret["type"] = "kubernetes.io/service-account-token"
    fields = [cause.field for cause in scheme.validate(scheme.default(scheme.decode(secret)))]
    assert fields == ["metadata.annotations[kubernetes.io/service-account.name]"]


def test_an_immutable_secret_stays() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "immutable": True, "data": {"a": "YQ=="}}
    assert changed(secret, secret | {"data": {"a": "Yg=="}}) == ["data"]
