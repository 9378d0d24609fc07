"""The Python client `kubernetes`: typed and dynamic, watches, streams, patches, elections, and inside of a pod."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes", reason="no kubernetes (pip install kubernetes)")

from kubernetes import client, dynamic, utils, watch
from kubernetes.config import new_client_from_config
from kubernetes.stream import portforward, stream

from e2e.checks import eventually
from e2e.conftest import Host
from e2e.daemon import Answer, Daemon

# The library leaves its pools and sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

SERVER = ["sh", "-c", "echo hello; exec python3 -u -m http.server 8000"]
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "d"}},
        "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "local/host"}]},
        },
    },
}


@pytest.fixture
def api(config: Path) -> Iterator[client.ApiClient]:
    with new_client_from_config(str(config)) as made:
        yield made


def pod(name: str, command: list[str], **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "local/host", "command": command, **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], **spec},
    }


def started(core: client.CoreV1Api, space: str, name: str, *phases: str) -> Any:
    """Watches until the pod is in one of the phases."""
    watched = watch.Watch()
    found = None
    for event in watched.stream(core.list_namespaced_pod, space, field_selector=f"metadata.name={name}"):
        found = event["object"]
        if found.status.phase in (phases or ("Running",)):
            watched.stop()
    return found


def test_a_pod_by_the_typed_client(api: client.ApiClient, space: str) -> None:
    """Created, watched, read, its log followed, commands in it, its port, and its end told by a watch."""
    core = client.CoreV1Api(api)
    spec = client.V1PodSpec(
        termination_grace_period_seconds=0,
        containers=[client.V1Container(name="c", image="local/host", command=SERVER)],
    )
    made = core.create_namespaced_pod(space, client.V1Pod(metadata=client.V1ObjectMeta(name="a"), spec=spec))
    assert made.metadata.uid
    assert started(core, space, "a").status.pod_ip
    lines = watch.Watch().stream(core.read_namespaced_pod_log, "a", space)
    assert next(lines) == "hello"

    connect = core.connect_get_namespaced_pod_exec
    words = ["sh", "-c", "echo out; echo err >&2"]
    assert sorted(
        stream(connect, "a", space, command=words, stdout=True, stderr=True, stdin=False, tty=False).split()
    ) == [
        "err",
        "out",
    ]
    shell = stream(
        connect, "a", space, command=["sh"], stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False
    )
    shell.write_stdin("echo $((6 * 7)); exit 4\n")
    shell.run_forever(timeout=30)
    assert (shell.read_stdout(), shell.returncode) == ("42\n", 4)

    def answer() -> bytes:
        forward = portforward(core.connect_get_namespaced_pod_portforward, "a", space, ports="8000")
        sock = forward.socket(8000)
        sock.setblocking(True)
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: sock.recv(65536), b""))

    assert eventually(answer).startswith(b"HTTP/1.0 200 OK")
    core.delete_namespaced_pod("a", space)
    events = watch.Watch().stream(core.list_namespaced_pod, space, resource_version=made.metadata.resource_version)
    assert next(event for event in events if event["type"] == "DELETED")["object"].metadata.name == "a"
    with pytest.raises(client.ApiException) as caught:
        core.read_namespaced_pod("a", space)
    assert (caught.value.status, caught.value.reason) == (404, "Not Found")
    assert json.loads(caught.value.body)["reason"] == "NotFound"


@pytest.mark.parametrize(
    ("content", "patch"),
    [
        ("application/json-patch+json", [{"op": "add", "path": "/data/new", "value": "1"}]),
        ("application/merge-patch+json", {"data": {"new": "1"}}),
        ("application/strategic-merge-patch+json", {"data": {"new": "1"}}),
        ("application/apply-patch+yaml", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"new": "1"}}),
    ],
)
def test_patches_of_every_type(api: client.ApiClient, space: str, content: str, patch: Any) -> None:
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map(space, {"metadata": {"name": "a"}, "data": {"old": "1"}})
    options = {"field_manager": "tests"} if "apply" in content else {}
    after = core.patch_namespaced_config_map("a", space, patch, _content_type=content, **options)
    assert after.data == {"old": "1", "new": "1"}
    assert core.patch_namespaced_config_map("a", space, {"data": {"old": None}}).data == {"new": "1"}  # the default one


def test_the_dynamic_client(api: client.ApiClient, space: str) -> None:
    """Kinds found by discovery; server-side apply with its conflict; a watch; the scale of a workload."""
    found = dynamic.DynamicClient(api)
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    deployments.server_side_apply(body=DEPLOYMENT, namespace=space, field_manager="one")
    more = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "replicas": 2}}
    with pytest.raises(dynamic.exceptions.ConflictError, match="one"):
        deployments.server_side_apply(body=more, namespace=space, field_manager="two")
    deployments.server_side_apply(body=more, namespace=space, field_manager="two", force_conflicts=True)
    for event in deployments.watch(namespace=space, name="d"):
        if (event["object"].status.readyReplicas or 0) == 2:
            break
    apps = client.AppsV1Api(api)
    assert apps.read_namespaced_deployment_scale("d", space).spec.replicas == 2
    apps.patch_namespaced_deployment_scale("d", space, {"spec": {"replicas": 0}})
    assert deployments.get(name="d", namespace=space).spec.replicas == 0
    listed = found.resources.get(api_version="v1", kind="Pod").get(namespace=space, label_selector="app=d")
    assert listed.kind == "PodList"


def test_files_of_objects(api: client.ApiClient, space: str, tmp_path: Path) -> None:
    """utils.create_from_yaml, and its complaint where one is there already."""
    file = tmp_path / "objects.yaml"
    file.write_text(
        "kind: List\napiVersion: v1\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"
        "- {apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, "
        "containers: [{name: c, image: local/host, command: ['true']}]}}}}\n"
    )
    utils.create_from_yaml(api, str(file), namespace=space)
    jobs = client.BatchV1Api(api)
    eventually(lambda: jobs.read_namespaced_job("j", space).status.succeeded == 1)
    with pytest.raises(utils.FailToCreateError, match=r"Error from server \(Conflict\)"):
        utils.create_from_yaml(api, str(file), namespace=space)


ELECT = """
import sys
from kubernetes import config
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
config.load_kube_config(sys.argv[1])
def leads():
    print("leads", flush=True)
