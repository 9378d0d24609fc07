"""What is decoded in part is what decoding the whole gives, and shares no map with the caller."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr.api.base import KubeObject, ObjectMeta
from orchestr.api.core import ConfigMap, Container, Pod, PodSpec, PodStatus
from orchestr.store.decoding import decoded

MAPS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "é"]), max_size=2)
TIMES = st.datetimes(datetime(2001, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
METAS = st.builds(
    ObjectMeta, name=st.just("web"), namespace=st.just("default"), uid=st.just("u"), resource_version=st.just("1"),
    labels=MAPS, annotations=MAPS, creation_timestamp=st.none() | TIMES,
)  # fmt: skip
SPECS = st.builds(
    PodSpec, containers=st.just((Container(name="c", image="i"),)), node_selector=MAPS, host_network=st.booleans()
)
STATUSES = st.builds(PodStatus, phase=st.sampled_from(["Pending", "Running"]), start_time=st.none() | TIMES)
PODS = st.builds(Pod, metadata=METAS, spec=SPECS, status=STATUSES)
CONFIGS = st.builds(ConfigMap, metadata=METAS, data=MAPS, immutable=st.none() | st.booleans())


def stored(obj: KubeObject) -> KubeObject:
    return type(obj).model_validate_json(obj.canonical())


def maps(value: Any) -> list[int]:
    """Identities of all maps in an object."""
    if isinstance(value, Mapping):
        return [id(value), *(found for each in value.values() for found in maps(each))]
    if isinstance(value, tuple):
        return [found for each in value for found in maps(each)]
    return [found for each in vars(value).values() for found in maps(each)] if hasattr(value, "__dict__") else []


@settings(max_examples=200, deadline=None)
@given(
    st.tuples(PODS, PODS) | st.tuples(CONFIGS, CONFIGS),
    st.sets(st.sampled_from(["metadata", "spec", "status", "data"])),
)
def test_part_of_it_is_as_the_whole(pair: tuple[KubeObject, KubeObject], changing: set[str]) -> None:
    old, other = stored(pair[0]), pair[1]
    changes = {name: getattr(other, name) for name in changing if name in type(old).model_fields}
    new = old.but(**changes).but(metadata=changes.get("metadata", old.metadata).but(resource_version="7"))
    data = new.canonical()
    found = decoded(new, data, 7, old)
    assert found == stored(new) == decoded(new, data, 7, None)
    assert found.canonical() == data
    theirs = {each for part in changes.values() for each in maps(part)}
    assert theirs.isdisjoint(maps(found))


def test_what_did_not_change_is_not_made_again() -> None:
    old = stored(Pod(metadata=ObjectMeta(name="web"), spec=PodSpec(containers=(Container(name="c", image="i"),))))
    assert isinstance(old, Pod)
    new = old.but(status=PodStatus(phase="Running"), metadata=old.metadata.but(resource_version="2"))
    found = decoded(new, new.canonical(), 2, old)
    assert isinstance(found, Pod)
    assert found.spec is old.spec
    assert found.metadata.resource_version == "2"
