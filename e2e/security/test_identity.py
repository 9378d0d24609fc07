"""Who a process is: ids, groups and capabilities are those of the configuration, whoever calls the runtime."""

import ctypes
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from e2e.runtime.bundles import CAPABILITIES, Bundle, Oci
from e2e.security.inside import USERNS, own_by_userns

STATUS = ("cat", "/proc/self/status")


def status(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _, value in pairs}


def generous() -> None:
    """What a careless caller may be: member of groups, with inheritable and ambient capabilities (CVE-2022-24769)."""
    libc, everything = ctypes.CDLL(None, use_errno=True), 0x00FFFFFF
    os.setgroups([0, 4, 27, 4242])
    assert libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *(everything,) * 3, 0, 0, 0)) == 0
    assert libc.prctl(47, 2, 0, 0, 0) == 0  # PR_CAP_AMBIENT_RAISE CAP_CHOWN
    mine = status(Path("/proc/self/status").read_text())
    assert int(mine["CapInh"], 16) == everything
    assert int(mine["CapAmb"], 16) == 1


def ways(bundle: Bundle) -> list[dict[str, str]]:
    """Its status by run and by exec."""
    found = [status(bundle.run(preexec_fn=generous).out)]
    bundle.config({"process": {"args": ["sleep", "1000"]}}).up()
    found.append(status(bundle.exec(*STATUS, preexec_fn=generous).out))
    return found


@pytest.mark.parametrize("userns", [False, True])
@pytest.mark.parametrize(
    ("user", "groups"),
    [
        ({"uid": 0, "gid": 0}, []),
        ({"uid": 33, "gid": 33}, []),
        ({"uid": 33, "gid": 33, "additionalGids": []}, []),
        ({"uid": 33, "gid": 33, "additionalGids": [44, 55]}, ["44", "55"]),
        ({"uid": 33, "gid": 33, "username": "root"}, []),
    ],
)
def test_the_callers_groups_are_not_the_containers(
    oci: Oci, user: Mapping[str, Any], groups: list[str], userns: bool
) -> None:
    """CVE-2022-36109, CVE-2023-6507: `Groups` is exactly what the configuration says, when that is nothing, too."""
    bundle = oci.bundle(*STATUS, process={"user": user})
    if userns:
        bundle.config({"linux": USERNS})
        own_by_userns(bundle.rootfs)
    for found in ways(bundle):
        assert found["Groups"].split() == groups


@pytest.mark.parametrize(
    ("user", "ids"),
    [("www", "33 33 44"), ("www:www", "33 33"), ("33", "33 0"), ("33:5", "33 5"), ("7", "7 0"), ("root", "0 0")],
)
def test_every_form_of_a_user_has_its_own_groups(oci: Oci, user: str, ids: str) -> None:
    found = status(oci.bundle().up().exec(*STATUS, options=["--user", user], preexec_fn=generous).out)
    assert (found["Uid"].split()[0], found["Gid"].split()[0], *found["Groups"].split()) == tuple(ids.split())


@pytest.mark.parametrize("uid", [0, 33])
def test_the_callers_capabilities_are_not_the_containers(oci: Oci, uid: int) -> None:
    """CVE-2022-24769, 27650, 27651, 27652, 29162: nothing inheritable or ambient; all sets as configured."""
    bits = sum(1 << bit for bit in (0, 1, 3, 5, 6, 7, 8))
    assert len(CAPABILITIES) == 7
    bundle = oci.bundle(*STATUS, process={"user": {"uid": uid, "gid": uid}})
    for found in ways(bundle):
        sets = {name: int(found[f"Cap{name}"], 16) for name in ("Inh", "Amb", "Bnd", "Prm", "Eff")}
        own = bits if uid == 0 else 0  # execve(2) leaves them to root alone
        assert sets == {"Inh": 0, "Amb": 0, "Bnd": bits, "Prm": own, "Eff": own}


@pytest.mark.parametrize("id", [-1, 2**32 - 1, 2**32, 2**64, "0", 0.5, True])
@pytest.mark.parametrize("field", ["uid", "gid", "additionalGids"])
def test_what_is_no_id_is_refused(oci: Oci, field: str, id: Any) -> None:
    """CVE-2024-40635: 2^32 would be root to setuid(2), 2^32-1 no change at all, which is root here."""
    user: dict[str, Any] = {"uid": 5, "gid": 5, field: [id] if field == "additionalGids" else id}
    assert "cannot" in oci.bundle("id", process={"user": user}).run(code=1).err


@pytest.mark.parametrize("id", [2**31 - 1, 2**31, 2**32 - 2])
def test_a_large_id_is_that_id(oci: Oci, id: int) -> None:
    done = oci.bundle(*STATUS, process={"user": {"uid": id, "gid": id, "additionalGids": [id]}}).run()
    found = status(done.out)
    assert set(found["Uid"].split() + found["Gid"].split() + found["Groups"].split()) == {str(id)}
