"""Images from and to Debian's registry: pushed, pulled, run; with TLS and logins; by policy; as others see them."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import eventually
from e2e.project import Project
from e2e.registry.conftest import PASSWORD, USER, Running
from tests.images.hostile import digest
from tests.images.tars import Entry, archive, folder, layer, oci_files, pack, zstd

PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": pack, "zstd": zstd, "plain": bytes}
BUSYBOX = Path("/bin/busybox")
CONFIG = {"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo it is $SAY; exec sleep 1000"], "Env": ["SAY=one", "PATH=/bin"]}


def image(name: str, say: str = "one", packed: Callable[[bytes], bytes] = pack) -> bytes:
    programs = [Entry(f"bin/{word}", BUSYBOX.read_bytes(), mode=0o755) for word in ("sh", "sleep")]
    base = layer([*programs, folder("tmp", 0o1777)])
    config = {**CONFIG, "Env": [f"SAY={say}", "PATH=/bin"]}
    return archive(oci_files([base, layer([Entry("etc/says", say.encode())])], config, name=name, packed=packed))


def load(project: Project, data: bytes) -> None:
    (project.folder / "image.tar").write_bytes(data)
    project.orch("image", "load", "image.tar").expect()


def pushed(
    project: Project, name: str, say: str = "one", packed: Callable[[bytes], bytes] = pack, **options: object
) -> str:
    """Loaded, pushed, and forgotten here; the digest."""
    load(project, image(name, say, packed))
    said = project.orch("image", "push", name).expect().out
    project.orch("image", "remove", name).expect()
    return said.split()[-1]


def service(name: str, more: str = "") -> str:
    return f"services: {{box: {{image: '{name}', restart: always, stop_grace_period: 0s{more}}}}}\n"


@pytest.mark.parametrize("form", ["gzip", "zstd", "plain"])
def test_what_was_pushed_is_pulled_and_runs(project: Project, plain: Running, form: str) -> None:
    """apply brings the image by itself; its layers in every compression; the digest is the one that push said."""
    name = f"{plain.host}/team/{project.name}:1"
    made = pushed(project, name, "one", PACKED[form])
    assert made.startswith("sha256:")
    project.apply(service(name))
    assert project.logged("it is one", "box")
    assert project.orch("image", "inspect", name).json()["digest"] == made
    eventually(lambda: "pulled image" in project.orch("events", "-n", project.name).out, what="the event")


def test_pull_says_what_it_does(project: Project, plain: Running) -> None:
    """Twice: the second finds all there. A tag of the same image is a name more, not a download more."""
    name = f"{plain.host}/{project.name}:1"
    made = pushed(project, name)
    for _ in range(2):
        assert project.orch("image", "pull", name).expect().out == f"{name} {made}\n"
    before = plain.log.read_text().count("/blobs/")
    assert project.orch("image", "pull", "--quiet", f"{plain.host}/{project.name}@{made}").expect().out == f"{made}\n"
    assert plain.log.read_text().count("/blobs/") == before


def test_what_is_not_there_is_told_at_once(project: Project, plain: Running) -> None:
    """Exit 1 with the registry's words; apply does not wait for its time-out."""
    name = f"{plain.host}/no/such:1"
    told = project.orch("image", "pull", name).expect(1).err
    assert "cannot find no/such:1" in told
    assert "unknown" in told
    failed = project.apply(service(name), code=1)
    assert "cannot find no/such:1" in failed.err + failed.out


def test_nobody_there_is_told_at_once_and_asked_again(project: Project) -> None:
    """A registry that cannot be reached may come back; apply says what is wrong, and which images are here."""
    failed = project.apply(service("127.0.0.1:9/app:1"), code=1)
    assert "cannot reach 127.0.0.1:9" in failed.err
    assert "here are local/host:latest" in failed.err
    assert "next try in" in json.dumps(project.pod()["status"])


def test_policies(project: Project, plain: Running) -> None:
    """always looks for a newer one at each start, missing does not, never only takes what is here."""
    name = f"{plain.host}/{project.name}/moving:1"
    pushed(project, name, "one")
    project.apply(service(name))
    project.logged("it is one", "box")
    load(project, image(name, "two"))
    project.orch("image", "push", name).expect()
    project.orch("image", "pull", f"{plain.host}/{project.name}/moving:1").expect()
    project.apply(service(name, ", pull_policy: never, environment: {A: '1'}"))
    project.logged("it is two", "box")
    failed = project.apply(service(f"{plain.host}/elsewhere:1", ", pull_policy: never"), code=1)
    assert "cannot find image" in failed.err + failed.out


