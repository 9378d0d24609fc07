"""What runs in hostile containers, and how it gets there."""

import json
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.runtime.bundles import Bundle, Config

USERNS = {
    "namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount", "cgroup", "user")],
    "uidMappings": [{"containerID": 0, "hostID": 1_700_000, "size": 65536}],
    "gidMappings": [{"containerID": 0, "hostID": 1_700_000, "size": 65536}],
}
CORE = "/proc/sys/kernel/core_pattern"


def bind(source: str | Path, destination: str, *options: str) -> Config:
    return {"destination": destination, "source": str(source), "type": "bind", "options": ["bind", *options]}


def link(path: Path, target: str | Path) -> None:
    """Puts a link where something else may be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(target)


def with_python(bundle: Bundle, script: str) -> Bundle:
    """The machine's Python runs `script`; what it prints last is JSON (see `said`)."""
    for name in ("lib", "lib64"):
        (bundle.rootfs / name).symlink_to(f"usr/{name}")
    bundle.data["mounts"].append(bind("/usr", "/usr", "ro"))
    return bundle.config({"process": {"args": ["/usr/bin/python3", "-I", "-S", "-c", script]}})


def said(text: str) -> Any:
    return json.loads(text.strip().splitlines()[-1])


def own_by_userns(tree: Path) -> None:
    """The machine's root has no id in USERNS: directories are given to the root that it has."""
    for path in (tree, *tree.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            os.chown(path, 1_700_000, 1_700_000)


@contextmanager
def console(path: Path) -> Iterator[list[int]]:
    """A console socket at `path`; the descriptors that were sent to it."""
    got: list[int] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    end, _ = server.accept()
                except OSError:
                    return
                with end:
                    got.extend(socket.recv_fds(end, 100, 4)[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield got
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
