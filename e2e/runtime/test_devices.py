"""OCI linux.devices and the default devices: runtime-spec config-linux.md "Devices", and runtime-linux.md."""

import os
from typing import Any

import pytest

from e2e.runtime.bundles import Oci

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed")


def linux(devices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"devices": devices}


@pytest.mark.parametrize(
    ("device", "shown"),
    [
        ({"path": "/dev/foo", "type": "c", "major": 10, "minor": 666}, "character special file a:29a 666 0:0"),
        ({"path": "/dev/foo", "type": "u", "major": 10, "minor": 666}, "character special file a:29a 666 0:0"),
        (
            {"path": "/far/from/dev", "type": "b", "major": 8, "minor": 666, "fileMode": 0o640, "uid": 10, "gid": 11},
            "block special file 8:29a 640 10:11",
        ),
        ({"path": "/dev/pipe", "type": "p", "fileMode": 0o600, "uid": 1, "gid": 2}, "fifo 0:0 600 1:2"),
        (
            {"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600},
            "character special file 1:3 600 0:0",
        ),
    ],
)
def test_a_device_is_the_one_described(oci: Oci, device: dict[str, Any], shown: str) -> None:
    """ "devices that MUST be available in the container"; "The path MAY be anywhere in the container filesystem"."""
    bundle = oci.bundle("stat", "-c", "%F %t:%T %a %u:%g", device["path"], linux=linux([device]))
    assert bundle.run().out == f"{shown}\n"


def test_a_fifo_works(oci: Oci) -> None:
    pipe = {"path": "/dev/pipe", "type": "p"}
    bundle = oci.bundle("sh", "-c", "echo through > /dev/pipe & cat /dev/pipe", linux=linux([pipe]))
    assert bundle.run().out == "through\n"


def test_another_file_at_the_path_is_an_error(oci: Oci) -> None:
    """ "If a file already exists at path that does not match [...], the runtime MUST generate an error"."""
    bundle = oci.bundle("true", linux=linux([{"path": "/node", "type": "c", "major": 1, "minor": 5}]))
    (bundle.rootfs / "node").write_text("")
    assert "cannot make device /node" in bundle.run(code=1).err
    (bundle.rootfs / "node").unlink()
    os.mknod(bundle.rootfs / "node", 0o020666, os.makedev(1, 5))
    bundle.run()


def test_default_devices_and_links(oci: Oci) -> None:
    script = "cd /dev; stat -c '%n %t:%T' null zero full random urandom tty; "
    script += "for l in fd stdin stdout stderr ptmx; do readlink $l; done"
    assert oci.bundle("sh", "-c", script).run().out.split("\n")[:-1] == [
        *("null 1:3", "zero 1:5", "full 1:7", "random 1:8", "urandom 1:9", "tty 5:0"),
        *("/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx"),
    ]


def test_devices_where_none_may_be_made(oci: Oci) -> None:
    """Neither a cgroup that forbids mknod nor a /dev of the root's own keeps a device away."""
    device = {"path": "/dev/foo", "type": "c", "major": 1, "minor": 11}
    bundle = oci.bundle("stat", "-c", "%t:%T", "/dev/foo", "/dev/null", linux=linux([device]))
    bundle.config({"linux": {"resources": {"devices": [{"allow": False, "access": "rwm"}]}}})
    bundle.config(lambda config: config.update(mounts=[m for m in config["mounts"] if "/dev" not in m["destination"]]))
    assert bundle.run().out == "1:b\n1:3\n"


def test_a_link_in_place_of_dev_is_refused(oci: Oci, tmp_path_factory: pytest.TempPathFactory) -> None:
    """CVE-2026-41579: nothing is made where it leads."""
    outside = tmp_path_factory.mktemp("outside")
    bundle = oci.bundle("true")
    bundle.config(lambda config: config.update(mounts=[m for m in config["mounts"] if "/dev" not in m["destination"]]))
    (bundle.rootfs / "dev").rmdir()
    (bundle.rootfs / "dev").symlink_to(outside)
    bundle.run(code=1)
    assert os.listdir(outside) == []
