"""Archives as attackers write them: raw headers that no tool makes, names, links, sizes and bombs. Either the layer
unpacks as one of these rules says, or it is refused in one line; nothing outside of its directory ever changes."""

import bz2
import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from orchestr.images import unpack
from orchestr.images.seam import ImageError
from orchestr.images.store import NOTHING, Images
from tests.images import tars
from tests.images.tars import Entry, archive, folder, hard, layer, link, oci_files, sha256, zstd

LONG = 247  # with a number behind it one short of the longest name


def deep_links() -> list[Entry]:
    """CVE-2025-4517: a path through links longer than PATH_MAX, at which realpath() stops checking, then `..`."""
    entries, path = [], ""
    for letter in "abcdefghijklmnop":
        entries += [folder(f"{path}{'d' * LONG}"), link(f"{path}{letter}", "d" * LONG)]
        path += f"{letter}/"
    steps = "/".join("abcdefghijklmnop")
    return [*entries, link(f"{steps}/{'l' * 254}", "../" * 16), link("escape", f"{steps}/{'l' * 254}/../../../etc"),
            hard("shadow", "escape/shadow"), Entry("escape/owned", b"x")]  # fmt: skip


def headers(name: str = "f", **pax: str) -> bytes:
    """A file whose extended headers say something else."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.size = 4
        info.pax_headers = pax
        tar.addfile(info, io.BytesIO(b"data"))
    return out.getvalue()


def raw(name: bytes, kind: bytes = b"0", size: bytes = b"00000000004\0", link_name: bytes = b"") -> bytes:
    """One header by hand, and "data"."""
    head = bytearray(512)
    head[0 : len(name)] = name
    head[100:108], head[108:116], head[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    head[124:136], head[136:148], head[156:157] = size, b"00000000000\0", kind
    head[157 : 157 + len(link_name)] = link_name
    head[257:265] = b"ustar\x0000"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + b"data".ljust(512, b"\0") + bytes(1024)


def sparse(name: str, **pax: str) -> bytes:
    return headers(name, **{"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name, **pax})


REFUSED = {
    "CVE-2025-4517, a path too long to be checked": layer(deep_links()),
    "CVE-2025-4330, a link whose target is above": layer([link("a/b", "../.."), Entry("a/b/owned", b"x")]),
    "CVE-2025-4138, a chain of links": layer([link("x", "."), link("x/y", ".."), Entry("y/owned", b"x")]),
    "CVE-2007-4559, parents": layer([Entry("a/b/../../../owned", b"x")]),
    "CVE-2001-1267, parents behind a slash": layer([Entry("/../owned", b"x")]),
    "a hard link to a link, written through": layer([link("l", "/etc/passwd"), hard("h", "l"), Entry("h/owned", b"x")]),
    "a hard link to itself": layer([hard("h", "h")]),
    "a hard link to the root": layer([hard("h", ".")]),
    "a hard link to a directory": layer([folder("d"), hard("h", "d")]),
    "a hard link to a whiteout's own name": layer([Entry(".wh.f"), hard("g", ".wh.f")]),
    "a whiteout of the parent": layer([Entry("a/.wh...")]),
    "a whiteout of itself": layer([Entry("a/.wh..")]),
    "a name by PAX": headers(path="../owned"),
    "a link by PAX": layer([folder("d")])[:-10240] + headers("d/l", linkpath="x", path="../../owned"),
    "NUL in a name by PAX": headers(path="a\0/../../owned"),
    "a negative size": raw(b"f", size=b"\xff" * 12),
    "a size without an end": raw(b"f", size=b"\x80" + b"\x7f" * 11),
    "a link with a size beyond any": raw(b"l", kind=b"2", size=b"\x80" + b"\xff" * 11, link_name=b"x"),
    "a size that is no number": raw(b"f", size=b"99999999999\0"),
    "a size by PAX that is no number": headers(size="-1"),
    "a sparse file by PAX": sparse("f", **{"GNU.sparse.realsize": "99999999999999"}),
    "a sparse file that is its own map": sparse("../owned", **{"GNU.sparse.realsize": "4"}),
    "a block device": layer([Entry("sda", type=tarfile.BLKTYPE, device=(8, 0))]),
    "a device 0:0, a whiteout in disguise": layer([Entry("null", type=tarfile.CHRTYPE, device=(0, 0))]),
    "a continuous file of no data": raw(b"f", kind=b"7", size=b"77777777777\0"),
    "the end in the middle": layer([Entry("f", b"x" * 10_000)])[:4000],
    "a name longer than any": layer([Entry("n" * 300, b"x")]),
    "a path longer than any": layer([Entry("/".join(["d" * 200] * 40), b"x")]),
    "a path deeper than any": layer([folder("d/" * 1500)]),
    "a link to a path deeper than any": layer([hard("h", "d/" * 1500)]),
    "a name of a megabyte": layer([Entry("n" * (2 << 20), b"x")]),
    "attributes of megabytes": layer([Entry("f", b"x", xattrs={"user.note": "x" * (2 << 20)})]),
    "an attribute of the overlay": layer([Entry("f", b"x", xattrs={"user.": "x"})]),
    "a number of an owner out of range": headers(uid="99999999999999999999"),
    "a time out of range": headers(mtime="1e300"),
    "a time that is none": headers(mtime="nan"),
    "text": b"<html>not found</html>" * 100,
    "nothing": b"",
}  # fmt: skip

KEPT = {
    "one name in three cases": ([Entry("Na", b"A"), Entry("na", b"b"), Entry("NA", b"c")], ["NA", "Na", "na"]),
    "an absolute name": ([Entry("/abs", b"x")], ["abs"]),
    "a link that leads out": ([link("out", "/etc/passwd"), link("up", "../../../etc/shadow")], ["out", "up"]),
    "a link for the whole layer": ([folder("."), Entry("./f", b"x")], ["f"]),
    "letters of no alphabet": ([Entry("caf\udce9", b"x"), Entry("\u202efdp", b"x")], ["caf\udce9", "\u202efdp"]),
    "an attribute that is not the layer's to set":
        ([Entry("f", b"x", xattrs={"trusted.overlay.redirect": "/etc", "security.selinux": "x"})], ["f"]),
}  # fmt: skip


def unpacked(data: bytes, place: Path) -> dict[str, object]:
    """What the program answers, run as the store runs it."""
    read, write = os.pipe()
    with open(read, "rb") as answer:
        words = [sys.executable, "-I", "-m", "orchestr.images.unpack", str(write)]
        done = subprocess.run(words, input=data, cwd=place, pass_fds=(write,), capture_output=True, timeout=60)
        os.close(write)
        assert done.stderr == b""
        found: dict[str, object] = json.loads(answer.read())
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_refused(data: bytes, tmp_path: Path) -> None:
    """In one line that does no harm to a terminal; beside the layer nothing has changed."""
    place = tmp_path / "around/layer"
    place.mkdir(parents=True)
    answer = unpacked(data, place)
    assert "diff_id" not in answer
    assert str(answer["error"]).isprintable()
    assert len(str(answer["error"])) <= unpack.SHOWN
    assert answer.get("errno") not in (errno.ENOSPC, errno.EDQUOT)
    assert os.listdir(tmp_path) == ["around"]
    assert os.listdir(tmp_path / "around") == ["layer"]
    shutil.rmtree(place)  # it can be removed, however deep


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize(("entries", "names"), KEPT.values(), ids=KEPT)
def test_kept_as_it_is(entries: list[Entry], names: list[str], tmp_path: Path) -> None:
    assert "diff_id" in unpacked(layer(entries), tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(names)
    for name in names:
        assert not [each for each in os.listxattr(tmp_path / name, follow_symlinks=False) if "overlay" in each]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_longest_path_can_be_measured_compared_and_removed(images: Images, tmp_path: Path) -> None:
    """What is let in does not stand in the way later."""
    path = "/".join(["d" * 200] * 15)
    place = tmp_path / "image.tar"
    place.write_bytes(archive(oci_files([layer([Entry(path, b"x")])], name="long:1")))
    images.load(str(place))
    assert images.usage(NOTHING).total > 0
    assert images.difference("long:1", "long:1") == []
    images.remove("long:1")
    assert images.layers.diff_ids() == []


def test_a_sparse_file_is_a_bomb_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Few bytes in the archive, terabytes on the disk: it ends where its ratio says."""
    monkeypatch.setattr(unpack, "RATIO_FROM", 1 << 20)
    monkeypatch.chdir(tmp_path)
    holes = b"1\n1099511627776\n0\n".ljust(512, b"\0")
    pax = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "f",
        "GNU.sparse.realsize": str(1 << 40),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("f")
        info.size, info.pax_headers = len(holes), pax
        tar.addfile(info, io.BytesIO(holes))
    answer = unpack.run(io.BytesIO(out.getvalue()))
    assert "unpacks to more than" in answer["error"]
    assert os.stat(tmp_path / "f").st_size < 32 << 20


