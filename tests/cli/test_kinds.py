"""The tables that commands use instead of the models, held against the models."""

import importlib
from typing import Any

import pytest

from orchestr.api import scheme
from orchestr.cli import COMMANDS, columns, kinds
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
    module = importlib.import_module(f"orchestr.cli.{name.replace('-', '_')}")
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


class Server:
    """Discovery of one group; `aggregated` or as servers before 1.27 have it."""

    def __init__(self, aggregated: bool) -> None:
        self.aggregated, self.asked = aggregated, list[str]()

    def get(self, target: str, query: Any = None, *, accept: str = "") -> dict[str, Any]:
        self.asked.append(target)
        gadgets: dict[str, Any] = {"shortNames": ["gd"]}
        if target == "/api":
            return {"kind": "APIVersions", "versions": []}
        if self.aggregated:
            resource = {**gadgets, "resource": "gadgets", "responseKind": {"kind": "Gadget"}, "scope": "Cluster"}
            versions = [{"version": version, "resources": [resource]} for version in ("v2", "v1")]
            items = [{"metadata": {"name": "example.org"}, "versions": versions}]
            return {"kind": "APIGroupDiscoveryList", "items": items}
        if target == "/apis":
            return {"kind": "APIGroupList", "groups": [{"name": "example.org", "versions": [{"version": "v2"}]}]}
        plain = {**gadgets, "name": "gadgets", "kind": "Gadget", "namespaced": False}
        return {"kind": "APIResourceList", "resources": [plain, {**plain, "name": "gadgets/status"}]}


@pytest.mark.parametrize("aggregated", [True, False])
def test_kinds_that_only_the_server_knows_are_asked_for_once(aggregated: bool) -> None:
    server: Any = Server(aggregated)
    learn_from(server)
    for name in ("gadgets", "gadget", "gadgets.example.org", "gd"):
        kinds._BY_NAME.pop(name, None)
    assert find("gd") == find("Gadget") == Kind("Gadget", "gadgets", "example.org", ("gd",), False, "v2")
    assert server.asked == ["/api", "/apis", *([] if aggregated else ["/apis/example.org/v2"])]
