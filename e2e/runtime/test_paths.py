"""OCI linux.maskedPaths and linux.readonlyPaths: runtime-spec config-linux.md "Masked Paths", "Readonly Paths"."""

import os
from typing import Any

import pytest

from e2e.runtime.bundles import Bundle, Oci

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")


def bundle(oci: Oci, script: str, **linux: Any) -> Bundle:
    made = oci.bundle("sh", "-c", script, linux=linux)
    (made.rootfs / "d/e").mkdir(parents=True)
    (made.rootfs / "d/f").write_text("secret\n")
    (made.rootfs / "f").write_text("secret\n")
    (made.rootfs / "link").symlink_to("/f")
    return made


def test_masked_paths_cannot_be_read(oci: Oci) -> None:
    """ "maskedPaths will mask over the provided paths inside the container so that they cannot be read"."""
    paths = ["/d", "/f", "/missing", "/f/below", "/proc/version", "/proc/bus", "/d"]
    script = "cat /f /proc/version; ls -A /d /proc/bus; touch /d/x 2>&1; grep -c ' /d ' /proc/self/mountinfo"
    out = bundle(oci, script, maskedPaths=paths).run().out
    assert "secret" not in out
    assert "Linux version" not in out
    assert "Read-only file system" in out
    assert out.endswith("\n1\n")


def test_a_mask_follows_links_within_the_root(oci: Oci) -> None:
    assert bundle(oci, "cat /f", maskedPaths=["/link"]).run().out == ""


def test_masked_directories_share_one_filesystem(oci: Oci) -> None:
    out = bundle(oci, "stat -c %d /d/e /home", maskedPaths=["/d/e", "/home"]).run().out.split()
    assert out[0] == out[1]


def test_read_only_paths_can_be_read_and_not_written(oci: Oci) -> None:
    """ "readonlyPaths will set the provided paths as readonly inside the container"."""
    script = "cat /f /d/f; for p in /f /d/f /d/new /proc/sys/kernel/hostname; do ( echo x > $p ) 2>&1; done; true"
    out = bundle(oci, script, readonlyPaths=["/d", "/f", "/missing", "/proc/sys"]).run().out
    assert out.count("secret") == 2
    assert out.count("Read-only file system") == 4


@pytest.mark.parametrize("key", ["maskedPaths", "readonlyPaths"])
def test_values_are_absolute_paths(oci: Oci, key: str) -> None:
    """ "The values MUST be absolute paths in the container namespace"."""
    assert "absolute" in bundle(oci, "true", **{key: ["d"]}).run(code=1).err
