"""Every verb, over the socket, as a client of Kubernetes would use it."""

from typing import Any

import pytest

from tests.server.daemon import Daemon, config_map

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}


async def test_create_get_update_patch_delete(served: Daemon) -> None:
    status, made = await served.request("POST", MAPS, config_map("a", k="1"))
    assert status == 201
    assert made["metadata"]["uid"]
    assert made["kind"] == "ConfigMap"
    assert await served.request("GET", f"{MAPS}/a") == (200, made)

    status, changed = await served.request("PUT", f"{MAPS}/a", {**made, "data": {"k": "2"}})
    assert (status, changed["data"]) == (200, {"k": "2"})
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    status, error = await served.request("PUT", f"{MAPS}/a", {**made, "data": {"k": "3"}})
    assert (status, error["reason"], error["kind"]) == (409, "Conflict", "Status")

    status, patched = await served.request("PATCH", f"{MAPS}/a", {"data": {"k": None, "n": "4"}}, MERGE)
    assert (status, patched["data"]) == (200, {"n": "4"})

    status, gone = await served.request("DELETE", f"{MAPS}/a")
    assert (status, gone["status"], gone["details"]["uid"]) == (200, "Success", made["metadata"]["uid"])
    status, error = await served.request("GET", f"{MAPS}/a")
    assert (status, error["reason"], error["details"]) == (404, "NotFound", {"name": "a", "kind": "configmaps"})


async def test_some_kinds_are_shown_when_they_are_gone(served: Daemon) -> None:
    """Clients decode the answer as what Kubernetes' OpenAPI names: an object of these kinds, a Status of others."""
    spec = {"ports": [{"port": 80}]}
    for path, kind, body in (("services", "Service", {"spec": spec}), ("serviceaccounts", "ServiceAccount", {})):
        place = f"/api/v1/namespaces/default/{path}"
        _, made = await served.request("POST", place, {"metadata": {"name": "gone"}, **body})
        status, last = await served.request("DELETE", f"{place}/gone")
        assert (status, last["kind"], last["metadata"]["uid"]) == (200, kind, made["metadata"]["uid"])
        assert (await served.request("GET", f"{place}/gone"))[0] == 404


async def test_generated_name_and_twice_the_same(served: Daemon) -> None:
    unnamed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "cm-"}}
    status, made = await served.request("POST", MAPS, unnamed)
    assert (status, made["metadata"]["name"][:3]) == (201, "cm-")
    await served.request("POST", MAPS, config_map("a"))
    status, error = await served.request("POST", MAPS, config_map("a"))
    assert (status, error["reason"]) == (409, "AlreadyExists")


async def test_apply_patch_creates_then_configures(served: Daemon) -> None:
    where = f"{MAPS}/a?fieldManager=me"
    status, _ = await served.request("PATCH", where, config_map("a", k="1", n="1"), APPLY)
    assert status == 201
    status, after = await served.request("PATCH", where, config_map("a", k="1"), APPLY)
    assert (status, after["data"]) == (200, {"k": "1"})
    status, error = await served.request("PATCH", f"{MAPS}/a", config_map("a"), APPLY)
    assert (status, "fieldManager" in error["message"]) == (400, True)


async def test_dry_run_changes_nothing(served: Daemon) -> None:
    for method, path, headers in (
        ("POST", f"{MAPS}?dryRun=All", {}),
        ("PATCH", f"{MAPS}/a?dryRun=All&fieldManager=x", APPLY),
    ):
        status, obj = await served.request(method, path, config_map("a"), headers)
        assert (status, obj["metadata"]["name"]) == (201, "a")
    assert (await served.request("GET", f"{MAPS}/a"))[0] == 404
    await served.request("POST", MAPS, config_map("a"))
    assert (await served.request("DELETE", f"{MAPS}/a?dryRun=All"))[0] == 200
    assert (await served.request("DELETE", f"{MAPS}/a", {"dryRun": ["All"]}))[0] == 200
    assert (await served.request("GET", f"{MAPS}/a"))[0] == 200
    assert (await served.request("DELETE", f"{MAPS}/a?dryRun=Some"))[0] == 400


