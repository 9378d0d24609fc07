"""Killed at any step, and a disk that is full: nothing half-made is ever taken for whole, and the next try succeeds.

A child process does the work and is killed at its n-th step, for every n until it gets through; steps are the calls by
which files get on the disk, get their names and lose them.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestr.arch import arch
from orchestr.images import layers as unpacking
from orchestr.images import unpack
from orchestr.images.confined import check, libc
from orchestr.images.reference import Place
from orchestr.images.registry.pull import pull
from orchestr.images.registry.session import Session
from orchestr.images.registry.settings import Endpoint
from orchestr.images.seam import ImageError
from orchestr.images.store import NOTHING, Images
from tests.images.hostile import Registry, served
from tests.images.tars import Entry, archive, layer, oci_files, sha256

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

STEPS = ("fsync", "rename", "unlink", "rmdir", "link", "mkdir", "utime")
LAYERS = [layer([Entry("shared", b"s" * 9000)]), layer([Entry("own", b"o" * 9000), Entry("dir/f", b"f")])]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unpacking program's own code, without a process for each layer."""

    def here(blob: str, target: str) -> str:
        before = os.getcwd()
        os.chdir(target)
        try:
            with open(blob, "rb") as source:
                answer = unpack.run(source)
        finally:
            os.chdir(before)
        return str(answer["diff_id"])

    monkeypatch.setattr(unpacking, "_unpack", here)


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Whether the work was killed before its end."""
    child = os.fork()
    if child == 0:
        left = [step]

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **options: object) -> object:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **options)

            return call

        try:
            for name in STEPS:
                setattr(os, name, counted(getattr(os, name)))
            work()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def sound(root: str) -> list[str]:
    """The names that a new daemon finds; each is an image whose layers are whole. Nothing half-made lies about."""
    images = Images(root)
    for image in images.list()[1:]:
        for place, data in zip(reversed(image.lower), LAYERS, strict=False):
            want = {"shared"} if data is LAYERS[0] else {"own", "dir"}
            assert set(os.listdir(place)) == want
    for digest in images.blobs.all():
        assert sha256(Path(images.blobs.path(digest)).read_bytes()) == digest
    stray = [each for _, folders, files in os.walk(root) for each in (*folders, *files)]
    assert not [each for each in stray if each.startswith((".new-", ".gone-", "load-"))]
    return [name for image in images.list()[1:] for name in image.names]


def every_step(work: Callable[[], object], after: Callable[[], object], stride: int = 1) -> int:
    """How many steps there are."""
    step = 0
    while killed_at(step, work):
        after()
        step += stride
    return step


@pytest.mark.usefixtures("in_process")
def test_load(tmp_path: Path) -> None:
    file, root = tmp_path / "app.tar", str(tmp_path / "images")
    file.write_bytes(archive(oci_files(LAYERS, name="app:1")))
    Images(root)
    seen = set()
    steps = every_step(lambda: Images(root).load(str(file)), lambda: seen.add(tuple(sound(root))))
    assert steps > 10
    assert sound(root) == ["app:1"]
    assert () in seen


@pytest.mark.usefixtures("in_process")
def test_remove_and_prune(tmp_path: Path) -> None:
    """The name is gone or there; what it named is whole or not seen."""
    root = str(tmp_path / "images")
    for number, name in enumerate(("app:1", "other:1")):
        file = tmp_path / "image.tar"
        file.write_bytes(archive(oci_files(LAYERS[: 2 - number], name=name)))
        Images(root).load(str(file))
    seen = set()

    def work() -> None:
        images = Images(root)
        if "app:1" in images.names.names:
            images.remove("app:1")
        images._clock = lambda: os.stat(root).st_ctime + 100
        images.prune(NOTHING)

    steps = every_step(work, lambda: seen.add(tuple(sound(root))))
    assert steps > 5
    assert seen == {("app:1", "other:1"), ("other:1",)}
    assert sound(root) == ["other:1"]
    assert len(Images(root).layers.diff_ids()) == 1


@pytest.mark.usefixtures("in_process")
def test_pull(tmp_path: Path) -> None:
    """Each try goes on from what has come: a blob that is here is not fetched again."""
    root = str(tmp_path / "images")
    Images(root)
    with served(Registry(LAYERS, [sha256(each) for each in LAYERS])) as registry:

        def work() -> None:
            images = Images(root)
            session = Session(Endpoint(f"http://{registry.host}"), "team/app", None)
            with images.at_work():
                place = Place(registry.host, "team/app", "1", "")
                found = pull([session], place, images.blobs, arch(), "", lambda line: None)
                images.add_pulled("app:1", found.digest)
            session.close()

        seen = set()
        steps = every_step(work, lambda: seen.add(tuple(sound(root))), stride=2)
        fetched = [path for _, path, _ in registry.asked if "/blobs/" in path]
    assert steps > 10
    assert seen <= {(), ("app:1",)}
    assert sound(root) == ["app:1"]
    assert len(fetched) < 3 * 4, "of three blobs each is fetched once, or again when it was killed before its name"


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    place.mkdir()
    check(libc.mount(b"small", os.fsencode(place), b"tmpfs", 0, b"size=2m"), "mount")
    try:
        yield place
    finally:
        check(libc.umount2(os.fsencode(place), 2), "umount")


@pytest.mark.parametrize("ballast", [1_000_000, 1_600_000], ids=["layer", "blob"])
def test_a_full_disk(tmp_path: Path, ballast: int) -> None:
    """One error that says how to make room; nothing is left of the try; with room it succeeds."""
    big = layer([Entry("big", os.urandom(600_000))])
    file = tmp_path / "app.tar"
    with small_disk(tmp_path / "disk") as disk:
        images = Images(str(disk / "images"))
        file.write_bytes(archive(oci_files([LAYERS[0]], name="small:1")))
        images.load(str(file))
        (disk / "ballast").write_bytes(bytes(ballast))
        file.write_bytes(archive(oci_files([LAYERS[0], big], name="big:1")))
        with pytest.raises(ImageError, match=r"cannot load app.tar: No space left on device \(make room: orch image"):
            images.load(str(file))
        assert list(images.names.names) == ["small:1"]
        assert len(images.layers.diff_ids()) == 1
        assert not [each for _, folders, files in os.walk(disk) for each in (*folders, *files) if ".new-" in each]
        os.unlink(disk / "ballast")
        images.load(str(file))
        assert list(images.names.names) == ["small:1", "big:1"]


def test_a_name_can_be_taken_away_on_a_disk_without_a_byte(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        images = Images(str(disk / "images"))
        file = tmp_path / "app.tar"
        for name in ("one:1", "two:1"):
            file.write_bytes(archive(oci_files([LAYERS[0]], {"Cmd": [name]}, name=name)))
            images.load(str(file))
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "ballast").write_bytes(bytes(free))
        assert os.statvfs(disk).f_bavail == 0
        images.remove("one:1")
        assert list(Images(images.root).names.names) == ["two:1"]


def test_the_names_file_of_an_older_daemon_is_read(tmp_path: Path) -> None:
    images = Images(str(tmp_path / "images"))
    file = tmp_path / "app.tar"
    file.write_bytes(archive(oci_files([LAYERS[0]], name="app:1")))
    (image,) = images.load(str(file))
    names = Path(images.root, "names.json")
    for text in ({"app:1": image.digest}, {"names": {"app:1": image.digest}, "pulled": ["app:1"]}):
        names.write_text(json.dumps(text))
        assert Images(images.root).resolve("app:1").digest == image.digest
