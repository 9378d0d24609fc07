"""Layers on disk: what image-spec says becomes what overlayfs means; what is hostile is refused and leaves nothing."""

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestr.images import unpack
from orchestr.images.seam import ImageCorrupt
from orchestr.images.store import Images
from tests.images.tars import Entry, archive, folder, hard, layer, link, oci_files, pack, zstd


def load(images: Images, tmp_path: Path, *layers: bytes, packed: object = bytes) -> list[Path]:
    """The layers' directories, bottom first."""
    file = tmp_path / "image.tar"
    file.write_bytes(archive(oci_files(layers, packed=packed)))
    (image,) = images.load(str(file))
    return [Path(place) for place in reversed(image.lower)]


def test_files_links_modes_owners_and_attributes(images: Images, tmp_path: Path) -> None:
    """What a layer says of its entries is on disk."""
    (place,) = load(images, tmp_path, layer([
        folder("bin"), Entry("bin/su", b"x" * 100_000, mode=0o4755), Entry("home/me/f", b"mine", uid=1000),
        link("lib", "usr/lib"), link("out", "/etc/passwd"), hard("bin/again", "bin/su"), folder("tmp", 0o1777),
        Entry("pipe", type=tarfile.FIFOTYPE), Entry("tagged", b"", xattrs={"user.note": "hello"}),
    ]))  # fmt: skip
    assert stat.S_IMODE((place / "bin/su").stat().st_mode) == 0o4755
    assert (place / "bin/again").stat().st_ino == (place / "bin/su").stat().st_ino
    assert (place / "home/me/f").stat().st_uid == 1000
    assert os.readlink(place / "out") == "/etc/passwd"
    assert stat.S_IMODE((place / "tmp").stat().st_mode) == 0o1777
    assert stat.S_ISFIFO((place / "pipe").stat().st_mode)
    assert os.getxattr(place / "tagged", "user.note") == b"hello"


def test_whiteouts_and_opaque_directories_take_overlays_form(images: Images, tmp_path: Path) -> None:
    """.wh.NAME is a character device 0:0, .wh..wh..opq an extended attribute; neither name is seen."""
    (place,) = load(images, tmp_path, layer([Entry("etc/.wh.gone"), folder("var"), Entry("var/.wh..wh..opq")]))
    gone = (place / "etc/gone").stat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(place / "var", "trusted.overlay.opaque") == b"y"
    assert sorted(os.listdir(place / "etc") + os.listdir(place / "var")) == ["gone"]


def test_the_last_of_two_entries_counts(images: Images, tmp_path: Path) -> None:
    """A path twice in one layer: a file over a file, a file over a tree, a directory over a link."""
    (place,) = load(images, tmp_path, layer([
        Entry("a", b"old"), Entry("a", b"new"), Entry("t/x/y", b""), Entry("t", b"file"), link("d", "/etc"),
        folder("d"), Entry("d/f", b"inside"),
    ]))  # fmt: skip
    assert (place / "a").read_bytes() == b"new"
    assert (place / "t").read_bytes() == b"file"
    assert not (place / "d").is_symlink()
    assert (place / "d/f").read_bytes() == b"inside"


@pytest.mark.parametrize("packed", [bytes, pack, zstd, lambda data: pack(data[:5000]) + pack(data[5000:])])
def test_compression_is_seen_by_content(images: Images, tmp_path: Path, packed: object) -> None:
    """Plain, gzip, zstd, gzip of several members: one diff_id, one directory."""
    (place,) = load(images, tmp_path, layer([Entry("f", b"content" * 5000)]), packed=packed)
    assert (place / "f").read_bytes() == b"content" * 5000


def test_a_layer_is_unpacked_once_for_all_images(images: Images, tmp_path: Path) -> None:
    """Two images with a common layer share its directory; a removed image takes only what is its own."""
    shared, own = layer([Entry("shared", b"1")]), layer([Entry("own", b"2")])
    first = load(images, tmp_path, shared)
    file = tmp_path / "second.tar"
    file.write_bytes(archive(oci_files([shared, own], name="second:1")))
    (image,) = images.load(str(file))
    assert image.lower[-1] == str(first[0])
    images.remove("second:1")
    assert first[0].exists()
    assert not Path(image.lower[0]).exists()


