"""Server-side apply over the socket: who owns what, through which sub-resource, and what conflicts say."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.server.daemon import Daemon, config_map
from tests.server.test_verbs import deployment
from tests.server.widgets import DEFINITIONS, WIDGETS, definition, widget

WHERE = "/apis/apps/v1/namespaces/default/deployments"
WEB = f"{WHERE}/web"
MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}
YAML = {"content-type": "application/yaml"}
APPLY = {"content-type": "application/apply-patch+yaml"}
LAST = "kubectl.kubernetes.io/last-applied-configuration"


async def applied(served: Daemon, path: str, body: Any, manager: str, query: str = "") -> tuple[int, Any]:
    return await served.request("PATCH", f"{path}?fieldManager={manager}{query}", body, APPLY)


async def owners(served: Daemon, path: str) -> dict[tuple[str, str, str], Any]:
    _, found = await served.request("GET", path)
    entries = found["metadata"].get("managedFields", [])
    return {(e["manager"], e["operation"], e.get("subresource", "")): e["fieldsV1"] for e in entries}


def conditions(*types: str, status: str = "True") -> dict[str, Any]:
    found = [{"type": name, "status": status} for name in types]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "status": {"conditions": found}}


async def test_a_status_is_applied_apart(served: Daemon) -> None:
    status, _ = await applied(served, f"{WEB}/status", conditions("A"), "m")
    assert status == 404
    await applied(served, WEB, deployment("web", 1), "user")
    status, done = await applied(served, f"{WEB}/status", {**conditions("A"), "spec": {"replicas": 7}}, "m")
    assert (status, done["spec"]["replicas"]) == (200, 1)
    assert [c["type"] for c in done["status"]["conditions"]] == ["A"]
    await applied(served, f"{WEB}/status", conditions("B"), "n")
    mine = (await owners(served, WEB))[("m", "Apply", "status")]
    assert mine["f:status"]["f:conditions"] == {'k:{"type":"A"}': {".": {}, "f:type": {}, "f:status": {}}}
    _, done = await applied(served, f"{WEB}/status", conditions(), "m")
    assert [c["type"] for c in done["status"]["conditions"]] == ["B"]
    again = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "status": {"conditions": [{"type": "B", "status": "False"}]},
    }
    status, error = await applied(served, f"{WEB}/status", again, "m")
    told = 'conflict with "n" with subresource "status": .status.conditions[type="B"].status'
    assert (status, error["message"]) == (409, f"Apply failed with 1 conflict: {told}")
    assert ("user", "Apply", "") in await owners(served, WEB)


async def test_what_is_written_through_a_sub_resource_is_an_entry_of_its_own(served: Daemon) -> None:
    await applied(served, WEB, deployment("web", 1), "user")
    await served.request("PATCH", f"{WEB}/status?fieldManager=c", {"status": {"replicas": 2}}, MERGE)
    await served.request("PATCH", f"{WEB}/scale?fieldManager=hpa", {"spec": {"replicas": 3}}, MERGE)
    found = await owners(served, WEB)
    assert found[("c", "Update", "status")] == {"f:status": {"f:replicas": {}}}
    assert found[("hpa", "Update", "scale")] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in found[("user", "Apply", "")]["f:spec"]
    status, error = await applied(served, WEB, deployment("web", 1), "user")
    told = 'conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas'
    assert (status, error["message"]) == (409, f"Apply failed with 1 conflict: {told}")
    (cause,) = error["details"]["causes"]
    assert (cause["reason"], cause["field"]) == ("FieldManagerConflict", ".spec.replicas")


async def test_a_scale_is_applied(served: Daemon) -> None:
    await applied(served, WEB, deployment("web", 1), "user")
    wanted = {"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 4}}
    status, error = await applied(served, f"{WEB}/scale", wanted, "hpa")
    assert (status, error["message"]) == (409, 'Apply failed with 1 conflict: conflict with "user": .spec.replicas')
    status, scale = await applied(served, f"{WEB}/scale", wanted, "hpa", "&force=true")
    assert (status, scale["kind"], scale["spec"]) == (200, "Scale", {"replicas": 4})
    found = await owners(served, WEB)
    assert found[("hpa", "Apply", "scale")] == {"f:spec": {"f:replicas": {}}}
    status, error = await applied(served, f"{WEB}/scale", {**wanted, "apiVersion": "v1"}, "hpa")
    assert (status, error["reason"]) == (400, "BadRequest")


async def test_several_conflicts_are_told_by_manager(served: Daemon) -> None:
    await applied(served, f"{MAPS}/a", config_map("a", x="1", y="1"), "n")
    await served.request("PATCH", f"{MAPS}/a?fieldManager=edit", {"data": {"z": "1"}}, MERGE)
    status, error = await applied(served, f"{MAPS}/a", config_map("a", x="2", y="2", z="2"), "m")
    lines = ['conflicts with "edit" using v1:', "- .data.z", 'conflicts with "n":', "- .data.x", "- .data.y"]
    assert (status, error["message"]) == (409, "Apply failed with 3 conflicts: " + "\n".join(lines))


async def test_what_nobody_was_recorded_for_was_there_before(served: Daemon) -> None:
    from orchestr.api.core import ConfigMap

    await served.cluster.create(ConfigMap.model_validate(config_map("a", k="1")))
    status, error = await applied(served, f"{MAPS}/a", config_map("a", k="2"), "m")
    told = 'conflict with "before-first-apply" using v1: .data.k'
    assert (status, error["message"]) == (409, f"Apply failed with 1 conflict: {told}")
    await applied(served, f"{MAPS}/a", config_map("a", n="2"), "m")
    assert set(await owners(served, f"{MAPS}/a")) == {("m", "Apply", ""), ("before-first-apply", "Update", "")}


@pytest.mark.parametrize(("last", "status"), [("1", 200), (None, 409)])
async def test_kubectl_takes_over_what_it_applied_from_the_clients_side(
    served: Daemon, last: str | None, status: int
) -> None:
    made: Any = config_map("a", k="1")
    if last:
        made["metadata"]["annotations"] = {LAST: json.dumps(config_map("a", k=last))}
    await served.request("POST", f"{MAPS}?fieldManager=kubectl-client-side-apply", made)
    assert (await applied(served, f"{MAPS}/a", config_map("a", k="2"), "other"))[0] == 409
    assert (await applied(served, f"{MAPS}/a", config_map("a", k="2"), "kubectl"))[0] == status


async def test_time_moves_with_the_object_only(served: Daemon) -> None:
    def times(obj: Mapping[str, Any]) -> list[str]:
        return [entry["time"] for entry in obj["metadata"]["managedFields"]]

    await applied(served, f"{MAPS}/a", config_map("a", k="1"), "m")
    _, old = await served.request("GET", f"{MAPS}/a")
    old["metadata"]["managedFields"][0]["time"] = "2020-01-01T00:00:00Z"
    _, old = await served.request("PUT", f"{MAPS}/a?fieldManager=x", old)
    _, same = await applied(served, f"{MAPS}/a", config_map("a", k="1"), "m")
    assert (same, times(same)) == (old, ["2020-01-01T00:00:00Z"])
    _, new = await applied(served, f"{MAPS}/a", config_map("a", k="2"), "m")
    assert times(new) > times(old)


async def test_lists_of_a_custom_resource_merge_as_its_schema_says(served: Daemon) -> None:
    await served.request("POST", DEFINITIONS, definition())
    one = {**widget("a", size=1, parts=[{"name": "x", "weight": 1}], tags=["p"]), "status": {"phase": "up"}}
    two = widget("a", size=1, parts=[{"name": "y", "weight": 2}], tags=["q"])
    assert (await applied(served, f"{WIDGETS}/a", one, "m"))[0] == 201
    _, done = await applied(served, f"{WIDGETS}/a", two, "n")
    assert [part["name"] for part in done["spec"]["parts"]] == ["x", "y"]
    assert (done["spec"]["tags"], "status" in done) == (["p", "q"], False)
    assert (await owners(served, f"{WIDGETS}/a"))[("n", "Apply", "")]["f:spec"]["f:tags"] == {'v:"q"': {}}
    phase = {"apiVersion": "example.org/v1", "kind": "Widget", "status": {"phase": "up"}}
    labelled = {**phase, "metadata": {"labels": {"a": "b"}}}
    _, done = await applied(served, f"{WIDGETS}/a/status", labelled, "c")
    assert (done["status"], "labels" in done["metadata"]) == ({"phase": "up"}, False)
    assert (await owners(served, f"{WIDGETS}/a"))[("c", "Apply", "status")] == {"f:status": {"f:phase": {}}}


async def test_labels_and_annotations_can_be_written_with_the_status(served: Daemon) -> None:
    await served.request("POST", WHERE, deployment("web", 1))
    patch = {"metadata": {"annotations": {"patched": "true"}}, "status": {"replicas": 1}}
    status, done = await served.request("PATCH", f"{WEB}/status", patch, MERGE)
    assert (status, done["metadata"]["annotations"], done["status"]["replicas"]) == (200, {"patched": "true"}, 1)
    status, error = await served.request("PATCH", f"{WEB}/status", {"metadata": {"labels": {"a": "b c"}}}, MERGE)
    assert (status, error["reason"]) == (422, "Invalid")


UNKNOWN = """
apiVersion: example.org/v1
kind: Widget
metadata:
  name: a
  unknownMeta: x
