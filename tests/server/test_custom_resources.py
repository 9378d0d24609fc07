"""CustomResourceDefinitions and their objects over HTTP."""

from pathlib import Path
from typing import Any

import pytest

from orchestr.api.scheme import by_plural
from tests.server.daemon import Daemon, daemon
from tests.server.widgets import DEFINITIONS, NAME, WIDGETS, definition, version, widget

MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}


@pytest.fixture
async def widgets(served: Daemon) -> Daemon:
    status, made = await served.request("POST", DEFINITIONS, definition())
    assert status == 201, made
    return served


async def test_a_definition_is_established_when_its_create_returns(widgets: Daemon) -> None:
    _, found = await widgets.request("GET", f"{DEFINITIONS}/{NAME}")
    status = found["status"]
    assert {each["type"]: each["status"] for each in status["conditions"]} == {
        "NamesAccepted": "True",
        "Established": "True",
    }
    assert status["acceptedNames"]["listKind"] == "WidgetList"
    assert (status["acceptedNames"]["singular"], status["storedVersions"]) == ("widget", ["v1"])
    assert found["spec"]["conversion"] == {"strategy": "None"}
    _, listed = await widgets.request("GET", "/apis/example.org/v1")
    resources = {each["name"]: each for each in listed["resources"]}
    assert set(resources) == {"widgets", "widgets/status", "widgets/scale"}
    assert (resources["widgets"]["shortNames"], resources["widgets"]["categories"]) == (["wd"], ["all"])
    _, group = await widgets.request("GET", "/apis/example.org")
    assert [each["version"] for each in group["versions"]] == ["v1", "v1beta1"]


async def test_objects_are_stored_with_defaults(widgets: Daemon) -> None:
    status, made = await widgets.request("POST", WIDGETS, widget(free={"any": [1, {"x": None}]}, note=None))
    assert status == 201, made
    assert made["spec"] == {
        "size": 3,
        "limit": 10,
        "color": "red",
        "replicas": 1,
        "free": {"any": [1, {"x": None}]},
        "note": None,
    }
    assert (made["metadata"]["generation"], made["apiVersion"], made["kind"]) == (1, "example.org/v1", "Widget")
    _, listed = await widgets.request("GET", WIDGETS)
    assert (listed["kind"], [each["metadata"]["name"] for each in listed["items"]]) == ("WidgetList", ["a"])
    status, _ = await widgets.request("DELETE", WIDGETS + "/a")
    assert status == 200


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"size": "3"}, "spec.size", 'must be of type integer: "string"'),
    ({"size": 0}, "spec.size", "should be greater than or equal to 1"),
    ({"color": "blue"}, "spec.color", 'supported values: "red", "green"'),
    ({"name": "A"}, "spec.name", "should match '^[a-z]+$'"),
    ({"name": "abcdef"}, "spec.name", "Too long"),
    ({"port": True}, "spec.port", "must be of type integer,string"),
    ({"parts": [{"weight": 1}]}, "spec.parts[0].name", "Required value"),
    ({"parts": [{"name": "a"}, {"name": "a"}]}, "spec.parts[1]", "Duplicate value"),
    ({"tags": ["a", "a"]}, "spec.tags[1]", "Duplicate value"),
    ({"size": 11}, "spec", "size is over the limit"),
]


@pytest.mark.parametrize(("spec", "field", "text"), BAD, ids=[f"{field}-{text}"[:40] for _, field, text in BAD])
async def test_what_the_schema_forbids_is_refused(widgets: Daemon, spec: dict[str, Any], field: str, text: str) -> None:
    status, answer = await widgets.request("POST", WIDGETS, widget(**spec))
    assert (status, answer["reason"]) == (422, "Invalid"), answer
    causes = {cause["field"]: cause["message"] for cause in answer["details"]["causes"]}
    assert text in causes[field], causes


async def test_unknown_fields_are_pruned_or_refused(widgets: Daemon) -> None:
    body = widget(colour="red")
    status, answer = await widgets.request("POST", f"{WIDGETS}?fieldValidation=Strict", body)
    assert status == 400, answer
    assert 'unknown field "spec.colour"' in answer["message"]
    status, made = await widgets.request("POST", WIDGETS, body)
    assert (status, "colour" in made["spec"]) == (201, False)


async def test_a_transition_rule_holds_on_update_only(widgets: Daemon) -> None:
    await widgets.request("POST", WIDGETS, widget(color="green"))
    status, answer = await widgets.request("PATCH", WIDGETS + "/a", {"spec": {"color": "red"}}, MERGE)
    assert status == 422, answer
    assert "color is immutable" in answer["message"]
    status, changed = await widgets.request("PATCH", WIDGETS + "/a", {"spec": {"size": 4}}, MERGE)
    assert (status, changed["metadata"]["generation"]) == (200, 2)


