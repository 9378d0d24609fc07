"""Client libraries and our own commands over https, each test in a namespace of its own."""

import base64
import gc
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.clients.foreign import Foreign, foreign
from e2e.conftest import evidence, failed
from e2e.daemon import Daemon


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a library left to the garbage collector goes within the test that allows it, not at the end of the run."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def config(shared: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The administrator's kubeconfig."""
    file = tmp_path_factory.mktemp("clients") / "kubeconfig"
    file.write_text(shared.orch("kubeconfig").expect().out)
    file.chmod(0o600)
    return file


@pytest.fixture
def space(shared: Daemon, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace, deleted at the end without waiting for its pods' grace."""
    name = f"c{uuid.uuid4().hex[:6]}"
    status, answer = shared.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert status == 201, answer
    yield name
    if failed(request):
        evidence(request, shared, name)
    shared.remove_namespace(name)


@pytest.fixture(scope="module")
def token(shared: Daemon) -> str:
    """Of a ServiceAccount that may do everything, as a service of a real cluster has it."""
    account = {"metadata": {"name": "all", "namespace": "default"}}
    binding = {
        "metadata": {"name": "all"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "all", "namespace": "default"}],
    }
    assert shared.request("POST", "/api/v1/namespaces/default/serviceaccounts", account)[0] == 201
    assert shared.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)[0] == 201
    body = {"spec": {"expirationSeconds": 3600}}
    path = "/api/v1/namespaces/default/serviceaccounts/all/token"
    status, answer = shared.request("POST", path, body)
    assert status == 201, answer
    return str(yaml.safe_load(answer)["status"]["token"])


@pytest.fixture(scope="module")
def elsewhere(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """A server that has Kubernetes' paths and none of ours."""
    cluster = yaml.safe_load(config.read_text())["clusters"][0]["cluster"]
    host, port = cluster["server"].removeprefix("https://").rsplit(":", 1)
    up = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with foreign((host, int(port)), up, tmp_path_factory.mktemp("foreign")) as served:
        yield served


Written = Callable[..., Path]


@pytest.fixture
def written(elsewhere: Foreign, tmp_path: Path) -> Written:
    """Writes a kubeconfig for that server: the user, further fields of the cluster and of the context."""

    def write(user: dict[str, Any], cluster: dict[str, Any] | None = None, **context: Any) -> Path:
        trust = {"certificate-authority-data": base64.b64encode(elsewhere.ca.encode()).decode()}
        data = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "c", "cluster": {"server": elsewhere.server, **(trust if cluster is None else cluster)}}
            ],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "there", "context": {"cluster": "c", "user": "u", **context}}],
            "current-context": "there",
        }
        file = tmp_path / f"{uuid.uuid4().hex}.yaml"
        file.write_text(yaml.safe_dump(data))
        return file

    return write