unknownField: y
spec:
  size: 1
"""


async def test_fields_that_nothing_declares(served: Daemon) -> None:
    await served.request("POST", DEFINITIONS, definition())
    status, error = await applied(served, f"{WIDGETS}/a", UNKNOWN.encode(), "m", "&fieldValidation=Strict")
    assert (status, error["reason"]) == (422, "Invalid")
    assert "(default/a; example.org/v1, Kind=Widget): errors:" in error["message"]
    for field in (".unknownField", ".metadata.unknownMeta"):
        assert f"{field}: field not declared in schema" in error["message"]
    bad = deployment("web", 1)
    bad["spec"]["unknownField"] = "x"
    _, error = await applied(served, WEB, bad, "m")
    assert "Kind=Deployment): .spec.unknownField: field not declared in schema" in error["message"]
    status, error = await served.request("POST", f"{WIDGETS}?fieldValidation=Strict", UNKNOWN.encode(), YAML)
    assert (status, 'unknown field "metadata.unknownMeta"' in error["message"]) == (400, True)


async def test_fields_that_are_there_twice(served: Daemon) -> None:
    await served.request("POST", DEFINITIONS, definition())
    body = (UNKNOWN.replace("  unknownMeta: x\nunknownField: y\n", "") + "  size: 2\n").encode()
    status, error = await applied(served, f"{WIDGETS}/a", body, "m", "&fieldValidation=Strict")
    assert (status, 'line 8: key "size" already set in map' in error["message"]) == (400, True)
    assert (await applied(served, f"{WIDGETS}/a", body, "m"))[0] == 201
    spec = '"spec": {"replicas": 1, "replicas": 2, "no": 1}'
    text = json.dumps({**deployment("web", 1), "spec": 0}).replace('"spec": 0', spec)
    _, error = await served.request("POST", f"{WHERE}?fieldValidation=Strict", text.encode())
    assert 'strict decoding error: unknown field "spec.no", duplicate field "spec.replicas"' in error["message"]
