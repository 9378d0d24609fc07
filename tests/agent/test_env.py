"""A container's environment and its files in /etc."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.agent import etc
from orchestr.agent.env import MissingConfig, environment, expand, field, resource
from orchestr.api.base import ObjectMeta
from orchestr.api.core import ConfigMap, Container, Pod, Secret
from tests.agent.objects import UID, pod


class Stored:
    """One ConfigMap `settings` and one Secret `keys`."""

    def config_map(self, name: str) -> ConfigMap | None:
        data = {"A": "config", "B": "b"}
        return ConfigMap(metadata=ObjectMeta(name=name), data=data) if name == "settings" else None

    def secret(self, name: str) -> Secret | None:
        data = {"A": base64.b64encode(b"secret").decode()}
        return Secret(metadata=ObjectMeta(name=name), data=data) if name == "keys" else None


def env(**container: object) -> dict[str, str]:
    made = Container.model_validate({"name": "main", **container})
    return environment(pod(), made, ("A=image", "PATH=/bin"), Stored(), ("10.0.0.2", "fd00::2"), "node", "192.0.2.1")


def test_later_sources_win() -> None:
    config, secret = {"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}, "prefix": "S_"}
    assert env()["A"] == "image"
    assert env(envFrom=[config, secret]) == {"A": "config", "B": "b", "S_A": "secret", "PATH": "/bin"}
    assert env(envFrom=[config], env=[{"name": "A", "value": "own"}])["A"] == "own"


def test_values_refer_to_what_stands_above_them() -> None:
    pairs = [("X", "1"), ("Y", "$(X)-$(A)-$$(X)-$(LATER)"), ("LATER", "2")]
    assert env(env=[{"name": name, "value": value} for name, value in pairs])["Y"] == "1-image-$(X)-$(LATER)"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"configMapKeyRef": {"name": "no", "key": "A"}}, "ConfigMap no does not exist"),
        ({"secretKeyRef": {"name": "keys", "key": "Z"}}, "Secret keys has no key Z"),
        ({"fieldRef": {"fieldPath": "spec.nothing"}}, "not supported"),
    ],
)
def test_what_is_missing_is_named(source: object, told: str) -> None:
    with pytest.raises(MissingConfig, match=told):
        env(env=[{"name": "V", "valueFrom": source}])


def test_what_is_optional_may_be_missing() -> None:
    absent = {"configMapKeyRef": {"name": "no", "key": "A", "optional": True}}
    assert "V" not in env(env=[{"name": "V", "valueFrom": absent}])
    assert env(envFrom=[{"secretRef": {"name": "no", "optional": True}}])["A"] == "image"
    with pytest.raises(MissingConfig, match="Secret no does not exist"):
        env(envFrom=[{"secretRef": {"name": "no"}}])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "ns"),
        ("metadata.uid", UID),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['none']", ""),
        ("spec.nodeName", "node"),
        ("status.podIP", "10.0.0.2"),
        ("status.podIPs", "10.0.0.2,fd00::2"),
        ("status.hostIP", "192.0.2.1"),
    ],
)
def test_fields_of_the_pod(path: str, value: str) -> None:
    assert field(pod(), path, ("10.0.0.2", "fd00::2"), "node", "192.0.2.1") == value


def test_resources_are_divided_and_rounded_up() -> None:
    limits = {"name": "main", "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}, "requests": {"cpu": "1"}}}
    container = Container.model_validate(limits)
    assert resource(pod(), container, "limits.cpu", None, None) == "2"
    assert resource(pod(), container, "limits.cpu", "1m", None) == "1500"
    assert resource(pod(), container, "limits.memory", "1Mi", None) == "64"
    assert resource(pod(), container, "requests.memory", None, None) == "0"


@given(st.text())
def test_expansion_without_dollars_is_the_text_itself(text: str) -> None:
    assert expand(text.replace("$", ""), {}) == text.replace("$", "")


@given(st.text(alphabet="$()AB "))
def test_expansion_never_fails(text: str) -> None:
    expand(text, {"A": "x"})


def test_hosts_names_the_pod_and_its_aliases() -> None:
    named = Pod.model_validate(
        {
            "metadata": {"name": "web-0", "namespace": "ns"},
            "spec": {
                "containers": [],
                "hostname": "first",
                "subdomain": "web",
                "hostAliases": [{"ip": "192.0.2.9", "hostnames": ["a", "b"]}],
            },
        }
    )
    lines = etc.hosts(named, ("10.0.0.2",)).splitlines()
    assert "10.0.0.2\tfirst.web.ns.svc.cluster.local first" in lines
    assert "192.0.2.9\ta b" in lines
    assert etc.hostname(pod("x" * 62 + "-y")) == "x" * 62


def test_resolv_conf_follows_the_policy() -> None:
    machine = "nameserver 192.0.2.53\n"
    own = etc.resolv_conf(pod(), ("10.0.0.1",), machine)
    assert own.splitlines() == [
        "nameserver 10.0.0.1",
        "search ns.svc.cluster.local svc.cluster.local cluster.local",
        "options ndots:5",
    ]
    assert etc.resolv_conf(pod(dns_policy="Default"), ("10.0.0.1",), machine) == machine
    assert etc.resolv_conf(pod(host_network=True), ("10.0.0.1",), machine) == machine