lock = LeaseLock("leader", sys.argv[2], sys.argv[3])
leaderelection.LeaderElection(electionconfig.Config(lock, 4, 3, 1.1, leads, lambda: None)).run()
"""


def test_one_leads_until_it_ends(api: client.ApiClient, config: Path, space: str) -> None:
    """Leader election by a Lease: the second waits while the first renews it, and takes it over when that has died."""
    leases = client.CoordinationV1Api(api)

    def holder() -> str:
        return str(leases.read_namespaced_lease("leader", space).spec.holder_identity)

    def elected(name: str) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-c", ELECT, str(config), space, name]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    with elected("first") as first:
        try:
            assert first.stdout is not None
            assert first.stdout.readline() == b"leads\n"
            with elected("second") as second:
                try:
                    begun = leases.read_namespaced_lease("leader", space).spec.renew_time
                    eventually(lambda: leases.read_namespaced_lease("leader", space).spec.renew_time > begun)
                    assert holder() == "first"
                    first.kill()
                    assert second.stdout is not None
                    assert second.stdout.readline() == b"leads\n"
                    assert holder() == "second"
                finally:
                    second.kill()
        finally:
            first.kill()


INSIDE = """
from kubernetes import client, config
config.load_incluster_config()
core = client.CoreV1Api()
space = open("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()
print("sees", [each.metadata.name for each in core.list_namespaced_config_map(space, label_selector="mine").items])
try:
    core.list_namespaced_secret(space)
except client.ApiException as error:
    print("may not", error.status, error.reason)
"""


def test_inside_of_a_pod(api: client.ApiClient, space: str) -> None:
    """load_incluster_config with the projected token: what a Role grants is there, the rest is forbidden."""
    core, rbac = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    core.create_namespaced_config_map(space, {"metadata": {"name": "a", "labels": {"mine": "yes"}}})
    core.create_namespaced_service_account(space, {"metadata": {"name": "reader"}})
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    rbac.create_namespaced_role(space, {"metadata": {"name": "reader"}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    subjects = [{"kind": "ServiceAccount", "name": "reader", "namespace": space}]
    rbac.create_namespaced_role_binding(space, {"metadata": {"name": "reader"}, "roleRef": role, "subjects": subjects})
    # This very Python and its libraries, where they lie here: the image is the machine's /usr alone.
    places = {place for place in (sys.base_prefix, sys.prefix) if not place.startswith("/usr")}
    volumes = [{"name": f"v{n}", "hostPath": {"path": place}} for n, place in enumerate(sorted(places))]
    mounts = [{"name": each["name"], "mountPath": each["hostPath"]["path"], "readOnly": True} for each in volumes]
    body = pod("p", [sys.executable, "-c", INSIDE], serviceAccountName="reader", restartPolicy="Never",
               volumes=volumes, container={"volumeMounts": mounts})  # fmt: skip
    core.create_namespaced_pod(space, body)
    ended = started(core, space, "p", "Succeeded", "Failed")
    assert core.read_namespaced_pod_log("p", space) == "sees ['a']\nmay not 403 Forbidden\n"
    assert ended.status.phase == "Succeeded"


def test_a_watch_from_too_long_ago(host: Host, daemon: Daemon, tmp_path: Path) -> None:
    """410 Gone, upon which a client lists anew and goes on from there, on a daemon that was started again meanwhile."""
    (tmp_path / "config").write_text(daemon.orch("kubeconfig").expect().out)
    with new_client_from_config(str(tmp_path / "config")) as api:
        core = client.CoreV1Api(api)
        old = core.list_namespaced_config_map("default").metadata.resource_version
        changes(daemon, 600)
        daemon.kill_daemon()
        daemon.start()
        events = watch.Watch()
        with pytest.raises(client.ApiException) as caught:
            next(events.stream(core.list_namespaced_config_map, "default", resource_version=old, timeout_seconds=30))
        assert caught.value.status == 410
        listed = core.list_namespaced_config_map("default")
        changes(daemon, 1)
        since = listed.metadata.resource_version
        event = next(events.stream(core.list_namespaced_config_map, "default", resource_version=since))
        assert (event["type"], event["object"].metadata.name) == ("MODIFIED", "busy")


def changes(daemon: Daemon, count: int) -> None:
    connection: http.client.HTTPConnection = Answer(f"{daemon.run}/orch.sock")
    place = "/api/v1/namespaces/default/configmaps/busy?fieldManager=tests&force=true"
    for number in range(count):
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "busy"},
            "data": {"n": f"{count}.{number}"},
        }
        connection.request("PATCH", place, json.dumps(body), {"content-type": "application/apply-patch+yaml"})
        assert connection.getresponse().read()
    connection.close()