async def test_status_is_apart(widgets: Daemon) -> None:
    _, made = await widgets.request("POST", WIDGETS, {**widget(), "status": {"phase": "x"}})
    assert "status" not in made
    status, done = await widgets.request("PATCH", WIDGETS + "/a/status", {"status": {"phase": "Ready"}}, MERGE)
    assert (status, done["status"], done["metadata"]["generation"]) == (200, {"phase": "Ready"}, 1)
    _, kept = await widgets.request("PATCH", WIDGETS + "/a", {"status": {"phase": "y"}}, MERGE)
    assert kept["status"] == {"phase": "Ready"}
    status, answer = await widgets.request("PATCH", WIDGETS + "/a/status", {"status": {"phase": 3}}, MERGE)
    assert status == 422, answer


async def test_scale_reads_and_writes_the_paths_of_the_definition(widgets: Daemon) -> None:
    await widgets.request("POST", WIDGETS, widget())
    await widgets.request("PATCH", WIDGETS + "/a/status", {"status": {"replicas": 1, "selector": "a=b"}}, MERGE)
    status, scale = await widgets.request("GET", WIDGETS + "/a/scale")
    assert (status, scale["spec"], scale["status"]) == (200, {"replicas": 1}, {"replicas": 1, "selector": "a=b"})
    status, scale = await widgets.request("PATCH", WIDGETS + "/a/scale", {"spec": {"replicas": 4}}, MERGE)
    assert (status, scale["spec"]) == (200, {"replicas": 4})
    _, found = await widgets.request("GET", WIDGETS + "/a")
    assert found["spec"]["replicas"] == 4


async def test_columns_are_those_of_the_definition(widgets: Daemon) -> None:
    await widgets.request("POST", WIDGETS, widget(parts=[{"name": "p"}]))
    _, table = await widgets.request("GET", WIDGETS, None, {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Size", "Age", "First"]
    cells = table["rows"][0]["cells"]
    assert (cells[0], cells[1], cells[3]) == ("a", 3, "p")


async def test_versions_differ_in_their_name_only(widgets: Daemon) -> None:
    await widgets.request("POST", WIDGETS, widget("new"))
    old = WIDGETS.replace("/v1/", "/v1beta1/")
    status, made = await widgets.request("POST", old, widget("old", "example.org/v1beta1"))
    assert (status, made["apiVersion"]) == (201, "example.org/v1beta1")
    for path, wanted in ((WIDGETS, "example.org/v1"), (old, "example.org/v1beta1")):
        _, listed = await widgets.request("GET", path)
        assert [each["apiVersion"] for each in listed["items"]] == [wanted, wanted]
    status, changed = await widgets.request("PATCH", f"{old}/new", {"spec": {"size": 5}}, MERGE)
    assert (status, changed["apiVersion"], changed["spec"]["size"]) == (200, "example.org/v1beta1", 5)


async def test_lists_merge_by_the_keys_of_the_schema(widgets: Daemon) -> None:
    for manager, part in (("one", {"name": "a", "weight": 1}), ("two", {"name": "b", "weight": 2.5})):
        body = {**widget(), "spec": {"size": 3, "parts": [part], "tags": [manager]}}
        status, done = await widgets.request("PATCH", f"{WIDGETS}/a?fieldManager={manager}", body, APPLY)
        assert status in (200, 201), done
    assert sorted(each["name"] for each in done["spec"]["parts"]) == ["a", "b"]
    assert sorted(done["spec"]["tags"]) == ["one", "two"]
    body = {**widget(), "spec": {"size": 4}}
    status, answer = await widgets.request("PATCH", f"{WIDGETS}/a?fieldManager=three", body, APPLY)
    assert (status, answer["reason"]) == (409, "Conflict")


async def test_objects_survive_a_restart(tmp_path: Path) -> None:
    async with daemon(str(tmp_path)) as first:
        await first.request("POST", DEFINITIONS, definition())
        await first.request("POST", WIDGETS, widget())
    async with daemon(str(tmp_path)) as second:
        status, found = await second.request("GET", WIDGETS + "/a")
        assert (status, found["spec"]["size"]) == (200, 3)
        assert not second.cluster.quarantined
    async with daemon(str(tmp_path)) as third:
        status, _ = await third.request("POST", WIDGETS, widget("b"))
        assert status == 201


async def test_a_definition_and_its_objects_in_one_set(served: Daemon) -> None:
    items = {"items": [{**widget(), "metadata": {"name": "a", "namespace": "default"}}, definition()]}
    status, done = await served.request("POST", "/orchestr.dev/v1/apply?manager=orch", items)
    assert status == 200, done
    assert [each["action"] for each in done["items"]] == ["created", "created"]
    status, _ = await served.request("GET", WIDGETS + "/a")
    assert status == 200


async def test_watching_a_custom_resource(widgets: Daemon) -> None:
    kind = by_plural("example.org", "v1beta1", "widgets")
    assert kind is not None
    await widgets.request("POST", WIDGETS, widget())
    async with widgets.cluster.watch(kind) as events:
        event = await anext(events)
    assert event.object is not None
    assert (event.type, event.object.api_version) == ("ADDED", "example.org/v1beta1")


async def test_a_changed_schema_holds_from_then_on(widgets: Daemon) -> None:
    await widgets.request("POST", WIDGETS, widget(name="abc"))
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    versions = [version("v1", storage=True, schema={"openAPIV3Schema": schema}, subresources={})]
    patch = {"spec": {"versions": versions}}
    status, answer = await widgets.request("PATCH", f"{DEFINITIONS}/{NAME}", patch, MERGE)
    assert status == 200, answer
    status, changed = await widgets.request("PATCH", WIDGETS + "/a", {"spec": {"size": 4}}, MERGE)
    assert (status, changed["spec"]) == (200, {"size": 4})
    status, _ = await widgets.request("GET", WIDGETS.replace("/v1/", "/v1beta1/"))
    assert status == 404


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"scope": "Both"}, "spec.scope"),
    ({"group": "other.org"}, "metadata.name"),
    ({"versions": [version("v1")]}, "spec.versions"),
    ({"versions": [version("v1", storage=True, schema={})]}, "spec.versions[0].schema.openAPIV3Schema"),
    ({"conversion": {"strategy": "Webhook"}}, "spec.conversion.strategy"),
    ({"preserveUnknownFields": True}, "spec.preserveUnknownFields"),
]


