"""The mappings that a mount's option idmap= spells out."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr.runtime import idmapped, mountopts
from orchestr.runtime.idmap import Mappings
from orchestr.runtime.seam import RuntimeFailure

IDS = Mappings.shifted(100_000, 1000)


def entry(first: int, second: int, size: int) -> dict[str, int]:
    return {"containerID": first, "hostID": second, "size": size}


def test_triplets_are_ids_of_the_machine_or_of_the_container() -> None:
    """crun(1), "idmap mount options"."""
    options = mountopts.parse(["bind", "ridmap=uids=0-1-10#10-11-10;gids=@5-100-10"], "bind", "/m")
    assert (options.idmap, options.deep_idmap) == (True, True)
    assert idmapped.ranges(options.ranges, IDS, "/m") == {
        "uidMappings": [entry(0, 1, 10), entry(10, 11, 10)],
        "gidMappings": [entry(5, 100_100, 10)],
    }


@given(st.text("uids=g;#@-0123456789x", max_size=30))
def test_any_text_is_mappings_or_an_error(text: str) -> None:
    with suppress(RuntimeFailure):
        found = idmapped.ranges(text, IDS, "/m")
        for kind in ("uidMappings", "gidMappings"):
            assert all(set(item) == {"containerID", "hostID", "size"} for item in found[kind] or ())


@pytest.mark.parametrize("fstype", ["tmpfs", "proc"])
def test_it_is_an_option_of_binds(fstype: str) -> None:
    with pytest.raises(RuntimeFailure, match="idmap="):
        mountopts.parse(["idmap=uids=0-1-1;gids=0-1-1"], fstype, "/m")