def test_headers_are_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name of gigabytes of zeros, in kilobytes of zstd, is not read."""
    monkeypatch.chdir(tmp_path)
    head = bytearray(raw(b"././@LongLink", kind=b"L", size=b"77777777777\0")[:512])
    answer = unpack.run(io.BytesIO(zstd(bytes(head) + bytes(64 << 20))))
    assert "a header says 8589934591 bytes" in answer["error"]


DOCUMENTS = {
    "a manifest of 100 MB": {"manifest": lambda raw: b" " * (100 << 20) + raw},
    "10,000 layers": {"layers": 10_000},
    "a manifest that is no JSON": {"manifest": lambda raw: b"<html>"},
    "a manifest of lists in lists": {"manifest": lambda raw: b"[" * 100_000},
    "a manifest that is a list": {"manifest": lambda raw: b"[]"},
    "a manifest without a configuration": {"manifest": lambda raw: b'{"layers": []}'},
    "a manifest of other types": {"manifest": lambda raw: raw.replace(b'"layers": [', b'"layers": [[], 7, ')},
    "a layer with a size in words": {"manifest": lambda raw: re.sub(rb'"size": \d+}]', b'"size": "many"}]', raw)},
    "a configuration that is no JSON": {"config": lambda raw: b"not json"},
    "a configuration that is a number": {"config": lambda raw: b"7"},
    "a configuration without layers": {"config": lambda raw: b"{}"},
    "a layer that is no archive": {"layer": lambda raw: b"\x7fELF" + os.urandom(5000)},
    "a layer that is a web page": {"layer": lambda raw: b"<html></html>" * 100},
    "a layer in bzip2": {"layer": bz2.compress},
    "an index that leads to itself, nearly": {"indexes": 20},
}  # fmt: skip


@pytest.mark.parametrize("change", DOCUMENTS.values(), ids=DOCUMENTS)
def test_documents_as_nobody_writes_them(images: Images, tmp_path: Path, change: Any) -> None:
    """ImageError in one line; no name, no layer, and after a prune no byte of it is left. What was here goes on."""
    good = tmp_path / "good.tar"
    good.write_bytes(archive(oci_files([layer([Entry("f", b"good")])], name="good:1")))
    images.load(str(good))
    before = sorted(images.blobs.all())
    bad = tmp_path / "bad.tar"
    bad.write_bytes(archive(written(**change)))
    with pytest.raises(ImageError, match=r"^cannot .*") as caught:
        images.load(str(bad))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert [image.names for image in images.list()[1:]] == [("good:1",)]
    images._clock = lambda: time.time() + 100
    images.prune(NOTHING)
    assert sorted(images.blobs.all()) == before
    assert len(images.layers.diff_ids()) == 1


def written(
    manifest: Any = bytes, config: Any = bytes, layer: Any = bytes, layers: int = 1, indexes: int = 0
) -> dict[str, bytes]:
    """An OCI archive whose parts are changed, with digests that fit."""
    data = tars.layer([Entry("f", b"bad")])
    blob, settings = layer(data), config(tars.configuration([data] * layers))
    part = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha256(blob), "size": len(blob)}
    own = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(settings), "size": len(settings)}
    document = {"schemaVersion": 2, "config": own, "layers": [part] * layers}
    top = manifest(json.dumps(document).encode())
    blobs = [blob, settings, top]
    for _ in range(indexes):
        top = json.dumps({"schemaVersion": 2, "manifests": [{"digest": sha256(top), "size": len(top)}]}).encode()
        blobs.append(top)
    index = {"schemaVersion": 2, "manifests": [{"digest": sha256(top), "size": len(top)}]}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
    return files | {f"blobs/sha256/{sha256(each)[7:]}": each for each in blobs}


@pytest.mark.parametrize(
    "form",
    [
        "7",
        "[7]",
        "[[]]",
        '[{"Config": 7}]',
        '[{"Config": "c", "Layers": 7, "RepoTags": []}]',
        '[{"Config": "c", "Layers": [7]}]',
        '[{"Config": "c", "Layers": [], "RepoTags": [7]}]',
    ],
)
def test_a_manifest_of_docker_save_of_another_form(images: Images, tmp_path: Path, form: str) -> None:
    place = tmp_path / "bad.tar"
    place.write_bytes(archive({"manifest.json": form.encode(), "c": b"{}"}))
    with pytest.raises(ImageError, match=r"^cannot "):
        images.load(str(place))
    assert len(images.list()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_layers_by_chance_stay_inside() -> None:
    """Some hundred others each time; fuzz_layers.py says how to run more, and any number again."""
    words = [sys.executable, "-m", "tests.images.fuzz_layers", "500", str(time.time_ns())]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout + done.stderr
