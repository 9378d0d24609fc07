from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestr.api import scheme
from orchestr.api.apps import Deployment
from orchestr.api.base import KubeObject
from orchestr.api.batch import Job
from orchestr.api.core import Pod, Secret, Service
from tests.api import objects


def made(data: dict[str, Any]) -> Any:
    return scheme.default(scheme.decode(data))


containers = st.fixed_dictionaries(
    {"name": st.just("c"), "image": st.sampled_from(["a", "a:1", "r:5000/a", "a@sha256:0"])},
    optional={
        "resources": st.sampled_from([{"limits": {"cpu": "1"}}, {"requests": {"memory": "1Mi"}}, {}]),
        "ports": st.just([{"containerPort": 80}]),
        "readinessProbe": st.just({"httpGet": {"port": 80}}),
    },
)
pod_specs = st.fixed_dictionaries(
    {"containers": st.lists(containers, min_size=1, max_size=2)},
    optional={"hostNetwork": st.booleans(), "volumes": st.just([{"name": "v"}]), "restartPolicy": st.just("Never")},
)
services = st.fixed_dictionaries(
    {"ports": st.just([{"port": 80}])},
    optional={
        "type": st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer"]),
        "clusterIP": st.sampled_from(["None", "10.0.0.1"]),
        "ipFamilies": st.sampled_from([["IPv4"], ["IPv6"], ["IPv6", "IPv4"]]),
        "ipFamilyPolicy": st.sampled_from(["SingleStack", "PreferDualStack"]),
        "sessionAffinity": st.just("ClientIP"),
    },
)
wire = st.one_of(
    pod_specs.map(lambda spec: objects.pod() | {"spec": spec}),
    pod_specs.map(lambda spec: objects.deployment(template={"metadata": {"labels": {"app": "web"}}, "spec": spec})),
    st.builds(
        lambda spec, more: objects.job(template={"spec": spec}, **more),
        pod_specs,
        st.sampled_from([{}, {"parallelism": 3}, {"completions": 2}, {"suspend": True}]),
    ),
    services.map(lambda spec: objects.service() | {"spec": spec}),
)


@given(wire)
def test_defaulting_twice_changes_nothing_even_over_the_wire(data: dict[str, Any]) -> None:
    once: KubeObject = made(data)
    assert scheme.default(once) is once
    assert scheme.default(scheme.load(type(once), once.canonical())) == once


def test_a_job_finds_its_pods_by_its_uid() -> None:
    data = objects.job()
    data["metadata"]["uid"] = "u1"
    job: Job = made(data)
    assert job.spec.selector is not None
    assert job.spec.selector.matches(job.spec.template.metadata.labels)
    assert (job.spec.completions, job.spec.parallelism, job.spec.backoff_limit) == (1, 1, 6)


def test_parallelism_alone_is_a_work_queue() -> None:
    assert made(objects.job(parallelism=3)).spec.completions is None


def test_requests_follow_limits_but_not_those_of_our_own() -> None:
    container = {"name": "c", "image": "a", "resources": {"limits": {"memory": "1Gi", "orchestr.dev/pids": 10}}}
    pod: Pod = made(objects.pod(containers=[container]))
    assert dict(pod.spec.containers[0].resources.requests) == {"memory": "1Gi"}


def test_plain_text_of_a_secret_becomes_base64() -> None:
    secret: Secret = made(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s"},
            "stringData": {"a": "b"},
            "data": {"c": "ZA=="},
        }
    )
    assert secret.content() == {"a": b"b", "c": b"d"}
    assert not secret.string_data


def test_services_get_both_families_and_a_target() -> None:
    service: Service = made(objects.service())
    assert service.spec.ip_families == ("IPv4", "IPv6")
    assert service.spec.ports[0].target_port == 80


def test_a_rolling_update_gets_its_quarters() -> None:
    deployment: Deployment = made(objects.deployment())
    assert deployment.spec.strategy.rolling_update is not None
    assert deployment.spec.strategy.rolling_update.max_surge == "25%"
    assert made(objects.deployment(strategy={"type": "Recreate"})).spec.strategy.rolling_update is None
