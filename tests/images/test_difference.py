"""Between two stacks of layers: what overlayfs would show is what is compared."""

from pathlib import Path

import pytest

from orchestr.images.difference import differences
from orchestr.images.seam import ImageError
from orchestr.images.store import Images
from tests.images.tars import Entry, archive, folder, layer, link, oci_files

BASE = layer([
    Entry("same", b"1"), Entry("content", b"1"), Entry("mode", b"1"), Entry("gone", b"1"), Entry("d/gone", b"1"),
    Entry("d/kept", b"1"), Entry("opaque/old", b"1"), Entry("opaque/both", b"1"), Entry("kind", b"1"), link("l", "a"),
    Entry("tree/deep/f", b"1"),
])  # fmt: skip
TOP = layer([
    Entry("content", b"2"), Entry("mode", b"1", mode=0o600), Entry(".wh.gone"), Entry("d/.wh.gone"), Entry("d/new"),
    folder("opaque"), Entry("opaque/.wh..wh..opq"), Entry("opaque/both", b"1"), folder("kind"), Entry("kind/f", b""),
    link("l", "b"), Entry(".wh.tree"), Entry("tagged", b"", xattrs={"user.a": "b"}), Entry("same", b"1"),
])  # fmt: skip
CHANGES = ["C /content", "D /d/gone", "A /d/new", "D /gone", "C /kind", "A /kind/f", "C /l", "C /mode", "D /opaque/old",
           "A /tagged", "D /tree"]  # fmt: skip


def test_every_kind_of_change_and_its_reverse(images: Images, tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    for name, parts in (("old:1", [BASE]), ("new:1", [BASE, TOP])):
        file.write_bytes(archive(oci_files(parts, name=name)))
        images.load(str(file))
    assert [f"{kind} {path}" for kind, path in images.difference("old:1", "new:1")] == CHANGES
    back = {"A": "D", "D": "A", "C": "C"}
    whole = {f"{back[each[0]]}{each[1:]}" for each in CHANGES} - {"D /kind/f"}
    reverse = {f"{kind} {path}" for kind, path in images.difference("new:1", "old:1")}
    assert reverse == whole | {"A /tree/deep", "A /tree/deep/f"}
    assert images.difference("new:1", "new:1") == []
    with pytest.raises(ImageError, match="this machine itself"):
        images.difference("old:1", "local/host")


def test_a_containers_own_directory(tmp_path: Path) -> None:
    for name in ("lower/a", "upper/b"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    lower, upper = str(tmp_path / "lower"), str(tmp_path / "upper")
    assert list(differences((lower,), (upper, lower))) == [("A", "/b")]
