"""linux.uidMappings and gidMappings, and ids at their bounds. Quoted: runtime-spec config-linux.md."""

import os
from typing import Any

import pytest

from e2e.runtime.bundles import NAMESPACES, Bundle, Oci


def ranges(*found: tuple[int, int, int]) -> list[dict[str, int]]:
    return [{"containerID": inside, "hostID": host, "size": size} for inside, host, size in found]


def mapped(oci: Oci, uids: Any, gids: Any, *args: str) -> Bundle:
    kinds = [{"type": kind} for kind in (*NAMESPACES, "user")]
    return oci.bundle(*args).config({"linux": {"namespaces": kinds, "uidMappings": uids, "gidMappings": gids}})


def test_several_ranges_other_ones_for_groups(oci: Oci) -> None:
    """uidMappings "describes the user namespace uid mappings from the host to the container"."""
    uids, gids = ranges((0, 1_800_000, 10), (100, 1_850_000, 5)), ranges((0, 1_900_000, 1000))
    bundle = mapped(oci, uids, gids).config({"process": {"user": {"uid": 101, "gid": 7, "additionalGids": [8]}}}).up()
    status = os.stat(f"/proc/{bundle.pid}/root/dev/null")
    assert status.st_uid in (0, 1_800_000)
    with open(f"/proc/{bundle.pid}/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    assert lines["Uid"].split() == ["1850001"] * 4
    assert lines["Gid"].split() == ["1900007"] * 4
    assert bundle.exec("id").out == "uid=101 gid=7 groups=8\n"


def test_id_0_need_not_be_mapped(oci: Oci) -> None:
    bundle = mapped(oci, ranges((100, 1_800_000, 5)), ranges((5, 1_900_000, 100)), "id")
    assert bundle.config({"process": {"user": {"uid": 101, "gid": 17}}}).run().out == "uid=101 gid=17\n"


@pytest.mark.parametrize(
    ("uids", "gids", "pointer"),
    [
        (ranges((0, 1_800_000, 10), (5, 1_900_000, 10)), ranges((0, 1, 9)), "/linux/uidMappings/1"),
        (ranges((0, 1_800_000, 10)), ranges((0, 2**32 - 5, 10)), "/linux/gidMappings/0"),
        (ranges((0, 1_800_000, 10)), [], "/linux/gidMappings"),
    ],
)
def test_ranges_that_the_kernel_would_refuse(oci: Oci, uids: Any, gids: Any, pointer: str) -> None:
    assert pointer in mapped(oci, uids, gids).create(code=1).err


def test_an_id_that_is_not_mapped(oci: Oci) -> None:
    bundle = mapped(oci, ranges((0, 1_800_000, 10)), ranges((0, 1_900_000, 1000)))
    assert "uid 10" in bundle.config({"process": {"user": {"uid": 10, "gid": 0}}}).create(code=1).err


def test_mappings_need_a_user_namespace(oci: Oci) -> None:
    bundle = oci.bundle().config({"linux": {"uidMappings": ranges((0, 1_800_000, 10))}})
    assert "/linux/uidMappings" in bundle.create(code=1).err


@pytest.mark.parametrize("id", [2**31 - 1, 2**31, 2**32 - 2])
def test_ids_go_as_far_as_the_kernel(oci: Oci, id: int) -> None:
    bundle = oci.bundle("id").config({"process": {"user": {"uid": id, "gid": id}}})
    assert bundle.run().out == f"uid={id} gid={id}\n"


@pytest.mark.parametrize("id", [-1, 2**32 - 1, 2**32, 2**63])
def test_minus_one_is_no_id(oci: Oci, id: int) -> None:
    """setresuid(-1) would leave the container's process root."""
    oci.bundle("id").config({"process": {"user": {"uid": id, "gid": 0}}}).create(code=1)
    oci.bundle("id").config({"process": {"user": {"uid": 0, "gid": id}}}).create(code=1)


def test_without_mappings_ids_are_the_runtimes_own(oci: Oci) -> None:
    """As by crun; with half of them, which can only be a mistake, an error (above)."""
    bundle = mapped(oci, [], []).config({"process": {"user": {"uid": 5, "gid": 6}}}).up()
    assert os.readlink(f"/proc/{bundle.pid}/ns/user") != os.readlink("/proc/self/ns/user")
    assert bundle.exec("id").out == "uid=5 gid=6\n"
