"""Bundles as in e2e/runtime, a directory of the machine that must stay as it is, and a process that races."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.runtime import bundles
from e2e.runtime.bundles import Oci


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if os.geteuid() and "e2e/security" in item.nodeid:
            item.add_marker(pytest.mark.skip(reason="root is needed"))


@pytest.fixture(scope="session")
def busybox_rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_rootfs(tmp_path_factory.mktemp("busybox") / "rootfs")


@pytest.fixture
def oci(tmp_path: Path, busybox_rootfs: Path) -> Iterator[Oci]:
    yield from bundles.session(tmp_path, busybox_rootfs)


def picture(directory: Path) -> list[tuple[str, int, int, int, bytes]]:
    """All that a write would change: names, modes, owners, contents."""
    found = []
    for path in [directory, *sorted(directory.rglob("*"))]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found.append((str(path), status.st_mode, status.st_uid, status.st_gid, content))
    return found


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that stands for the machine's own: hostile links lead to it, and nothing may happen in it."""
    place = tmp_path_factory.mktemp("machine")
    for name in ("null", "console", "shadow", "cmdline"):
        (place / name).write_text(f"{name} of the machine\n")
    (place / "passwd").write_text("root:x:0:0::/outside:/bin/sh\nevil:x:0:0::/outside:/bin/sh\n")
    (place / "deep/er").mkdir(parents=True)
    (place / "deep").chmod(0o700)
    before = picture(place)
    yield place
    assert picture(place) == before, "something was done outside the container"