def test_with_tls_and_a_login(project: Project, closed: Running, tmp_path: Path) -> None:
    """Refused without the authority, without a login and with a wrong one; after orch login it works; a pod gets in
    with an image pull secret; logout ends it."""
    registries = tmp_path / "registries.yaml"
    home = {"DOCKER_CONFIG": str(tmp_path / "docker"), "ORCH_REGISTRIES": str(registries)}
    name = f"{closed.host}/private/{project.name}:1"
    load(project, image(name))
    untrusted = project.orch("image", "push", name, env=home).expect(1).err
    assert "certificate verify failed" in untrusted
    trusting = f"registries: {{'{closed.host}': {{server: 'https://{closed.host}', ca: {closed.ca}}}}}\n"
    registries.write_text(trusting)
    settings = project.daemon.registries
    before = settings.read_text()
    settings.write_text(trusting)
    try:
        assert "orch login" in project.orch("image", "push", name, env=home).expect(1).err
        words = ("login", closed.host, "-u", USER, "--password-stdin")
        assert project.orch(*words, input="wrong\n", env=home).expect(1).err
        project.orch(*words, input=f"{PASSWORD}\n", env=home).expect()
        made = project.orch("image", "push", name, env=home).expect().out.split()[-1]
        project.orch("image", "remove", name).expect()
        assert project.orch("image", "pull", name, env=home).expect().out.split()[-1] == made
        project.orch("image", "remove", name).expect()
        assert project.orch("image", "pull", name).expect(1).err  # another user's login is not the daemon's
        secret = {"auths": {closed.host: {"username": USER, "password": PASSWORD}}}
        project.objects(f"""
            apiVersion: v1
            kind: Secret
            metadata: {{name: registry}}
            type: kubernetes.io/dockerconfigjson
            stringData: {{.dockerconfigjson: '{json.dumps(secret)}'}}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {{name: private}}
            spec:
              imagePullSecrets: [{{name: registry}}]
              terminationGracePeriodSeconds: 0
              containers: [{{name: main, image: '{name}'}}]
        """)
        project.orch("logout", closed.host, env=home).expect()
        project.orch("delete", "pod", "private", "-n", project.name).expect()
        project.orch("image", "remove", name).expect()
        assert project.orch("image", "pull", name, env=home).expect(1).err
    finally:
        settings.write_text(before)


def test_a_mirror_is_asked_first(project: Project, plain: Running) -> None:
    """Short names lead to the default registry, that to its mirrors; the image keeps the name that the file has."""
    name = f"{plain.host}/library/short{project.name}:1"
    pushed(project, name)
    settings = project.daemon.registries
    before = settings.read_text()
    settings.write_text(
        f"registries: {{docker.io: {{server: 'http://127.0.0.1:9', mirrors: ['http://{plain.host}']}}}}\n"
    )
    try:
        project.apply(service(f"short{project.name}:1"))
        project.logged("it is one", "box")
        assert f"short{project.name}:1" in project.orch("image", "list").expect().out
        for spelling in (f"docker.io/short{project.name}:1", f"library/short{project.name}:1"):
            project.orch("image", "inspect", spelling).expect()
    finally:
        settings.write_text(before)


def test_others_see_the_same_image(project: Project, plain: Running, tmp_path: Path) -> None:
    """skopeo copies what we pushed, and we pull what it pushed: digests equal both ways."""
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("no skopeo (install Debian's package of that name)")
    name = f"{plain.host}/{project.name}/ours:1"
    made = pushed(project, name)
    words = [skopeo, "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]
    subprocess.run([*words, f"docker://{name}", f"dir:{tmp_path / 'copy'}"], check=True)
    assert digest((tmp_path / "copy/manifest.json").read_bytes()) == made
    theirs = f"{plain.host}/{project.name}/theirs:1"
    subprocess.run([*words, f"dir:{tmp_path / 'copy'}", f"docker://{theirs}"], check=True)
    assert project.orch("image", "pull", theirs).expect().out.split()[-1] == made


def test_a_pod_that_waits_for_a_registry_can_be_deleted(project: Project) -> None:
    project.objects("""
        apiVersion: v1
        kind: Pod
        metadata: {name: waiting}
        spec: {containers: [{name: main, image: '127.0.0.1:9/app:1'}]}
    """, "--detach")  # fmt: skip
    eventually(lambda: "RegistryUnavailable" in json.dumps(project.get("pod", "waiting")))
    project.orch("delete", "pod", "waiting", "-n", project.name, "--timeout", "10s").expect()