HOSTILE = {
    "parent": [Entry("../escaped", b"x")],
    "parent inside": [Entry("a/../../escaped", b"x")],
    "through a link": [link("d", "/tmp"), Entry("d/escaped", b"x")],
    "through a relative link": [link("d", "../.."), Entry("d/escaped", b"x")],
    "through two links": [link("a", "b"), link("b", "/"), Entry("a/escaped", b"x")],
    "hard link out": [hard("h", "../../etc/shadow")],
    "hard link to nothing": [hard("h", "/etc/shadow")],
    "hard link through a link": [link("d", "/etc"), hard("h", "d/shadow")],
    "a block device": [Entry("sda", type=tarfile.BLKTYPE, device=(8, 0))],
    "a character device": [Entry("kmem", type=tarfile.CHRTYPE, device=(1, 2))],
    "a whiteout of nothing": [Entry(".wh..")],
    "below a file": [Entry("f", b"x"), Entry("f/g", b"y")],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE)
def test_hostile_entries_are_refused_and_leave_nothing(images: Images, tmp_path: Path, entries: list[Entry]) -> None:
    """The load fails as a whole; no layer, no name, no file outside."""
    with pytest.raises(ImageCorrupt):
        load(images, tmp_path, layer(entries))
    assert os.listdir(tmp_path / "images/layers") == []
    assert len(images.list()) == 1, "only local/host"
    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/tmp/escaped").exists()


def test_an_absolute_name_stays_below_the_layer(images: Images, tmp_path: Path) -> None:
    """/etc/x is etc/x of the layer."""
    (place,) = load(images, tmp_path, layer([Entry("/etc/orch-test-absolute", b"x")]))
    assert (place / "etc/orch-test-absolute").read_bytes() == b"x"
    assert not Path("/etc/orch-test-absolute").exists()


def test_a_link_is_replaced_and_not_followed(images: Images, tmp_path: Path) -> None:
    """A file with the name of a link that the layer has made writes beside its target, not into it."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (place,) = load(images, tmp_path, layer([link("f", str(victim)), Entry("f", b"written")]))
    assert victim.read_bytes() == b"untouched"
    assert (place / "f").read_bytes() == b"written"


@pytest.mark.parametrize("packed", [pack, zstd])
def test_a_truncated_layer_is_refused(images: Images, tmp_path: Path, packed: object) -> None:
    """Half of a compressed layer, under a digest that fits the half, is told as such."""
    whole = layer([Entry("f", os.urandom(200_000))])
    with pytest.raises(ImageCorrupt, match="cannot unpack layer"):
        load(images, tmp_path, whole, packed=lambda data: packed(data)[:-50_000])  # type: ignore[operator]
    assert os.listdir(tmp_path / "images/layers") == []


def test_a_layer_that_is_not_what_the_configuration_says(images: Images, tmp_path: Path) -> None:
    """A blob with a good digest whose content is another layer (diff_id) is refused."""
    with pytest.raises(ImageCorrupt, match="its content is sha256:"):
        load(images, tmp_path, layer([Entry("f", b"good")]), packed=lambda _: layer([Entry("f", b"evil")]))


@pytest.mark.parametrize("packed", [pack, zstd])
def test_a_bomb_is_stopped_by_its_ratio(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    """Zeros that unpack to far more than they are packed end the unpacking early."""
    monkeypatch.setattr(unpack, "RATIO_FROM", 1 << 20)
    monkeypatch.setattr(unpack, "LIMIT_RATIO", 100)
    monkeypatch.chdir(tmp_path)
    answer = unpack.run(io.BytesIO(packed(layer([Entry("zeros", bytes(64 << 20))]))))
    assert "it unpacks to more than" in answer["error"]


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A layer of more entries than any image has is refused."""
    monkeypatch.setattr(unpack, "LIMIT_ENTRIES", 10)
    monkeypatch.chdir(tmp_path)
    answer = unpack.run(io.BytesIO(layer(folder(f"d{i}") for i in range(11))))
    assert "more than 10 entries" in answer["error"]
