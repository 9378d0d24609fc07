"""Archives in, archives out: three forms, every digest checked, and an end in words for what is none of them."""

import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from orchestr.images.seam import ImageCorrupt, ImageError, ImageNotFound
from orchestr.images.store import Images
from tests.images.tars import (
    Entry,
    archive,
    configuration,
    directory,
    docker_files,
    layer,
    oci_files,
    pack,
    sha256,
    zstd,
)

LAYERS = [layer([Entry("etc/name", b"one")]), layer([Entry("etc/other", b"two", mode=0o600)])]
CONFIG = {"Entrypoint": ["/bin/sh"], "Cmd": ["-c", "id"], "Env": ["A=b"], "WorkingDir": "/srv", "User": "me",
          "StopSignal": "SIGQUIT", "ExposedPorts": {"80/tcp": {}}, "Labels": {"x": "y"}}  # fmt: skip
FORMS: dict[str, Callable[..., Mapping[str, bytes]]] = {"oci": oci_files, "docker": docker_files}


def write(tmp_path: Path, data: bytes) -> str:
    (tmp_path / "archive").write_bytes(data)
    return str(tmp_path / "archive")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("packed", [bytes, pack, zstd], ids=["plain", "gzip", "zstd"])
def test_an_archive_becomes_an_image(
    images: Images, tmp_path: Path, form: str, packed: Callable[[bytes], bytes]
) -> None:
    """Either form, compressed or not: name, configuration and layers are there."""
    path = write(tmp_path, packed(archive(FORMS[form](LAYERS, CONFIG, name="team/app:2"))))
    (loaded,) = images.load(path)
    image = images.resolve("team/app:2")
    assert image == loaded
    assert image.config.entrypoint == ("/bin/sh",)
    assert (image.config.user, image.config.working_dir, image.config.stop_signal) == ("me", "/srv", "SIGQUIT")
    assert image.config.exposed_ports == ("80/tcp",)
    assert [sorted(os.listdir(Path(place, "etc"))) for place in image.lower] == [["other"], ["name"]]


def test_a_layout_directory_and_another_name(images: Images, tmp_path: Path) -> None:
    """An OCI layout on disk; --name wins over the names in it."""
    (image,) = images.load(str(directory(oci_files(LAYERS, CONFIG), tmp_path / "layout")), "mine")
    assert image.names == ("mine:latest",)
    with pytest.raises(ImageNotFound, match="here are local/host:latest, mine:latest"):
        images.resolve("made:1")


@pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
def test_what_is_saved_loads_again_as_the_same(images: Images, tmp_path: Path, form: str) -> None:
    """save and load in both forms: the same configuration and layers under the same name."""
    images.load(write(tmp_path, archive(oci_files(LAYERS, CONFIG, packed=pack))))
    before = images.resolve("made:1")
    images.save(["made:1"], str(tmp_path / "saved.tar"), format=form)
    other = Images(str(tmp_path / "other"))
    (after,) = other.load(str(tmp_path / "saved.tar"))
    assert (after.names, after.config, after.raw_config) == (before.names, before.config, before.raw_config)
    assert [os.path.basename(place) for place in after.lower] == [os.path.basename(place) for place in before.lower]
    if form == "oci-archive":
        assert after.digest == before.digest


def test_an_index_is_followed_to_this_machine(images: Images, tmp_path: Path) -> None:
    """Of several platforms, the one that fits is taken; when none does, what there is is told."""
    files = dict(oci_files(LAYERS, CONFIG))
    index = json.loads(files["index.json"])
    (entry,) = index["manifests"]
    other = {**entry, "platform": {"os": "linux", "architecture": "s390x"}}
    nested = json.dumps({"schemaVersion": 2, "manifests": [other]}).encode()
    files[f"blobs/sha256/{sha256(nested)[7:]}"] = nested
    files["index.json"] = json.dumps({"manifests": [{"digest": sha256(nested)}]}).encode()
    with pytest.raises(ImageCorrupt, match=r"not for linux/.*s390x"):
        images.load(write(tmp_path, archive(files)))


def broken(change: Callable[[dict[str, bytes]], object], form: str = "oci") -> bytes:
    files = dict(FORMS[form](LAYERS, CONFIG))
    change(files)
    return archive(files)


