"""Rules of server-side apply that hold for any objects, on the pure functions."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestr.store import managed
from orchestr.store.fields import changed, dotted, fields_of, merge, minus, union, without
from orchestr.store.shapes import root

NOW = datetime(2026, 1, 1, tzinfo=UTC)
words = st.sampled_from(["a", "b", "c"])
scalars = st.one_of(st.integers(0, 3), words)
items = st.lists(
    st.fixed_dictionaries({"name": words}, optional={"value": scalars, "args": st.lists(words)}),
    unique_by=lambda item: str(item["name"]),
    min_size=1,
    max_size=3,
)
specs = st.fixed_dictionaries(
    {},
    optional={
        "replicas": st.integers(0, 3),
        "labels": st.dictionaries(words, scalars, min_size=1, max_size=3),
        "args": st.lists(words, min_size=1),
        "containers": items,
        "nodeSelector": st.dictionaries(words, words, min_size=1),
    },
)


ROOT = (*root({"apiVersion": "v1", "kind": "Pod"}), "spec")


def thing(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "t"}, **({"spec": spec} if spec else {})}


def applied(live: dict[str, Any], spec: dict[str, Any], manager: str, *, force: bool = True) -> dict[str, Any]:
    return managed.apply(live, managed.cleaned(thing(spec)), manager=manager, force=force, now=NOW)


def by_name(value: Any) -> Any:
    """Keyed lists in an order of their own, to compare them."""
    if isinstance(value, dict):
        return {key: by_name(child) for key, child in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted((by_name(child) for child in value), key=lambda item: str(item["name"]))
    return value


def spec_of(wire: dict[str, Any]) -> Any:
    return by_name(wire.get("spec") or {})


@given(specs)
def test_a_lone_manager_gets_exactly_what_it_applies(spec: dict[str, Any]) -> None:
    assert spec_of(applied({}, spec, "m")) == by_name(spec)


@given(specs, specs)
def test_what_is_left_out_vanishes(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert spec_of(applied(applied({}, first, "m"), second, "m")) == by_name(second)


@given(specs, specs)
def test_applying_again_changes_nothing(first: dict[str, Any], second: dict[str, Any]) -> None:
    live = applied(applied({}, first, "n"), second, "m")
    assert applied(live, second, "m", force=False) == live


@given(specs, specs)
def test_one_manager_that_lets_go_leaves_what_the_other_owns(mine: dict[str, Any], yours: dict[str, Any]) -> None:
    live = applied(applied({}, mine, "m"), yours, "n")
    assert spec_of(applied(live, {}, "m")) == by_name(yours)


@given(specs, specs)
def test_set_algebra(one: dict[str, Any], two: dict[str, Any]) -> None:
    a, b = fields_of(one, ROOT), fields_of(two, ROOT)
    assert minus(a, a) == {}
    assert minus(union(a, b), a) == minus(b, a)
    assert changed(one, one, ROOT) == {}
    assert without(one, a, ROOT) is None


@given(specs, specs)
def test_merged_has_all_that_is_wanted(live: dict[str, Any], wanted: dict[str, Any]) -> None:
    merged = merge(live, wanted, ROOT)
    assert merge(merged, wanted, ROOT) == merged
    assert minus(fields_of(wanted, ROOT), fields_of(merged, ROOT)) == {}


def test_what_vanishes_takes_its_defaults_along() -> None:
    """Fields that the store filled in below it are nobody's; what another manager set there stays."""
    live = applied({}, {"probe": {"command": "true"}, "services": {"a": {"image": "x"}, "b": {"image": "y"}}}, "me")
    live["spec"]["probe"]["period"] = live["spec"]["services"]["b"]["restart"] = "default"
    theirs = applied(live, {"services": {"a": {"replicas": 2}}}, "you")
    theirs["spec"]["services"]["a"]["restart"] = "default"
    assert applied(theirs, {}, "me")["spec"] == {"services": {"a": {"replicas": 2, "restart": "default"}}}
    assert applied(live, {"services": {"a": {"image": "x"}}}, "me")["spec"] == {"services": {"a": {"image": "x"}}}


def test_metadata_of_controllers_stays() -> None:
    live = managed.apply(
        {}, {**thing({}), "metadata": {"name": "t", "labels": {"a": "b"}}}, manager="me", force=True, now=NOW
    )
    live["metadata"]["labels"]["controller"] = "x"
    live["metadata"]["uid"] = "u"
    after = applied(live, {}, "me")["metadata"]
    assert (after["labels"], after["uid"]) == ({"controller": "x"}, "u")
    assert applied(after := applied(live, {}, "me"), {}, "me") == after


def test_an_update_by_name_takes_the_field_from_who_applied_it() -> None:
    live = applied({}, {"replicas": 1, "args": ["a"]}, "m")
    new = {**live, "spec": {**live["spec"], "replicas": 2}}
    entries = managed.update(live, new, manager="scale", now=NOW)
    owners = {entry["manager"]: entry["fieldsV1"] for entry in entries}
    assert owners == {"m": {"f:spec": {"f:args": {}}}, "scale": {"f:spec": {"f:replicas": {}}}}


def test_paths_read_as_in_kubernetes() -> None:
    trail = ("f:spec", "f:containers", 'k:{"name":"web"}', "f:image")
    assert dotted(trail) == '.spec.containers[name="web"].image'