async def test_delete_preconditions(served: Daemon) -> None:
    _, made = await served.request("POST", MAPS, config_map("a"))
    status, error = await served.request("DELETE", f"{MAPS}/a", {"preconditions": {"uid": "other"}})
    assert (status, error["reason"]) == (409, "Conflict")
    status, _ = await served.request("DELETE", f"{MAPS}/a", {"preconditions": {"uid": made["metadata"]["uid"]}})
    assert status == 200


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("labelSelector=app%3Da", ["a"]),
        ("labelSelector=app+in+(a,b)", ["a", "b"]),
        ("labelSelector=app,app!%3Da", ["b", "c"]),
        ("labelSelector=!app", []),
        ("fieldSelector=metadata.name%3Db", ["b"]),
        ("fieldSelector=metadata.name!%3Db,metadata.namespace%3Ddefault", ["a", "c"]),
    ],
)
async def test_selectors(served: Daemon, query: str, names: list[str]) -> None:
    for name in ("c", "a", "b"):
        await served.request("POST", MAPS, config_map(name))
    status, found = await served.request("GET", f"{MAPS}?{query}")
    assert (status, [item["metadata"]["name"] for item in found["items"]]) == (200, names)
    status, _ = await served.request("DELETE", f"{MAPS}?{query}")
    assert status == 200
    _, left = await served.request("GET", MAPS)
    assert len(left["items"]) == 3 - len(names)


async def test_list_in_pages(served: Daemon) -> None:
    for number in range(5):
        await served.request("POST", MAPS, config_map(f"m{number}"))
    names, token = [], ""
    while True:
        _, page = await served.request("GET", f"/api/v1/configmaps?limit=2&continue={token}")
        names += [item["metadata"]["name"] for item in page["items"]]
        assert page["kind"] == "ConfigMapList"
        token = page["metadata"].get("continue", "")
        if not token:
            break
        assert page["metadata"]["remainingItemCount"] == 5 - len(names)
    assert names == [f"m{number}" for number in range(5)]
    assert (await served.request("GET", f"{MAPS}?continue=xx"))[0] == 400
    assert (await served.request("GET", f"{MAPS}?resourceVersion=999999"))[0] == 504


def deployment(name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "local/host"}]},
            },
        },
    }


async def test_scale(served: Daemon) -> None:
    where = "/apis/apps/v1/namespaces/default/deployments"
    await served.request("POST", where, deployment("web", 1))
    _, scale = await served.request("GET", f"{where}/web/scale")
    assert (scale["kind"], scale["spec"], scale["status"]["selector"]) == ("Scale", {"replicas": 1}, "app=web")
    status, scale = await served.request("PUT", f"{where}/web/scale", {**scale, "spec": {"replicas": 3}})
    assert (status, scale["spec"]) == (200, {"replicas": 3})
    status, scale = await served.request("PATCH", f"{where}/web/scale", {"spec": {"replicas": 0}}, MERGE)
    assert (status, scale["spec"]) == (200, {"replicas": 0})
    status, error = await served.request("PUT", f"{where}/web/scale", {"spec": {"replicas": -1}})
    assert (status, error["details"]["causes"][0]["field"]) == (422, "spec.replicas")
    status, error = await served.request("PUT", f"{where}/web/scale", {**scale, "metadata": {"resourceVersion": "1"}})
    assert (status, error["reason"]) == (409, "Conflict")


async def test_status_is_written_apart(served: Daemon) -> None:
    where = "/apis/apps/v1/namespaces/default/deployments"
    _, made = await served.request("POST", where, {**deployment("web", 1), "status": {"replicas": 7}})
    assert "replicas" not in made.get("status", {})
    wanted = {**made, "spec": {**made["spec"], "replicas": 9}, "status": {"replicas": 2}}
    status, after = await served.request("PUT", f"{where}/web/status", wanted)
    assert (status, after["status"]["replicas"], after["spec"]["replicas"]) == (200, 2, 1)
    status, after = await served.request("PATCH", f"{where}/web/status", {"status": {"readyReplicas": 1}}, MERGE)
    assert (status, after["status"]["replicas"], after["status"]["readyReplicas"]) == (200, 2, 1)
    status, error = await served.request("PUT", f"{where}/web/status", wanted)
    assert (status, error["reason"]) == (409, "Conflict")


async def test_apply_all_or_none(served: Daemon) -> None:
    path = "/orchestr.dev/v1/apply?manager=orch"
    good, bad = config_map("a", k="1"), {**config_map("b"), "dta": {}}
    status, error = await served.request("POST", path, {"kind": "List", "items": [good, bad]})
    assert status == 422
    assert error["details"]["causes"][0]["field"].startswith("items[1]")
    assert (await served.request("GET", f"{MAPS}/a"))[0] == 404
    status, done = await served.request("POST", path, {"kind": "List", "items": [good]})
    assert (status, done["kind"], [item["action"] for item in done["items"]]) == (200, "ApplyResult", ["created"])
    _, done = await served.request("POST", path, {"items": [good]})
    assert [item["action"] for item in done["items"]] == ["unchanged"]
    _, done = await served.request("POST", f"{path}&prune=true", {"items": [config_map("b")]})
    assert [item["action"] for item in done["items"]] == ["created", "pruned"]
    assert (await served.request("GET", f"{MAPS}/a"))[0] == 404