def _flip(files: dict[str, bytes]) -> None:
    name = next(name for name in files if name.startswith("blobs/") and b"one" in files[name])
    files[name] = files[name].replace(b"one", b"two")


def _drop(files: dict[str, bytes]) -> None:
    del files[next(name for name in files if name.startswith("blobs/") and b"one" in files[name])]


def _other_digest(files: dict[str, bytes]) -> None:
    files["index.json"] = files["index.json"].replace(b"sha256:", b"sha256:../../../etc/", 1)


def _weak_digest(files: dict[str, bytes]) -> None:
    files["index.json"] = files["index.json"].replace(b"sha256:", b"md5:", 1)


def _outside(files: dict[str, bytes]) -> None:
    files["manifest.json"] = json.dumps([{"Config": "../../etc/passwd", "RepoTags": ["x:1"], "Layers": []}]).encode()


def _fewer(files: dict[str, bytes]) -> None:
    raw = configuration(LAYERS[:1])
    entry = json.loads(files["manifest.json"])[0]
    files[entry["Config"]] = raw


BROKEN = {
    "a changed blob": broken(_flip),
    "a missing blob": broken(_drop),
    "a digest with a path in it": broken(_other_digest),
    "a weak digest": broken(_weak_digest),
    "a name outside": broken(_outside, "docker"),
    "fewer layers than the manifest": broken(_fewer, "docker"),
    "an index of nothing": broken(lambda files: files.update({"index.json": b'{"manifests": []}'})),
    "an index that is no JSON": broken(lambda files: files.update({"index.json": b"{"})),
    "a manifest that is a number": broken(lambda files: files.update({"manifest.json": b"7"}), "docker"),
    "some tar": archive({"hello": b"x"}),
    "no tar": b"hello" * 1000,
    "nothing": b"",
    "half a gzip": pack(archive(oci_files([layer([Entry("f", os.urandom(100_000))])])))[:-40_000],
    "half a zstd": zstd(archive(oci_files([layer([Entry("f", os.urandom(100_000))])])))[:-40_000],
    "a link for index.json": layer([
        Entry("oci-layout", b"{}"), Entry("index.json", type=tarfile.SYMTYPE, link="/etc/passwd")]),
}  # fmt: skip


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_image_is_told_in_words_and_leaves_nothing(images: Images, tmp_path: Path, data: bytes) -> None:
    """ImageError for every kind of damage; no name, no layer, no half-written blob remains."""
    with pytest.raises(ImageError, match=r"^cannot "):
        images.load(write(tmp_path, data))
    assert len(images.list()) == 1
    assert os.listdir(tmp_path / "images/layers") == []
    assert not [name for name in os.listdir(tmp_path / "images/blobs/sha256") if name.startswith(".")]


def test_a_missing_file_and_a_wrong_name(images: Images, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no such file"):
        images.load(str(tmp_path / "none"))
    with pytest.raises(ImageError, match="not a name"):
        images.load(write(tmp_path, archive(oci_files(LAYERS))), "Not A Name")
    with pytest.raises(ImageError, match="this machine itself"):
        images.save(["local/host"], str(tmp_path / "out.tar"))
    with pytest.raises(ImageError, match="not a format"):
        images.save([], str(tmp_path / "out.tar"), format="zip")


def test_names_survive_a_restart_and_a_blob_that_changed_is_noticed(images: Images, tmp_path: Path) -> None:
    """A new store on the same directory knows the images; a manifest that was tampered with is refused."""
    images.load(write(tmp_path, archive(oci_files(LAYERS))))
    again = Images(images.root)
    digest = again.resolve("made:1").digest
    Path(again.blobs.path(digest)).write_bytes(b"{}")
    with pytest.raises(ImageCorrupt, match="its content changed"):
        Images(images.root).resolve("made:1")


def test_loading_reads_a_stream_once(images: Images, tmp_path: Path) -> None:
    """Members in any order: index.json last, blobs first."""
    files = oci_files(LAYERS)
    data = archive(dict(reversed(list(files.items()))))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames()[-1] == "oci-layout"
    assert images.load(write(tmp_path, data))
