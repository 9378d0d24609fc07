"""The tables that commands use instead of the models, held against the models."""

import importlib
from typing import Any

import pytest

from orchestr.api import scheme
from orchestr.cli import COMMANDS, columns
from orchestr.cli.errors import Bad
from orchestr.cli.kinds import ALL, KINDS, Kind, find, learn_from, references


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_each_kind_is_as_the_model_says(kind: Kind) -> None:
    """Group, plural, short names, scope and columns."""
    model = scheme.kind_of(kind.api_version, kind.kind)
    told = (kind.plural, kind.group, kind.short, kind.namespaced)
    assert told == (model.PLURAL, model.GROUP, model.SHORT, model.NAMESPACED)
    assert kind.kind in columns.TABLE


def test_every_model_has_its_line() -> None:
    assert {kind.kind for kind in KINDS} == {kind.model_fields["kind"].default for kind in scheme.KINDS}
    assert set(ALL) <= {kind.plural for kind in KINDS}


@pytest.mark.parametrize("word", ["pod", "pods", "po", "Pod", "PODS"])
def test_a_kind_goes_by_many_names(word: str) -> None:
    assert find(word).kind == "Pod"
    assert find("deployments.apps").kind == "Deployment"


def test_a_wrong_kind_names_the_nearest() -> None:
    with pytest.raises(Bad, match="did you mean pod"):
        find("podz")
    with pytest.raises(Bad, match="kinds: stacks"):
        find("qqqqq")


def test_references_in_every_spelling() -> None:
    """`pods`, `pods,svc`, `pod a b`, `pod/a svc/b`, `all`."""
    pods, services = find("pods"), find("services")
    assert references(["pods"]) == ([pods], [])
    assert references(["pods,svc"]) == ([pods, services], [])
    assert references(["pod", "a", "b"]) == ([], [(pods, "a"), (pods, "b")])
    assert references(["pod/a", "svc/b"]) == ([], [(pods, "a"), (services, "b")])
    assert [kind.plural for kind in references(["all"])[0]] == list(ALL)
    assert references([]) == ([], [])


@pytest.mark.parametrize("name", [name for name, _, _, _ in COMMANDS])
def test_every_command_has_its_module(name: str) -> None:
    """add() and run(), and a line of help that fits an 80 column terminal."""
    module = importlib.import_module(f"orchestr.cli.{name}")
    assert callable(module.add)
    assert callable(module.run)
    assert all(len(help_) <= 66 for command, _, _, help_ in COMMANDS if command == name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
@pytest.mark.parametrize("wide", [False, True])
def test_a_bare_object_has_a_row_as_wide_as_its_header(kind: Kind, wide: bool) -> None:
    """An object with neither spec nor status, as the first instant after its creation may show it."""
    bare = {"kind": kind.kind, "metadata": {"name": "x", "namespace": "ns"}}
    row = columns.row(kind.kind, bare, wide=wide, namespaces=True)
    assert len(row) == len(columns.header(kind.kind, wide=wide, namespaces=True))
    assert row[:2] == ["ns", "x"]


def test_kinds_that_only_the_daemon_knows_are_asked_for_once() -> None:
    asked: list[int] = []
    spec = {
        "group": "example.org",
        "scope": "Cluster",
        "names": {"plural": "gadgets", "kind": "Gadget", "shortNames": ["gd"]},
        "versions": [
            {"name": "v1", "served": True, "storage": False},
            {"name": "v2", "served": True, "storage": True},
        ],
    }

    def definitions() -> list[dict[str, Any]]:
        asked.append(1)
        return [{"spec": spec}]

    learn_from(definitions)
    assert find("gd") == find("Gadget") == Kind("Gadget", "gadgets", "example.org", ("gd",), False, "v2")
    assert len(asked) == 1
