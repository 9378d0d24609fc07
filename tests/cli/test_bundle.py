"""The form of a bundle: what it names, and what is found wrong with one before anything is done."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from orchestr.cli import bundled
from orchestr.cli.errors import Bad

ITEMS: list[dict[str, Any]] = [
    {"kind": "Stack", "spec": {"services": {"a": {"image": "redis"}, "own": {"image": "local/host"}}}},
    {"kind": "Deployment", "spec": {"template": {"spec": {
        "initContainers": [{"image": "x.org/init:2"}], "containers": [{"image": "redis:latest"}, {"image": "b:1"}],
    }}}},
    {"kind": "ConfigMap", "data": {"containers": "image"}},
]  # fmt: skip
NAMES = ["redis:latest", "x.org/init:2", "b:1"]


def layout(path: Path, digests: dict[str, str]) -> Path:
    manifests = [{"digest": digest, "annotations": {bundled.REF_NAME: name}} for name, digest in digests.items()]
    text = json.dumps({"manifests": manifests}).encode()
    with tarfile.open(path, "w:") as tar:
        info = tarfile.TarInfo("index.json")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))
    return path


def made(path: Path) -> Path:
    bundled.close(str(layout(path, {name: f"sha256:{n}" for n, name in enumerate(NAMES)})), ITEMS, NAMES)
    return path


def test_the_images_of_all_objects_but_the_machines_own() -> None:
    assert bundled.images(ITEMS) == NAMES


def test_what_is_put_in_comes_out(tmp_path: Path) -> None:
    items, images = bundled.read(str(made(tmp_path / "b.tar")))
    assert items == ITEMS
    assert images == {name: f"sha256:{n}" for n, name in enumerate(NAMES)}
    bundled.close(str(tmp_path / "c.tar"), ITEMS[2:], [])
    assert bundled.read(str(tmp_path / "c.tar")) == (ITEMS[2:], {})


def test_an_image_that_is_another_or_missing(tmp_path: Path) -> None:
    whole = made(tmp_path / "b.tar")
    with tarfile.open(whole) as tar:
        source = tar.extractfile(bundled.FILE)
        assert source is not None
        document = json.loads(source.read())
    for index in ({**document["images"], "b:1": "sha256:other"}, {"b:1": document["images"]["b:1"]}):
        other = layout(tmp_path / "o.tar", index)
        with tarfile.open(other, "a:") as tar:
            info = tarfile.TarInfo(bundled.FILE)
            info.size = len(text := json.dumps(document).encode())
            tar.addfile(info, io.BytesIO(text))
        with pytest.raises(Bad, match="is not in it as it should be"):
            bundled.read(str(other))


def test_what_is_cut_or_changed_is_told(tmp_path: Path) -> None:
    data = made(tmp_path / "b.tar").read_bytes()
    at = data.index(b"x.org/init")
    for broken in (data[:700], data[:2000], b"", b"text", data[:at] + b"y" + data[at + 1 :]):
        (tmp_path / "broken.tar").write_bytes(broken)
        with pytest.raises(Bad, match="cannot use bundle"):
            bundled.read(str(tmp_path / "broken.tar"))
    with pytest.raises(Bad, match="No such file"):
        bundled.read(str(tmp_path / "nowhere.tar"))
