"""Stack -> objects."""

import json
from textwrap import dedent
from typing import Any

import pytest

from orchestr.api.apps import Deployment
from orchestr.api.batch import Job
from orchestr.api.core import ConfigMap, PersistentVolumeClaim, Service
from orchestr.manifest.compose import compile
from orchestr.manifest.compose.pod import literal
from orchestr.manifest.compose.ports import port_forms
from tests.compose.conftest import Loads

SHOP = """
    services:
      web:
        image: nginx
        restart: always
        ports: ["127.0.0.1:8080:80", "53:53/udp"]
        healthcheck: {test: curl localhost, interval: 5s, timeout: 500ms, start_period: 10s, retries: 2}
        depends_on:
          db: {condition: service_healthy, restart: true}
          migrate: {condition: service_completed_successfully}
        networks: {front: {aliases: [www]}, back: }
        user: "1000:1000"
        cap_add: [CAP_NET_ADMIN]
        configs: [{source: conf, target: /etc/a.conf, mode: 0440}]
      my_db:
        image: redis
        restart: unless-stopped
        container_name: the-db
        expose: ["6379"]
        volumes: [data:/data, /scratch, /etc/hosts:/h:ro]
        deploy: {resources: {limits: {cpus: "0.5", memory: 64m, pids: 20}, reservations: {memory: 32m}}}
        user: redis
        init: true
      db: {image: redis, restart: always, stop_signal: INT, stop_grace_period: 1m30s}
      migrate: {image: x, command: sh -c 'run "all"', restart: "on-failure:3"}
    networks: {front: , back: }
    volumes: {data: }
    configs: {conf: {content: "x=1"}}
    """


@pytest.fixture
def objects(loads: Loads) -> dict[str, Any]:
    return {obj.ref: obj for obj in compile(loads(SHOP.replace("back: }", "back: {}}")).stack)}


def test_one_workload_and_one_service_each(objects: dict[str, Any]) -> None:
    assert sorted(objects) == [
        "configmap/conf",
        "deployment/db",
        "deployment/my-db",
        "deployment/web",
        "job/migrate",
        "persistentvolumeclaim/data",
        "service/db",
        "service/migrate",
        "service/my-db",
        "service/web",
    ]
    assert all(obj.metadata.namespace == "shop" for obj in objects.values())


def test_ports_aliases_and_headless_services(objects: dict[str, Any]) -> None:
    web: Service = objects["service/web"]
    assert [(port.name, port.port, port.protocol) for port in web.spec.ports] == [
        ("tcp-80", 80, "TCP"),
        ("udp-53", 53, "UDP"),
    ]
    assert json.loads(web.metadata.annotations["orchestr.dev/publish"]) == [
        {"hostIP": "127.0.0.1", "hostPort": 8080, "port": 80, "protocol": "TCP"},
        {"hostIP": "", "hostPort": 53, "port": 53, "protocol": "UDP"},
    ]
    assert web.metadata.annotations["orchestr.dev/aliases"] == "www"
    assert objects["service/my-db"].metadata.annotations["orchestr.dev/aliases"] == "my_db,the-db"
    assert objects["service/db"].spec.headless


def test_the_pod_of_a_service(objects: dict[str, Any]) -> None:
    pod = objects["deployment/web"].spec.template
    container = pod.spec.containers[0]
    assert container.readiness_probe.exec.command == ("/bin/sh", "-c", "curl localhost")
    probe = container.readiness_probe
    assert (probe.period_seconds, probe.timeout_seconds, probe.failure_threshold) == (5, 1, 2)
    assert container.liveness_probe.initial_delay_seconds == 10
    assert container.security_context.run_as_user == 1000
    assert container.security_context.capabilities.add == ("NET_ADMIN",)
    assert pod.spec.termination_grace_period_seconds == 10
    assert pod.spec.volumes[0].config_map.items[0].mode == 0o440
    assert pod.metadata.annotations["orchestr.dev/networks"] == "front,back"
    assert json.loads(pod.metadata.annotations["orchestr.dev/depends-on"]) == [
        {"name": "deployment/db", "condition": "service_healthy", "required": True, "restart": True},
        {"name": "job/migrate", "condition": "service_completed_successfully", "required": True, "restart": False},
    ]


def test_resources_volumes_and_names_of_users(objects: dict[str, Any]) -> None:
    pod = objects["deployment/my-db"].spec.template
    resources = pod.spec.containers[0].resources
    assert resources.limits == {"cpu": "0.5", "memory": str(64 << 20), "orchestr.dev/pids": "20"}
    assert resources.requests == {"cpu": "0", "memory": str(32 << 20)}
    claim, scratch, bind = pod.spec.volumes
    assert claim.persistent_volume_claim.claim_name == "data"
    assert scratch.empty_dir is not None
    assert (bind.host_path.path, bind.host_path.type) == ("/etc/hosts", "")
    assert pod.spec.containers[0].volume_mounts[2].read_only
    assert pod.metadata.annotations["orchestr.dev/user"] == "redis"
    assert pod.metadata.annotations["orchestr.dev/init"] == "true"


