"""Admission webhooks: a real server over TLS is asked, outside of the store's transactions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.server.daemon import Daemon, config_map
from tests.server.hooks import Server, configuration, patch, path, server

MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path) as running:
        yield running


async def register(served: Daemon, kind: str, *hooks: dict[str, Any], name: str = "a") -> None:
    status, made = await served.request("POST", path(kind), configuration(kind, name, *hooks))
    assert status == 201, made


async def test_a_validating_webhook_is_told_everything(served: Daemon, hook: Server) -> None:
    await register(served, "Validating", hook.hook())
    status, made = await served.request("POST", MAPS, config_map("a", k="1"))
    assert status == 201, made
    asked = hook.asked[0]
    assert (asked["operation"], asked["name"], asked["namespace"]) == ("CREATE", "a", "default")
    assert (asked["object"]["data"], asked["oldObject"], asked["dryRun"]) == ({"k": "1"}, None, False)
    assert asked["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert asked["object"]["metadata"]["uid"] == made["metadata"]["uid"]
    assert asked["userInfo"]["username"] == "system:admin"
    await served.request("PATCH", f"{MAPS}/a", {"data": {"k": "2"}}, MERGE)
    assert (hook.asked[1]["operation"], hook.asked[1]["oldObject"]["data"]) == ("UPDATE", {"k": "1"})
    await served.request("DELETE", f"{MAPS}/a")
    assert (hook.asked[2]["operation"], hook.asked[2]["object"]) == ("DELETE", None)
    assert len(hook.asked) == 3


async def test_a_refusal_stores_nothing(served: Daemon, hook: Server) -> None:
    hook.respond = lambda request: {"allowed": False, "status": {"code": 422, "message": "not so"}}
    await register(served, "Validating", hook.hook())
    status, answer = await served.request("POST", MAPS, config_map("a"))
    assert status == 422
    assert answer["message"] == 'admission webhook "check.example.org" denied the request: not so'
    assert (await served.request("GET", f"{MAPS}/a"))[0] == 404


async def test_a_mutating_webhook_changes_what_is_stored(served: Daemon, hook: Server) -> None:
    hook.respond = lambda request: patch({"op": "add", "path": "/data/by", "value": request["name"]})
    await register(served, "Mutating", hook.hook())
    status, made = await served.request("POST", MAPS, config_map("a", k="1"))
    assert (status, made["data"]) == (201, {"k": "1", "by": "a"})


async def test_validating_webhooks_see_what_mutating_ones_did(served: Daemon, hook: Server) -> None:
    def respond(request: dict[str, Any]) -> dict[str, Any]:
        if request["object"] and "by" not in request["object"]["data"]:
            return patch({"op": "add", "path": "/data/by", "value": "hook"})
        return {"allowed": True}

    hook.respond = respond
    await register(served, "Mutating", hook.hook("one.example.org"))
    await register(served, "Validating", hook.hook("two.example.org"))
    await served.request("POST", MAPS, config_map("a", k="1"))
    assert [asked["object"]["data"].get("by") for asked in hook.asked] == [None, "hook"]


async def test_a_generated_name_is_the_same_in_every_attempt(served: Daemon, hook: Server) -> None:
    await register(served, "Validating", hook.hook())
    body = config_map("x")
    body["metadata"] = {"generateName": "a-"}
    status, made = await served.request("POST", MAPS, body)
    assert status == 201, made
    assert [asked["name"] for asked in hook.asked] == [made["metadata"]["name"]]


async def test_others_write_while_a_webhook_thinks(served: Daemon, hook: Server) -> None:
    await register(served, "Validating", hook.hook())
    hook.hold.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(served.request, "POST", MAPS, config_map("slow"))
        await trio.to_thread.run_sync(hook.arrived.wait, 10)
        status, _ = await served.request(
            "POST", "/api/v1/namespaces/default/secrets", {"kind": "Secret", "metadata": {"name": "s"}}
        )
        assert status == 201
        assert (await served.request("GET", f"{MAPS}/slow"))[0] == 404
        hook.hold.set()
    assert (await served.request("GET", f"{MAPS}/slow"))[0] == 200


@pytest.mark.parametrize(("policy", "code"), [("Fail", 500), ("Ignore", 201)])
async def test_a_webhook_that_fails(served: Daemon, hook: Server, policy: str, code: int) -> None:
    client = {"url": "https://127.0.0.1:1/x", "caBundle": hook.bundle}
    await register(served, "Validating", hook.hook(failurePolicy=policy, clientConfig=client))
    status, answer = await served.request("POST", MAPS, config_map("a"))
    assert status == code
    if policy == "Fail":
        assert 'failed calling webhook "check.example.org"' in answer["message"]


async def test_a_webhook_that_is_too_slow(served: Daemon, hook: Server) -> None:
    hook.hold.clear()
    await register(served, "Validating", hook.hook(timeoutSeconds=1))
    status, answer = await served.request("POST", MAPS, config_map("a"))
    assert status == 500
    assert "deadline exceeded" in answer["message"] or "timed out" in answer["message"]


NOT_ASKED: list[dict[str, Any]] = [
    {"rules": [{"operations": ["UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
    {"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"]}]},
    {"rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps/status"]}]},
    {"namespaceSelector": {"matchLabels": {"team": "a"}}},
    {"objectSelector": {"matchLabels": {"app": "b"}}},
    {"matchConditions": [{"name": "c", "expression": "request.userInfo.username == 'jane'"}]},
    {"matchConditions": [{"name": "c", "expression": "object.none"}], "failurePolicy": "Ignore"},
]


@pytest.mark.parametrize("fields", NOT_ASKED)
async def test_rules_and_selectors_choose(served: Daemon, hook: Server, fields: dict[str, Any]) -> None:
    await register(served, "Validating", hook.hook(**fields))
    assert (await served.request("POST", MAPS, config_map("a")))[0] == 201
    assert not hook.asked


async def test_a_dry_run_says_so(served: Daemon, hook: Server) -> None:
    await register(served, "Validating", hook.hook())
    await served.request("POST", f"{MAPS}?dryRun=All", config_map("a"))
    assert hook.asked[0]["dryRun"] is True


async def test_warnings_reach_the_client(served: Daemon, hook: Server) -> None:
    hook.respond = lambda request: {"allowed": True, "warnings": ["mind the gap"]}
    await register(served, "Validating", hook.hook())
    head = f"DELETE {MAPS}/a HTTP/1.1\r\nhost: x\r\n\r\n"
    await served.request("POST", MAPS, config_map("a"))
    _, headers, _ = await served.raw(head.encode())
    assert headers["warning"] == '299 - "mind the gap"'


async def test_configurations_are_not_asked_about_themselves(served: Daemon, hook: Server) -> None:
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}
    hook.respond = lambda request: {"allowed": False}
    await register(served, "Validating", hook.hook(rules=[rule]))
    assert (await served.request("POST", MAPS, config_map("a")))[0] == 403
    assert (await served.request("DELETE", path("Validating") + "/a"))[0] == 200
    assert (await served.request("POST", MAPS, config_map("a")))[0] == 201


async def test_match_conditions_decide(served: Daemon, hook: Server) -> None:
    good = {"name": "named", "expression": "object.metadata.name == 'a' && request.userInfo.username == 'system:admin'"}
    await register(served, "Validating", hook.hook(matchConditions=[good]))
    assert (await served.request("POST", MAPS, config_map("a")))[0] == 201
    assert (await served.request("POST", MAPS, config_map("b")))[0] == 201
    assert [asked["name"] for asked in hook.asked] == ["a"]
    await register(served, "Validating", hook.hook(matchConditions=[{**good, "expression": "object.none"}]), name="b")
    status, answer = await served.request("POST", MAPS, config_map("c"))
    assert status == 403
    assert "no such key: none" in answer["message"]


async def test_webhooks_are_asked_about_whole_files_too(served: Daemon, hook: Server) -> None:
    hook.respond = lambda request: {"allowed": request["name"] != "b", "warnings": ["looked at"]}
    await register(served, "Validating", hook.hook())
    url = "/orchestr.dev/v1/apply?manager=orch"
    items = [config_map("a"), config_map("b")]
    status, answer = await served.request("POST", url, {"kind": "List", "items": items})
    assert status == 403
    assert answer["details"]["causes"][0]["field"] == "items[1]"
    assert (await served.request("GET", f"{MAPS}/a"))[0] == 404
    assert hook.asked[0]["userInfo"]["username"] == "system:admin"
    body = b'{"kind": "List", "items": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}]}'
    head = f"POST {url} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    status, headers, _ = await served.raw(head.encode() + body)
    assert (status, headers["warning"]) == (200, '299 - "looked at"')


BAD: list[tuple[dict[str, Any], str]] = [
    ({"clientConfig": {"url": "http://127.0.0.1/x"}}, "webhooks[0].clientConfig.url"),
    ({"clientConfig": {}}, "webhooks[0].clientConfig"),
    ({"sideEffects": "Some"}, "webhooks[0].sideEffects"),
    ({"timeoutSeconds": 31}, "webhooks[0].timeoutSeconds"),
    ({"admissionReviewVersions": ["v1beta1"]}, "webhooks[0].admissionReviewVersions"),
    ({"matchConditions": [{"name": "a", "expression": "tru"}]}, "webhooks[0].matchConditions[0].expression"),
    ({"matchConditions": [{"name": "a", "expression": "params"}]}, "webhooks[0].matchConditions[0].expression"),
    ({"name": "short"}, "webhooks[0].name"),
]


@pytest.mark.parametrize(("fields", "field"), BAD, ids=[field for _, field in BAD])
async def test_a_wrong_configuration_is_refused(
    served: Daemon, hook: Server, fields: dict[str, Any], field: str
) -> None:
    body = configuration("Validating", "a", {**hook.hook(), **fields})
    status, answer = await served.request("POST", path("Validating"), body)
    assert status == 422, answer
    assert field in [cause["field"] for cause in answer["details"]["causes"]], answer