@pytest.mark.parametrize(("spec", "field"), BROKEN, ids=[field for _, field in BROKEN])
async def test_a_wrong_definition_is_refused(served: Daemon, spec: dict[str, Any], field: str) -> None:
    status, answer = await served.request("POST", DEFINITIONS, definition(**spec))
    assert status == 422, answer
    assert field in [cause["field"] for cause in answer["details"]["causes"]]


NOT_STRUCTURAL: list[tuple[dict[str, Any], str]] = [
    ({"type": "string"}, ".type"),
    ({"type": "object", "properties": {"a": {}}}, ".properties[a].type"),
    ({"type": "object", "properties": {"a": {"type": "array"}}}, ".properties[a].items"),
    ({"type": "object", "properties": {"a": {"type": "string", "$ref": "#/x"}}}, ".properties[a].$ref"),
    ({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}, ".properties[a].pattern"),
    ({"type": "object", "properties": {"a": {"type": "string", "default": 3}}}, ".properties[a].default"),
    ({"type": "object", "anyOf": [{"type": "object"}]}, ".anyOf[0].type"),
    ({"type": "object", "anyOf": [{"properties": {"a": {"minimum": 1}}}]}, ".anyOf[0].properties[a]"),
    (
        {"type": "object", "x-kubernetes-validations": [{"rule": "self.nosuch("}]},
        ".x-kubernetes-validations[0].rule",
    ),
    (
        {"type": "object", "x-kubernetes-validations": [{"rule": "self.find('a+') == 'a'"}]},
        ".x-kubernetes-validations[0].rule",
    ),
]


@pytest.mark.parametrize(("schema", "field"), NOT_STRUCTURAL, ids=[field for _, field in NOT_STRUCTURAL])
async def test_a_schema_has_to_be_structural(served: Daemon, schema: dict[str, Any], field: str) -> None:
    versions = [version("v1", storage=True, schema={"openAPIV3Schema": schema}, subresources={})]
    status, answer = await served.request("POST", DEFINITIONS, definition(versions=versions))
    assert status == 422, answer
    fields = [cause["field"] for cause in answer["details"]["causes"]]
    assert f"spec.versions[0].schema.openAPIV3Schema{field}" in fields, fields


async def test_events_are_the_same_objects_in_both_groups(served: Daemon) -> None:
    new = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "regarding": {"kind": "Pod", "name": "a", "namespace": "default"},
        "note": "it is so",
        "reason": "So",
        "type": "Normal",
        "action": "Do",
        "eventTime": "2026-01-01T00:00:00.000001Z",
        "reportingController": "x.org/y",
        "reportingInstance": "z",
    }
    status, made = await served.request("POST", "/apis/events.k8s.io/v1/namespaces/default/events", new)
    assert (status, made["note"], made["apiVersion"]) == (201, "it is so", "events.k8s.io/v1")
    _, core = await served.request("GET", "/api/v1/namespaces/default/events/e")
    assert (core["message"], core["involvedObject"]["name"], core["apiVersion"]) == ("it is so", "a", "v1")
    _, listed = await served.request("GET", "/apis/events.k8s.io/v1/events")
    assert [(each["note"], each["regarding"]["name"]) for each in listed["items"]] == [("it is so", "a")]
