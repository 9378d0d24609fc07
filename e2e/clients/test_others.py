"""Other Python clients: lightkube (httpx, dataclasses) and kr8s (its own ORM), each through what its users do first."""

import contextlib
from pathlib import Path

import pytest

from e2e.clients.test_kubernetes import DEPLOYMENT

# Both leave sockets to the garbage collector; kr8s warns of versions that are newer than itself.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::UserWarning",
    "ignore::DeprecationWarning",
)  # fmt: skip


def test_lightkube(config: Path, space: str) -> None:
    """apply, get, list in pieces, watch, patch, wait, scale, errors, deletecollection, a custom kind."""
    lightkube = pytest.importorskip("lightkube", reason="no lightkube (pip install lightkube)")
    from lightkube import ApiError, codecs
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.apps_v1 import Deployment
    from lightkube.resources.core_v1 import ConfigMap, Pod
    from lightkube.types import PatchType

    kubeconfig = lightkube.KubeConfig.from_file(str(config))
    made = lightkube.Client(config=kubeconfig, namespace=space, field_manager="tests")
    for name, data in (("a", {"x": "1"}), ("a", {"y": "1"}), ("b", {})):
        made.apply(ConfigMap(metadata=ObjectMeta(name=name, namespace=space), data=data))
    assert made.get(ConfigMap, "a").data == {"y": "1"}
    assert {each.metadata.name for each in made.list(ConfigMap, chunk_size=1)} >= {"a", "b"}
    assert made.patch(ConfigMap, "a", {"data": {"z": "2"}}, patch_type=PatchType.MERGE).data == {"y": "1", "z": "2"}
    kind, obj = next(iter(made.watch(ConfigMap, fields={"metadata.name": "b"})))
    assert (kind, obj.metadata.name) == ("ADDED", "b")
    made.create(codecs.from_dict({**DEPLOYMENT, "metadata": {"name": "d", "namespace": space}}))
    made.wait(Deployment, "d", for_conditions=["Available"])
    scale = made.get(Deployment.Scale, "d")
    scale.spec.replicas = 0
    assert made.replace(scale).spec.replicas == 0
    with pytest.raises(ApiError, match="not found") as caught:
        made.get(Pod, "none")
    assert (caught.value.status.code, caught.value.status.reason) == (404, "NotFound")
    made.deletecollection(ConfigMap)
    assert {each.metadata.name for each in made.list(ConfigMap)} <= {"kube-root-ca.crt"}


def test_kr8s(config: Path, space: str) -> None:
    """A pod's life, its log and a command in it; a workload scaled, labelled, patched and reached by a port."""
    kr8s = pytest.importorskip("kr8s", reason="no kr8s (pip install kr8s)")
    import httpx
    from kr8s.objects import Deployment, Pod

    api = kr8s.api(kubeconfig=str(config), namespace=space)
    pod = Pod.gen(name="a", image="local/host", command=["sh", "-c", "echo hi; exec sleep 1000"])
    pod.namespace = space
    pod.raw["spec"]["terminationGracePeriodSeconds"] = 0
    pod.create()
    pod.wait("condition=Ready", timeout=60)
    assert list(pod.logs()) == ["hi"]
    assert pod.exec(["echo", "out"]).stdout == b"out\n"
    spec = {**DEPLOYMENT["spec"]["template"]["spec"]}
    spec["containers"] = [{**spec["containers"][0], "command": ["python3", "-m", "http.server", "8000"],
                           "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1}}]  # fmt: skip
    template = {**DEPLOYMENT["spec"]["template"], "spec": spec}
    whole = {**DEPLOYMENT, "metadata": {"name": "d", "namespace": space}}
    deployment = Deployment({**whole, "spec": {**DEPLOYMENT["spec"], "template": template}})
    deployment.create()
    deployment.wait("condition=Available", timeout=60)
    deployment.label({"one": "1"})
    deployment.patch([{"op": "add", "path": "/metadata/labels/two", "value": "2"}], type="json")
    assert deployment.labels == {"one": "1", "two": "2"}
    with deployment.pods()[0].portforward(8000) as port:
        assert httpx.get(f"http://127.0.0.1:{port}", timeout=30).status_code == 200
    deployment.scale(0)
    assert deployment.replicas == 0
    kind, obj = next(iter(kr8s.watch("pods", namespace=space, field_selector="metadata.name=a", api=api)))
    assert (kind, obj.name) == ("ADDED", "a")
    with contextlib.suppress(kr8s.NotFoundError):
        pod.delete()
