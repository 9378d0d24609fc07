"""What is collected and what is not: in use, shared, on its way, and what a killed process left."""

import io
import os
import time
from pathlib import Path

import pytest

from orchestr.agent import collecting
from orchestr.images import garbage
from orchestr.images.layers import Layers
from orchestr.images.seam import Image, ImageError, ImageNotFound, Uses
from orchestr.images.store import NOTHING, Images
from tests.images.tars import Entry, archive, layer, oci_files

SHARED = layer([Entry("shared", b"1" * 5000)])


@pytest.fixture
def later(images: Images) -> Images:
    """The store weeks later: what is here is not young any more."""
    images._clock = lambda: os.stat(images.root).st_ctime + 2 * garbage.STALE
    return images


def load(images: Images, tmp_path: Path, name: str, *own: bytes, pulled: bool = False) -> Image:
    file = tmp_path / "image.tar"
    file.write_bytes(archive(oci_files([SHARED, *(layer([Entry("own", each)]) for each in own)], name=name)))
    (image,) = images.load(str(file))
    if pulled:
        images.add_pulled(name, image.digest)
    return images.resolve(name)


def whole(image: Image) -> bool:
    return all(map(os.path.isdir, image.lower))


def test_what_a_pod_names_or_runs_from_outlives_its_name(images: Images, tmp_path: Path) -> None:
    """The name goes at once, the content when nobody uses it any more; nobody else can have it meanwhile."""
    image = load(images, tmp_path, "app:1", b"one")
    uses = Uses(digests=frozenset({image.digest}))
    images.remove("app:1", uses)
    with pytest.raises(ImageNotFound):
        images.resolve("app:1")
    assert whole(image)
    assert images.collect(uses).images == ()
    again = Images(images.root)
    assert [each.digest for each in again.collect(NOTHING).images] == [image.digest]
    assert not any(map(os.path.exists, image.lower))
    assert list(again.blobs.all()) == []
    assert len(again.list()) == 1


def test_a_name_that_moves_leaves_the_old_image_until_it_is_pruned(images: Images, tmp_path: Path) -> None:
    old, new = load(images, tmp_path, "app:1", b"one"), load(images, tmp_path, "app:1", b"two")
    assert images.collect(NOTHING) == garbage.Freed()
    assert [image.names for image in images.list()[1:]] == [("app:1",), ()]
    told = images.prune(NOTHING, dry=True)
    assert ([each.digest for each in told.images], whole(old)) == ([old.digest], True)
    assert 0 < told.size < 100_000
    assert images.prune(NOTHING) == told
    assert not os.path.exists(old.lower[0])
    assert whole(new), "the layer that both share stays"
    assert images.prune(NOTHING) == garbage.Freed()


def test_prune_all_spares_what_is_used_and_what_is_newer(images: Images, tmp_path: Path) -> None:
    for name in ("used:1", "named:1", "idle:1"):
        load(images, tmp_path, name, name.encode())
    uses = Uses(names=frozenset({"used:1", "local/host", "absent:7", "Not A Name"}))
    assert images.prune(uses, everything=True, until=0.0).images == ()
    assert images.prune(uses).images == ()
    images.prune(uses, everything=True)
    assert [image.names for image in images.list()[1:]] == [("used:1",)]
    assert whole(images.resolve("used:1"))


def test_an_image_by_digest_is_kept_under_it(images: Images, tmp_path: Path) -> None:
    """Pulled by digest it is listed and used by that; whatever is removed beside it, it stays."""
    digest = load(images, tmp_path, "app:1", b"one").digest
    image = images.add_pulled(f"app@{digest}", digest)
    other = load(images, tmp_path, "other:1", b"two")
    images.remove("other:1")
    images.remove("app:1")
    assert whole(images.resolve(f"app@{digest}"))
    assert images.resolve(f"elsewhere/app@{digest}").digest == digest
    assert (images.resolve(f"app@{digest}").names, whole(image)) == ((f"app@{digest}",), True)
    assert not os.path.exists(other.lower[0])
    images.remove(f"app@{digest}")
    with pytest.raises(ImageNotFound):
        images.resolve(f"app@{digest}")


def test_a_blob_alone_is_no_image(images: Images, tmp_path: Path) -> None:
    """All blobs of an image are here, as after a kill before its layers were unpacked: its digest names nothing yet."""
    image = load(images, tmp_path, "app:1", b"one")
    os.unlink(Path(images.root, "names.json"))
    with pytest.raises(ImageNotFound):
        Images(images.root).resolve(f"app@{image.digest}")


def test_what_is_on_its_way_is_left_alone(images: Images, tmp_path: Path) -> None:
    """What came, and what was found here, since somebody began: not even prune takes it."""
    image = load(images, tmp_path, "app:1", b"one")
    came = os.stat(image.lower[1]).st_ctime
    images._clock = lambda: came - 10
    with images.at_work():
        images._clock = lambda: came + 10
        images.remove("app:1")
        images.prune(NOTHING, everything=True)
        assert whole(image)
        assert images.blobs.has(image.digest)
    images._clock = lambda: came + 100
    with images.at_work():
        assert images.prune(NOTHING).leftovers == 6
    assert not any(map(os.path.exists, image.lower))


