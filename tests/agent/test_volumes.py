"""A pod's volumes, on real directories that a container has written to."""

import os
import stat
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from orchestr.agent import volumes
from orchestr.agent.places import Places
from orchestr.api.core import PersistentVolumeClaimVolumeSource, Pod, PodSecurityContext, Volume
from orchestr.api.storage import PersistentVolume
from tests.agent.objects import pod

GROUP = 4242


def bound(path: Path, **changes: Any) -> Any:
    """Sources in which every claim is bound to the volume at this path."""
    spec = {"local": {"path": str(path)}, **changes}
    volume = PersistentVolume.model_validate({"metadata": {"name": "pv"}, "spec": spec})
    return Mock(volume=lambda claim: volume)


@pytest.mark.skipif(os.geteuid() != 0, reason="files are given to another group")
def test_fs_group_changes_the_volume_and_nothing_that_a_link_in_it_leads_to(tmp_path: Path) -> None:
    """As CVE-2017-1002101: chmod(2) of `here -> /root` in a claim would open /root to everybody."""
    outside, claim = tmp_path / "outside", tmp_path / "volumes/ns/data"
    outside.mkdir(mode=0o700)
    (claim / "a/b").mkdir(parents=True)
    (claim / "a/file").touch()
    for place in (claim, claim / "a"):
        (place / "here").symlink_to(outside)
    source = PersistentVolumeClaimVolumeSource(claim_name="data")
    wanted = pod(
        volumes=(Volume(name="v", persistent_volume_claim=source),),
        security_context=PodSecurityContext(fs_group=GROUP),
    )
    volumes.prepare(wanted, Places(str(tmp_path), str(tmp_path / "run")), bound(claim), owner=0)
    assert (stat.S_IMODE(outside.stat().st_mode), outside.stat().st_gid) == (0o700, 0)
    for directory in (claim, claim / "a", claim / "a/b"):
        assert (directory.stat().st_gid, directory.stat().st_mode & 0o2070) == (GROUP, 0o2070)
    assert (claim / "a/file").stat().st_gid == (claim / "a/here").lstat().st_gid == GROUP


def mounting(read_only: bool = False) -> Pod:
    source = PersistentVolumeClaimVolumeSource(claim_name="data", read_only=read_only)
    return pod(volumes=(Volume(name="v", persistent_volume_claim=source),))


def test_a_claim_is_its_volume_and_may_be_read_only(tmp_path: Path) -> None:
    places = Places(str(tmp_path), str(tmp_path / "run"))
    ready = volumes.prepare(mounting(read_only=True), places, bound(tmp_path), owner=0)["v"]
    assert (ready.source, ready.readonly, ready.idmap) == (str(tmp_path), True, True)


def test_what_cannot_be_mounted_of_a_claim_is_said(tmp_path: Path) -> None:
    places = Places(str(tmp_path), str(tmp_path / "run"))
    csi = {"local": None, "csi": {"driver": "x.org", "volumeHandle": "h"}}
    for sources, words in (
        (Mock(volume=lambda claim: None), "not bound to a volume"),
        (bound(tmp_path, **csi), "not supported"),
        (bound(tmp_path / "gone"), "no such file or directory"),
    ):
        with pytest.raises(volumes.VolumeFailure, match=words):
            volumes.prepare(mounting(), places, sources, owner=0)
