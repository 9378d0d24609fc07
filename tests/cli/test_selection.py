"""Which services a command is about, and what a Stack becomes when only some are."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestr.cli.selection import levels, merged, scaled, with_dependencies

NAMES = "abcdef"


def service(image: str, *needs: str) -> dict[str, Any]:
    edges = {name: {"condition": "service_started"} for name in needs}
    return {"image": image, **({"depends_on": edges} if edges else {})}


@st.composite
def projects(draw: st.DrawFn) -> dict[str, Any]:
    """Services that wait only for those before them."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    return {
        name: service(draw(st.sampled_from("xyz")), *draw(st.lists(st.sampled_from(names[:at]), unique=True)))
        if at
        else service("x")
        for at, name in enumerate(names)
    }


@given(projects(), st.sets(st.sampled_from(NAMES)))
def test_each_level_waits_only_for_those_before_it(services: dict[str, Any], names: set[str]) -> None:
    order = levels(services, names)
    assert sorted(name for level in order for name in level) == sorted(names & services.keys())
    seen: set[str] = set()
    for level in order:
        for name in level:
            needed = set(with_dependencies(services, [name])) & names - {name}
            assert needed <= seen
        seen |= set(level)


@given(projects(), projects(), st.sets(st.sampled_from(NAMES)))
def test_what_is_not_chosen_stays_as_it_is(wanted: dict[str, Any], stored: dict[str, Any], names: set[str]) -> None:
    names &= wanted.keys()
    found = merged({"services": wanted}, {"services": stored}, names, stay=stored)["services"]
    assert found.keys() == stored.keys() | names
    for name, each in found.items():
        assert each["image"] == (wanted if name in names else stored)[name]["image"]
        assert set(each.get("depends_on", ())) <= found.keys()
    again = merged({"services": wanted}, {"services": found}, names, stay=found)["services"]
    assert again == found


def test_orphans_leave_and_what_is_there_is_left_alone() -> None:
    wanted, stored = (
        {"services": {"a": service("new"), "b": service("b")}},
        {"services": {"a": service("old"), "z": {}}},
    )
    assert merged(wanted, stored, ["a", "b"])["services"] == wanted["services"]
    kept = merged(wanted, stored, ["a", "b"], recreate=False)["services"]
    assert kept == {"a": service("old"), "b": service("b")}
    assert scaled(wanted, {"b": 3})["services"]["b"]["deploy"] == {"replicas": 3}
