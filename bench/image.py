"""The image that every side runs: a static busybox and a file of log lines. As a plain tar and as a docker-archive."""

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path

from bench.place import BenchError, Place

NAME = "bench-busybox"
APPLETS = ("sh", "sleep", "true", "cat", "httpd", "echo")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # as the OCI image specification (Go) calls them
LINE = b"x" * 99 + b"\n"
LINES = 10_000  # a million bytes


def busybox(peers: Place) -> bytes:
    """This machine's, or else the peers'. BenchError when there is none, or it needs libraries."""
    if path := shutil.which("busybox"):
        program = Path(path).read_bytes()
    else:
        program = subprocess.run([*peers.prefix, "cat", "/bin/busybox"], capture_output=True).stdout
    if not program or b"/lib64/ld-linux" in program[:4096]:
        raise BenchError("cannot make the image: no static busybox here (install busybox-static)")
    return program


def rootfs(program: bytes) -> bytes:
    """A tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "www"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        _file(tar, "bin/busybox", program, 0o755)
        _file(tar, "lines", LINE * LINES)
        _file(tar, "www/index.html", b"ok\n")
        _file(tar, "etc/passwd", b"root:x:0:0::/:/bin/sh\n")
        for name in APPLETS:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return buffer.getvalue()


def _file(tar: tarfile.TarFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def docker_archive(layer: bytes) -> bytes:
    """The one-layer image as `docker save` writes it."""
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "100000"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    data = json.dumps(config).encode()
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [f"{NAME}:1"], "Layers": [f"{digest}/layer.tar"]}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _file(tar, name, data)
        _file(tar, f"{digest}/layer.tar", layer)
        _file(tar, "manifest.json", json.dumps(manifest).encode())
    return buffer.getvalue()
