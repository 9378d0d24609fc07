"""Bundles: objects and their images in one file, applied by a daemon that can reach no registry."""

import json
import tarfile
from pathlib import Path

from e2e.daemon import Daemon
from e2e.project import Project
from e2e.test_images import CONFIG, base, load, top
from tests.images.tars import archive, oci_files

STACK = """
    services:
      box:
        image: NAME/app:1
        restart: always
        stop_grace_period: 0s
        pull_policy: always
        configs: [motto]
      own: {image: local/host, command: ["true"], restart: "no"}
    configs: {motto: {content: onward}}
"""


def bundled(project: Project) -> Path:
    load(project, archive(oci_files([base(), top()], CONFIG, name="app:1")), "--name", f"{project.name}/app:1")
    project.write(STACK)
    done = project.orch("bundle", "create", "-o", "app.tar").expect()
    assert "1 images" in done.out
    return project.folder / "app.tar"


def bent(path: Path, name: str) -> Path:
    """With one byte of a member changed."""
    with tarfile.open(path) as tar:
        member = max((each for each in tar if each.name.startswith(name)), key=lambda each: each.size)
    data = bytearray(path.read_bytes())
    data[member.offset_data + member.size // 2] ^= 1
    made = path.with_name(f"bent-{name.strip('/')}")
    made.write_bytes(data)
    return made


def nothing(daemon: Daemon, name: str) -> bool:
    images = daemon.orch("image", "list", "-o", "json").json()["items"]
    there = any(name in each for image in images for each in image["names"])
    return not there and daemon.request("GET", f"/api/v1/namespaces/{name}")[0] == 404


def test_a_bundle_is_all_that_another_daemon_needs(project: Project, daemon: Daemon) -> None:
    path = bundled(project)
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        assert {"oci-layout", "index.json", "bundle.json"} <= set(tar.getnames())
        source = tar.extractfile("bundle.json")
        assert source is not None
        assert set(json.load(source)["images"]) == {f"{project.name}/app:1"}
    cut = path.with_name("cut.tar")
    cut.write_bytes(path.read_bytes()[:-20_000])
    for broken, why in (
        (cut, "no bundle, or not whole"),
        (bent(path, "bundle.json"), "cannot use bundle"),
        (bent(path, "index.json"), ""),
        (bent(path, "blobs/"), "its content is sha256:"),
    ):
        failed = daemon.orch("apply", "--bundle", str(broken), timeout=120)
        assert failed.code in (1, 2), failed.err
        assert why in failed.err
        assert nothing(daemon, project.name), broken
    done = daemon.orch("apply", "--bundle", str(path), "--timeout", "60s").expect()
    assert "stack/" in done.out
    words = ("exec", "-n", project.name, "box", "--", "cat", "/motto", "/data/file")
    assert daemon.orch(*words).expect().out == "onwardupper"
    daemon.orch("apply", "--bundle", str(path), "--timeout", "60s").expect()
    assert "goes with no -f" in daemon.orch("apply", "--bundle", str(path), "-n", "x").expect(2).err