def test_jobs(objects: dict[str, Any]) -> None:
    migrate: Job = objects["job/migrate"]
    assert migrate.spec.backoff_limit == 3
    assert migrate.spec.template.spec.restart_policy == "OnFailure"
    assert migrate.spec.template.spec.containers[0].args == ("sh", "-c", 'run "all"')


def test_stopping(objects: dict[str, Any]) -> None:
    pod = objects["deployment/db"].spec.template.spec
    assert pod.termination_grace_period_seconds == 90
    assert pod.containers[0].lifecycle.stop_signal == "SIGINT"


@pytest.mark.parametrize(
    ("more", "type", "surge", "unavailable"),
    [
        ("", "Recreate", None, None),
        ("healthcheck: {test: x}", "RollingUpdate", 1, 0),
        ("healthcheck: {test: x}, volumes: ['v:/v']", "Recreate", None, None),
        ("healthcheck: {test: x}, volumes: ['v:/v:ro']", "RollingUpdate", 1, 0),
        ("scale: 4", "RollingUpdate", 0, 1),
        ("scale: 4, deploy: {update_config: {parallelism: 2}}", "RollingUpdate", 0, 2),
        ("scale: 4, deploy: {update_config: {parallelism: 0}}", "Recreate", None, None),
        ("scale: 4, deploy: {update_config: {parallelism: 2, order: start-first}}", "RollingUpdate", 2, 0),
        ("deploy: {update_config: {parallelism: 0, order: start-first}}", "RollingUpdate", "100%", 0),
    ],
)
def test_how_a_new_version_replaces_the_old(loads: Loads, more: str, type: str, surge: Any, unavailable: Any) -> None:
    fields = f", {more}" if more else ""
    stack = loads(f"services: {{a: {{image: x, restart: always{fields}}}}}\nvolumes: {{v: {{}}}}").stack
    (workload,) = [obj for obj in compile(stack) if isinstance(obj, Deployment)]
    strategy = workload.spec.strategy
    assert strategy.type == type
    if strategy.rolling_update:
        assert (strategy.rolling_update.max_surge, strategy.rolling_update.max_unavailable) == (surge, unavailable)


def test_a_changed_content_changes_the_pods(loads: Loads) -> None:
    file = "services: {a: {image: x, restart: always, configs: [c]}}\nconfigs: {c: {content: one}}"
    first, second = (
        next(obj for obj in compile(loads(text).stack) if isinstance(obj, Deployment)).spec.template
        for text in (file, file.replace("one", "two"))
    )
    digest = "orchestr.dev/config-digest"
    assert first.metadata.annotations[digest] != second.metadata.annotations[digest]
    assert first.spec == second.spec


def test_binary_configs_survive(loads: Loads, tmp_path: Any) -> None:
    (tmp_path / "logo").write_bytes(b"\xff\x00\xfe")
    stack = loads("services: {a: {image: x, configs: [c]}}\nconfigs: {c: {file: logo}}").stack
    (config,) = [obj for obj in compile(stack) if isinstance(obj, ConfigMap)]
    assert config.content() == {"content": b"\xff\x00\xfe"}


def test_compile_is_pure(loads: Loads) -> None:
    stack = loads(dedent(SHOP).replace("back: }", "back: {}}")).stack
    assert compile(stack) == compile(type(stack).model_validate_json(stack.canonical()))


def test_claims_are_told_apart_from_what_is_owned(objects: dict[str, Any]) -> None:
    claim: PersistentVolumeClaim = objects["persistentvolumeclaim/data"]
    assert claim.metadata.owner_references == ()
    assert claim.metadata.labels == {"orchestr.dev/stack": "shop"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080:80", [(None, "8080", 80, "tcp")]),
        ("127.0.0.1:8080:80/udp", [("127.0.0.1", "8080", 80, "udp")]),
        ("[::1]:8080:80", [("::1", "8080", 80, "tcp")]),
        ("3000-3001:80-81", [(None, "3000", 80, "tcp"), (None, "3001", 81, "tcp")]),
        ("80", [(None, None, 80, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", None, 80, "tcp")]),
        ("3000-3005:80", [(None, "3000-3005", 80, "tcp")]),
    ],
)
def test_port_forms(text: str, expected: list[tuple[str | None, str | None, int, str]]) -> None:
    found = [(p.get("host_ip"), p.get("published"), p["target"], p["protocol"]) for p in port_forms(text)]
    assert found == expected


def test_kubernetes_does_not_expand_what_compose_left_alone() -> None:
    assert literal("$(A) $$ $B a$") == "$$(A) $$$ $B a$"
