"""What `helm create` writes installs unchanged and gets ready; an image of that name is loaded before."""

import shutil
from pathlib import Path

import pytest

from e2e.daemon import Daemon
from e2e.helm.conftest import PATIENCE, SHOP, Helm
from tests.images.tars import Entry, archive, folder, layer, link, oci_files

APPLETS = ("sh", "httpd", "wget", "cat", "sleep")


def boxed(name: str, command: list[str]) -> bytes:
    """An archive of an image of busybox alone."""
    binary = shutil.which("busybox")
    if binary is None:
        pytest.skip("no busybox (install busybox-static)")
    files = [
        folder("www"), folder("tmp", 0o1777), Entry("bin/busybox", Path(binary).read_bytes(), mode=0o755),
        *(link(f"bin/{applet}", "busybox") for applet in APPLETS), Entry("www/index.html", b"it works"),
    ]  # fmt: skip
    return archive(
        oci_files([layer(files)], {"Cmd": command, "Env": ["PATH=/bin"], "StopSignal": "SIGKILL"}, name=name)
    )


@pytest.fixture
def images(shared: Daemon, tmp_path: Path) -> None:
    for name, command in (("nginx:1.16.0", ["httpd", "-f", "-p", "80", "-h", "/www"]), ("busybox:latest", ["sh"])):
        (tmp_path / "image.tar").write_bytes(boxed(name, command))
        shared.orch("image", "load", str(tmp_path / "image.tar")).expect()


def test_a_new_chart_installs_unchanged(helm: Helm, images: None) -> None:
    """The chart's own test asks the web server by the Service's name."""
    helm.ok("create", "web")
    out = helm.ok("upgrade", "--install", "web", "./web", "--create-namespace", "--wait", PATIENCE)
    assert "Get the application URL" in out
    assert "Phase:          Succeeded" in helm.ok("test", "web", PATIENCE)
    assert "serviceaccount/web" in helm.found("sa")
    helm.ok("upgrade", "web", "./web", "--set", "replicaCount=2,podAnnotations.rolled=yes", "--wait", PATIENCE)
    assert helm.kubectl("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}") == "2"
    helm.ok("uninstall", "web", "--wait", PATIENCE)
    assert helm.found("deploy,svc,sa", "-l", "app.kubernetes.io/instance=web") == []


def test_the_image_of_the_machine_by_values(helm: Helm) -> None:
    helm.ok("create", "web")
    (helm.home / "mine.yaml").write_text("""
        image: {repository: local/host, tag: latest}
        livenessProbe: {httpGet: null, exec: {command: ["true"]}}
        readinessProbe: {httpGet: null, exec: {command: ["true"]}, periodSeconds: 1}
    """)
    helm.ok("install", "web", "./web", "-f", "mine.yaml", "--create-namespace", "--wait", PATIENCE)
    assert helm.kubectl("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}") == "1"


def test_a_chart_by_kubectl(helm: Helm) -> None:
    """Templates without helm: rendered here, applied there; a second time changes nothing."""
    helm.kubectl("create", "namespace", helm.namespace)
    words = ("template", "s", SHOP, "--set", "hooks=false", "--include-crds", "--skip-tests")
    crds = helm.ok("show", "crds", SHOP)
    helm.kubectl("apply", "-f", "-", input=crds)
    helm.kubectl("wait", "--for=condition=Established", "crd/widgets.shop.example.com")
    rendered = helm.ok(*words)
    helm.kubectl("apply", "-f", "-", input=rendered)
    helm.kubectl("rollout", "status", "deploy/s", "--timeout=60s")
    # A password is drawn at each rendering where nothing can be looked up, so the same text is applied.
    again = helm.kubectl("apply", "-f", "-", input=rendered).splitlines()
    # kubectl itself never finds claim templates unchanged: their list is sent as one, without what was defaulted.
    assert {line.split()[-1] for line in again if not line.startswith("statefulset")} == {"unchanged"}


def test_a_dry_run_on_the_server_changes_nothing(helm: Helm) -> None:
    """`--dry-run=server` looks up what is there, and leaves it so."""
    helm.ok("install", "s", SHOP, "--create-namespace", "--set", "hooks=false", "--wait", PATIENCE)
    secret = helm.kubectl("get", "secret", "s-password", "-o", "jsonpath={.data.password}")
    before = helm.kubectl("get", "deploy,cm,svc", "-o", "jsonpath={.items[*].metadata.resourceVersion}")
    out = helm.ok("upgrade", "s", SHOP, "--set", "hooks=false,greeting=dry", "--dry-run=server", "--hide-notes")
    assert f"password: {secret}" in out
    assert 'GREETING: "dry"' in out
    assert helm.kubectl("get", "deploy,cm,svc", "-o", "jsonpath={.items[*].metadata.resourceVersion}") == before
    assert helm.history("s") == [(1, "deployed")]
