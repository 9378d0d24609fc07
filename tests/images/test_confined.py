"""What the programs that read foreign content can do, should one of them be taken over: tried from within."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestr.arch import arch
from orchestr.images.confined import version
from orchestr.images.store import Images
from tests.images.hostile import Registry, served
from tests.images.tars import Entry, layer, sha256

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or version() < 2, reason="needs root and Landlock")

TRY = """
import ctypes, json, os, socket, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
def listen():
    with socket.socket() as end:
        end.bind(("127.0.0.1", 0))
def mount():
    if libc.mount(b"none", b"/", b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")
def device(kind, number):
    os.mknod("node", kind | 0o600, number)
    os.close(os.open("node", os.O_RDONLY))
def write(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
tries = {
    "read": lambda: os.close(os.open("/etc/shadow", os.O_RDONLY)),
    "list": lambda: os.listdir("/root"),
    "above": lambda: os.close(os.open("../" * 40 + "etc/shadow", os.O_RDONLY)),
    "write": lambda: write(sys.argv[1] + "/outside"),
    "run": lambda: os.execv("/usr/bin/true", ["true"]),
    "signal": lambda: os.kill(int(sys.argv[2]), 0),
    "listen": listen, "mount": mount,
    "disk": lambda: device(stat.S_IFBLK, os.makedev(8, 0)),
    "memory": lambda: device(stat.S_IFCHR, os.makedev(1, 1)),
    "root": lambda: os.setuid(0) or os.chroot("/"),
}
done = []
for name, attempt in tries.items():
    try:
        attempt()
        done.append(name)
    except OSError:
        pass
sys.stdout.write(json.dumps(done))
"""


def reached(before: str, place: Path, cwd: Path) -> list[str]:
    """What succeeds after `before`."""
    words = [sys.executable, "-I", "-c", before + TRY, str(place), str(os.getpid())]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=True, timeout=60)
    found: list[str] = json.loads(done.stdout)
    return found


def test_what_speaks_with_registries_writes_blobs_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    before = f"""
import os, sys
from orchestr.images.registry import worker
worker.confine({{"endpoints": [["https://registry.example", "", False]], "root": {str(tmp_path)!r}}})
import httpx, socket, ssl
assert socket.getaddrinfo("localhost", 80)
assert ssl.create_default_context()
open({str(tmp_path / "blobs/new")!r}, "w").close()
os.rename({str(tmp_path / "blobs/new")!r}, {str(tmp_path / "blobs/done")!r})
"""
    assert reached(before, tmp_path, tmp_path) == []
    assert os.listdir(tmp_path / "blobs") == ["done"]


def test_what_unpacks_reaches_the_layer_and_no_more(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    layer.mkdir()
    before = """
import ctypes, json, socket
from orchestr.images import unpack
unpack.confine()
"""
    assert set(reached(before, tmp_path, layer)) <= {"signal"} | ({"listen"} if version() < 4 else set())
    assert set(os.listdir(layer)) <= {"node"}
    assert not (tmp_path / "outside").exists()


def test_a_pull_needs_no_more_than_that(tmp_path: Path) -> None:
    """The worker itself, confined, brings an image from a registry into a store."""
    data = layer([Entry("f", b"x" * 10_000)])
    images = Images(str(tmp_path / "images"))
    with served(Registry([data], [sha256(data)])) as registry:
        request = {"verb": "pull", "place": [registry.host, "team/app", "1", ""], "trusted": [], "credentials": None,
                   "endpoints": [[f"http://{registry.host}", "", False]], "root": images.root, "arch": arch(),
                   "known": ""}  # fmt: skip
        words = [sys.executable, "-I", "-m", "orchestr.images.registry.worker"]
        done = subprocess.run(words, input=json.dumps(request), capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout.splitlines()[-1]) == {"digest": sha256(registry.manifest), "fetched": True}
    assert images.add_pulled("app:1", sha256(registry.manifest)).names == ("app:1",)
