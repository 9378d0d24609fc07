"""Keys about namespaces, limits, devices, logs and names, in the objects that a project compiles to."""

import json

import pytest

from orchestr.api.apps import Deployment
from orchestr.api.core import Service
from orchestr.manifest.compose import compile
from tests.compose.conftest import Loads

FILE = """
    services:
      web:
        image: a
        restart: always
        hostname: web.example.com
        extra_hosts: ["machine=host-gateway", "other:10.0.0.1"]
        ulimits: {nofile: {soft: 1, hard: 2}, memlock: -1}
        devices: ["/dev/fuse", "/dev/a:/dev/b"]
        group_add: [5, "6"]
        dns: 127.0.0.11
        dns_search: [example.com, .]
        dns_opt: ["ndots:2", rotate]
        security_opt: ["label:disable", "seccomp:unconfined", "apparmor=unconfined"]
        logging: {options: {max-size: 1m, max-file: 5}}
        links: ["db:store", "db"]
        ports: ["80", "8080:81"]
      db: {image: b, restart: always, network_mode: host, pid: host, ipc: host, userns_mode: host, ports: ["90:90"]}
    """


def test_what_they_become(loads: Loads) -> None:
    project = loads(FILE)
    assert not project.project.unsupported
    assert [problem.message for problem in project.project.warnings] == ["ports have no effect with network_mode host"]
    objects = {(obj.kind, obj.metadata.name): obj for obj in compile(project.stack)}
    web, db = objects["Deployment", "web"], objects["Deployment", "db"]
    assert isinstance(web, Deployment)
    assert isinstance(db, Deployment)
    pod, notes = web.spec.template.spec, web.spec.template.metadata.annotations
    assert notes["orchestr.dev/hostname"] == "web.example.com"
    assert notes["orchestr.dev/host-gateway"] == "machine"
    assert [(alias.ip, alias.hostnames) for alias in pod.host_aliases] == [("10.0.0.1", ("other",))]
    assert json.loads(notes["orchestr.dev/ulimits"]) == [
        {"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2},
        {"type": "RLIMIT_MEMLOCK", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]
    assert json.loads(notes["orchestr.dev/devices"]) == ["/dev/fuse", "/dev/a:/dev/b"]
    assert json.loads(notes["orchestr.dev/log"]) == {"maxBytes": 2**20, "maxFiles": 5}
    assert pod.security_context.supplemental_groups == (5, 6)
    assert pod.dns_config is not None
    assert pod.dns_config.searches == ("example.com",)
    assert [(option.name, option.value) for option in pod.dns_config.options] == [("ndots", "2"), ("rotate", None)]
    context = pod.containers[0].security_context
    assert context is not None
    assert context.seccomp_profile is not None
    assert context.seccomp_profile.type == "Unconfined"
    assert json.loads(notes["orchestr.dev/depends-on"]) == [
        {"name": "deployment/db", "condition": "service_started", "required": True, "restart": True}
    ]
    shared = db.spec.template.spec
    assert (shared.host_network, shared.host_pid, shared.host_ipc, shared.host_users) == (True, True, True, True)
    assert dict(objects["Service", "db"].metadata.annotations) == {"orchestr.dev/aliases": "store"}


def test_ports_that_the_machine_chooses_have_a_service_of_their_own(loads: Loads) -> None:
    objects = {obj.metadata.name: obj for obj in compile(loads(FILE).stack) if isinstance(obj, Service)}
    chosen = objects["web-published"]
    assert (chosen.spec.type, [port.port for port in chosen.spec.ports]) == ("NodePort", [80])
    assert chosen.spec.selector == objects["web"].spec.selector
    assert [port.port for port in objects["web"].spec.ports] == [81, 80]
    assert json.loads(objects["web"].metadata.annotations["orchestr.dev/publish"])[0]["hostPort"] == 8080


def test_an_alias_of_a_link_is_one_on_the_network_that_both_are_on(loads: Loads) -> None:
    services = loads("""
        services:
          web: {image: a, links: ["db:store"], networks: [front, back]}
          db: {image: b, networks: [back]}
        networks: {front: , back: }
        """).stack.spec.services
    assert services["db"].networks["back"].aliases == ("store",)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("network_mode: none", "network_mode none (use host, bridge or networks)"),
        ("network_mode: 'service:b'", "network_mode service:b (a pod shares no namespace"),
        ("ipc: 'service:b'", "ipc service:b (a pod shares no namespace"),
        ("cgroup: host", "cgroup host (use private)"),
        ("dns: 1.1.1.1", "dns 1.1.1.1 (the daemon asks the machine's own servers"),
        ("logging: {driver: syslog}", "logging driver syslog (logs are kept by the daemon"),
        ("logging: {options: {tag: x}}", "logging option tag"),
        ("devices: ['/dev/x:/dev/x:r']", "permissions r"),
        ("devices: ['vendor.com/gpu=all']", "device vendor.com/gpu=all"),
        ("group_add: [wheel]", "group wheel (write its number)"),
        ("security_opt: ['seccomp:./x.json']", "security_opt seccomp:./x.json"),
        ("ports: ['3000-3005:80']", "a port chosen from 3000-3005"),
        ("ports: ['127.0.0.1::80']", "a port chosen by the machine on 127.0.0.1 alone"),
    ],
)
def test_what_is_not_done_says_why(key: str, said: str, loads: Loads) -> None:
    (problem,) = loads(f"services: {{a: {{image: x, {key}}}, b: {{image: y}}}}").project.unsupported
    assert f"not supported: {said}" in str(problem)