def test_whoever_counts_on_what_is_here_makes_it_new(images: Images, tmp_path: Path) -> None:
    image = load(images, tmp_path, "app:1", b"one")
    layer, blob = image.lower[0], images.blobs.path(image.digest)
    before = [os.stat(path) for path in (layer, blob)]
    while time.time_ns() < max(each.st_ctime_ns for each in before) + 20_000_000:
        pass  # the clock of files has ticks
    assert images.layers.claim(f"sha256:{os.path.basename(layer)}")
    assert images.blobs.claim(image.digest)
    for path, was in zip((layer, blob), before, strict=True):
        assert os.stat(path).st_ctime_ns > was.st_ctime_ns
        assert os.stat(path).st_mtime_ns == was.st_mtime_ns
    assert not images.blobs.claim("sha256:" + "0" * 64)


def test_leftovers_wait_for_the_next_try(images: Images, later: Images, tmp_path: Path) -> None:
    """Blobs of a pull that broke off, whole ones and halves; not those of an image, nor one that somebody fetches."""
    image = load(images, tmp_path, "app:1", b"one")
    images.blobs.add(io.BytesIO(b"stray"))
    Path(images.blobs.partial("sha256:" + "a" * 64)).write_bytes(b"half")
    now = images._clock()
    assert collecting.collect(images, NOTHING, now - 2 * garbage.STALE + 60)[0].leftovers == 0
    assert collecting.collect(images, NOTHING, now)[0].leftovers == 2
    assert whole(image)


def test_above_the_high_watermark_images_go_until_the_low_one(
    images: Images, later: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest unused first, none that is used, none that no registry has."""
    found = [load(images, tmp_path, f"app:{n}", bytes([n]), pulled=True) for n in range(4)]
    load(images, tmp_path, "mine:1", b"m")
    now = images._clock()
    for age, image in ((50, found[0]), (500, found[1]), (5000, found[2]), (9000, found[3])):
        os.utime(images.blobs.path(image.digest), (now - age * 10, now - age * 10))
    full = iter([86, 86, 84, 80, 80])
    monkeypatch.setattr(collecting, "fullness", lambda path: next(full))
    uses = Uses(names=frozenset({"docker.io/library/app:3"}))
    freed, still = collecting.collect(images, uses, now)
    assert [each.names for each in freed.images] == [("app:2",), ("app:1",)]
    assert not still
    assert sorted(name for image in images.list()[1:] for name in image.names) == ["app:0", "app:3", "mine:1"]
    monkeypatch.setattr(collecting, "fullness", lambda path: 99)
    freed, still = collecting.collect(images, uses, now)
    assert ([each.names for each in freed.images], still) == ([("app:0",)], True)


def test_an_unreadable_image_is_named_and_can_be_removed(images: Images, tmp_path: Path) -> None:
    """Nothing is collected on half the truth; once it is gone the rest goes on."""
    bad, good = load(images, tmp_path, "bad:1", b"bad"), load(images, tmp_path, "good:1", b"good")
    Path(images.blobs.path(bad.digest)).write_bytes(b"{}")
    again = Images(images.root)
    with pytest.raises(ImageError, match=r"part of bad:1 \(orch image remove bad:1\)"):
        again.prune(NOTHING, everything=True)
    again.remove("good:1")
    assert whole(good)
    again.remove("bad:1")
    again.prune(NOTHING)
    assert list(again.blobs.all()) == []
    assert again.layers.diff_ids() == []


def test_a_layer_that_is_being_removed_is_not_seen(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of a removal: the layer is absent, not half there, and the rest goes at the next start."""
    image = load(images, tmp_path, "app:1", b"one")
    monkeypatch.setattr(garbage, "_remove", lambda path: None)
    images.remove("app:1")
    assert Layers(images.root).claim("sha256:" + os.path.basename(image.lower[0])) is False
    Images(images.root)
    assert not [name for _, folders, files in os.walk(images.root) for name in (*folders, *files) if "gone" in name]


def test_how_much_of_the_disk_images_take(images: Images, tmp_path: Path) -> None:
    load(images, tmp_path, "one:1", b"1" * 100_000)
    load(images, tmp_path, "two:1", b"2" * 10_000)
    found = images.usage(Uses(names=frozenset({"one:1"})))
    (one, size, own), (two, small, less) = found.images
    assert (one.names, one.used, two.used) == (("one:1",), True, False)
    assert size > own > 100_000 > small > less
    assert found.total == size + less
    assert found.idle == less
    assert found.leftovers == garbage.Freed()


def test_a_mounted_image_is_in_use(images: Images, tmp_path: Path) -> None:
    """Its layers over each other, read-only; it stays until it is unmounted, also for the next daemon."""
    image = load(images, tmp_path, "app:1", b"one", b"two")
    place = Path(images.mount("app:1"))
    try:
        assert images.mount("app:1") == str(place)
        assert ((place / "own").read_bytes(), len((place / "shared").read_bytes())) == (b"two", 5000)
        with pytest.raises(OSError, match="Read-only"):
            (place / "own").write_bytes(b"other")
        assert list(images.mounts()) == [str(place)]
        again = Images(images.root)
        again.prune(NOTHING, everything=True)
        assert whole(again.resolve("app:1"))
        with open(place / "own", "rb"), pytest.raises(ImageError, match=r"cannot unmount .*busy"):
            again.unmount(None)
    finally:
        images.unmount(["app:1"])
    assert not place.exists()
    with pytest.raises(ImageError, match="not mounted"):
        images.unmount(["app:1"])
    with pytest.raises(ImageError, match="this machine itself"):
        images.mount("local/host")
    images.remove("app:1")
    assert not whole(image)
